//! Certificates for tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::program;

/// Time to make the keys.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Options of both requests.
const REQUEST: [&str; 8] =
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days"];

/// Files of a server with TLS, and of its authority.
pub(super) struct Certificate {
    /// Certificate of the authority.
    pub(super) authority: PathBuf,
    /// Certificate of the server.
    pub(super) chain: PathBuf,
    /// Key of the server.
    pub(super) key: PathBuf,
}

/// Creates an authority and a certificate of a server with a name such as `DNS:localhost`: `ca.pem`, `server.pem` and `server.key`.
///
/// # Errors
///
/// If openssl is missing or fails.
pub(super) fn create(folder: &Path, name: &str, days: u32) -> Result<Certificate> {
    let openssl = |args: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(REQUEST).arg(days.to_string()).args(args).current_dir(folder);
        program::run(&mut openssl, TIMEOUT)
    };
    openssl(&["-subj", "/CN=Authority", "-keyout", "ca.key", "-out", "ca.pem"])?;
    let names = format!("subjectAltName={name}");
    let extensions = ["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"];
    openssl(&[&["-subj", "/CN=localhost"], &extensions[..], &files[..]].concat())?;
    let [authority, chain, key] = ["ca.pem", "server.pem", "server.key"].map(|file| folder.join(file));
    Ok(Certificate { authority, chain, key })
}
