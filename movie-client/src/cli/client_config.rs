//! Conversion of command-line arguments to the configuration of the library.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::args::{AddressArg, ConnectionArgs};
use super::environment;
use super::failure::UsageError;
use crate::{Address, Client, Config, Identity, RetryPolicy, Tls, Token};

/// Returns the configuration, with the contents of the named files.
///
/// # Errors
///
/// The first invalid argument, with the name of its file or address.
pub(super) fn read(connection: &ConnectionArgs) -> Result<Config, UsageError> {
    let ConnectionArgs { tls_ca, client_cert, client_key, .. } = connection;
    // An ignored empty value would trust the system's authorities.
    if tls_ca.is_none() && environment::is_empty(OsStr::new("MOVIE_TLS_CA")) {
        let text = "the environment variable MOVIE_TLS_CA is empty; unset it or set a value";
        return Err(UsageError(text.to_owned()));
    }
    let mut tls = Tls::default();
    if let Some(file) = tls_ca {
        tls.authorities = Some(read_file(file)?);
        check(&tls, &file.display().to_string())?;
    }
    if let (Some(certificate), Some(key)) = (client_cert, client_key) {
        tls.identity = Some(Identity { certificate: read_file(certificate)?, key: read_file(key)? });
        check(&tls, &format!("{}, {}", certificate.display(), key.display()))?;
    }
    let token = connection.token.as_deref().map(Token::new);
    let token = token.map(|token| token.map_err(|error| UsageError(error.to_string())));
    let is_tls = connection.tls || tls.authorities.is_some() || tls.identity.is_some();
    let addresses = connection.addresses.iter().flatten().cloned();
    let addresses = addresses.map(|given| if is_tls { with_tls(given) } else { Ok(given.address) });
    Ok(Config {
        tls,
        token: token.transpose()?,
        deadline: connection.timeout,
        retry: RetryPolicy { max_attempts: connection.tries, ..RetryPolicy::default() },
        ..Config::new(addresses.collect::<Result<Vec<_>, _>>()?)
    })
}

fn read_file(file: &Path) -> Result<Vec<u8>, UsageError> {
    fs::read(file).map_err(|error| UsageError(format!("cannot read {}: {error}", file.display())))
}

/// Validates the contents of files. The library's errors do not have the file names.
fn check(tls: &Tls, files: &str) -> Result<(), UsageError> {
    let unused: Result<Address, _> = "https://localhost:1".parse();
    let config = Config { tls: tls.clone(), ..Config::new(unused) };
    Client::connect(&config).map(drop).map_err(|error| UsageError(format!("{files}: {error}")))
}

fn with_tls(AddressArg { address, forbids_tls }: AddressArg) -> Result<Address, UsageError> {
    if forbids_tls {
        return Err(UsageError(format!(
            "http://{address} is not encrypted; write https://, or leave out --tls, --tls-ca, --client-cert and their \
             variables"
        )));
    }
    let address = address.with_tls();
    if address.is_tls() {
        return Ok(address);
    }
    Err(UsageError(format!("cannot use TLS with {address}: TLS needs an address with a host")))
}
