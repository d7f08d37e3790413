//! The configuration of the library that a command line asks for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::args::Reach;
use crate::{Address, Config, Identity, Retry, Tls, Token};

/// Reads what the command line names.
pub(super) fn config(reach: &Reach) -> Result<Config> {
    let authorities = reach.tls_ca.as_deref().map(read).transpose()?;
    let identity = match (&reach.client_cert, &reach.client_key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate: read(certificate)?, key: read(key)? }),
        _ => None,
    };
    let is_tls = reach.tls || authorities.is_some() || identity.is_some();
    let encrypted = |address: Address| if is_tls { address.with_tls() } else { address };
    Ok(Config {
        tls: Tls { authorities, identity },
        token: reach.token.as_deref().map(Token::new).transpose()?,
        deadline: reach.timeout,
        retry: Retry { tries: reach.tries, ..Retry::default() },
        ..Config::at(reach.addresses.iter().cloned().map(encrypted))
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
