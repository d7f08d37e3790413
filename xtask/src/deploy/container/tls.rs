//! Certificate authorities: the programs of the image trust those of its bundle.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{CALL_TIMEOUT, Test};
use crate::build::Build;
use crate::deploy::certificate;
use crate::program;

/// Where the bundle is in the image.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A service with TLS is trusted if its authority is in the bundle, and only then.
pub(super) fn test(build: &Build, test: &Test) -> Result<()> {
    let folder = build.new_folder("container-tls")?;
    certificate::create(&folder, "IP:127.0.0.1", 1)?;
    // The key is for the user of the container, who is another one.
    program::run(Command::new("chmod").args(["a+r", "server.key"]).current_dir(&folder), CALL_TIMEOUT)?;

    let mount = |file: &str, path: &str| format!("--volume={}:{path}:ro", folder.join(file).display());
    let certificate = [mount("server.pem", "/tls/server.pem"), mount("server.key", "/tls/server.key")];
    let variables = ["--env=MOVIE_TLS_CERT=/tls/server.pem", "--env=MOVIE_TLS_KEY=/tls/server.key"];
    let secure = format!("--env=MOVIE_ADDRESS=https://{}", test.address);
    let mut args: Vec<&str> = certificate.iter().map(String::as_str).chain(variables).collect();
    args.push(&secure);

    test.create("unknown", &args)?;
    test.podman.run(&["start", "unknown"])?;
    let refused = test.podman.run(&["exec", "unknown", "/usr/bin/movie-client", "health"]);
    let error = refused.err().context("a client trusts an authority that is not in the bundle")?.to_string();
    ensure!(error.contains("no trusted authority signed it"), "{error}");
    test.stop("unknown")?;

    let bundle = mount("ca.pem", BUNDLE);
    args.push(&bundle);
    test.create("known", &args)?;
    test.podman.run(&["start", "known"])?;
    test.podman.run(&["exec", "known", "/usr/bin/movie-client", "health"])?;
    test.podman.run(&["healthcheck", "run", "known"])?;
    test.stop("known")?;
    fs::remove_dir_all(folder)?;
    Ok(())
}
