//! The configuration of the library that a command line asks for.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::args::Reach;
use super::failure::WrongCommandLine;
use super::variables;
use crate::{Address, Client, Config, Identity, Retry, Tls, Token};

/// Reads what the command line names.
///
/// # Errors
///
/// What is wrong with it, with the name of the file or address.
pub(super) fn config(reach: &Reach) -> Result<Config, WrongCommandLine> {
    let Reach { tls_ca, client_cert, client_key, .. } = reach;
    // Without it, other authorities than the ones meant would be trusted.
    if tls_ca.is_none() && variables::is_empty(OsStr::new("MOVIE_TLS_CA")) {
        let text = "the environment variable MOVIE_TLS_CA is empty; unset it or set a value";
        return Err(WrongCommandLine(text.to_owned()));
    }
    let mut tls = Tls::default();
    if let Some(file) = tls_ca {
        tls.authorities = Some(read(file)?);
        check(&tls, &file.display().to_string())?;
    }
    if let (Some(certificate), Some(key)) = (client_cert, client_key) {
        tls.identity = Some(Identity { certificate: read(certificate)?, key: read(key)? });
        check(&tls, &format!("{}, {}", certificate.display(), key.display()))?;
    }
    let token = reach.token.as_deref().map(Token::new);
    let token = token.map(|token| token.map_err(|error| WrongCommandLine(error.to_string())));
    let is_tls = reach.tls || tls.authorities.is_some() || tls.identity.is_some();
    let addresses = reach.addresses.iter().flatten().cloned();
    let addresses = addresses.map(|address| if is_tls { encrypted(address) } else { Ok(address) });
    Ok(Config {
        tls,
        token: token.transpose()?,
        deadline: reach.timeout,
        retry: Retry { tries: reach.tries, ..Retry::default() },
        ..Config::at(addresses.collect::<Result<Vec<_>, _>>()?)
    })
}

fn read(file: &Path) -> Result<Vec<u8>, WrongCommandLine> {
    fs::read(file).map_err(|error| WrongCommandLine(format!("cannot read {}: {error}", file.display())))
}

/// Checks what comes from files, whose names the library does not know.
fn check(tls: &Tls, files: &str) -> Result<(), WrongCommandLine> {
    let nobody: Result<Address, _> = "https://localhost:1".parse();
    let config = Config { tls: tls.clone(), ..Config::at(nobody) };
    Client::connect(&config).map(drop).map_err(|error| WrongCommandLine(format!("{files}: {error}")))
}

fn encrypted(address: Address) -> Result<Address, WrongCommandLine> {
    let address = address.with_tls();
    if address.is_tls() {
        return Ok(address);
    }
    Err(WrongCommandLine(format!("{address} cannot be encrypted: TLS is for addresses with a host")))
}
