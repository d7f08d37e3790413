//! Who may call what. Knows nothing of gRPC; the role that an RPC needs is in its table, [`crate::rpc`].
//!
//! * [`tokens`] — the tokens file;
//! * [`token`] — makes a token;
//! * [`Access`] — decides about a call.

pub mod token;
pub mod tokens;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use self::tokens::{Caller, Tokens, TokensError};
use crate::reload::{self, Files, Handle, Outcome};
use crate::rpc::{Role, Rpc};

/// Decides who may call what. Clones decide alike.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    /// There is no tokens file.
    Open { anonymous_writes: bool },
    /// Whom a tokens file names.
    Named { path: PathBuf, files: Files, tokens: ArcSwap<Tokens> },
}

/// Why a tokens file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no tokens file.
    #[error("{path}:{error}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        error: TokensError,
    },
}

/// Why a call is denied. What is said is for the caller, and never has a token in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no such RPC. The caller cannot tell one that was left out of the table from one that is not there.
    #[error("there is no such rpc")]
    NoSuchRpc,
    /// The caller does not say who it is.
    #[error("this call needs a token of a {0}; send one as `authorization: Bearer TOKEN`")]
    NoCredentials(Role),
    /// The `authorization` header is not as it should be.
    #[error("the `authorization` header is not a token; expected `Bearer TOKEN`")]
    BadCredentials,
    /// The token is not in the tokens file.
    #[error("the token is not known here; ask who runs this service for another")]
    UnknownToken,
    /// The caller's certificate is not in the tokens file.
    #[error("the client certificate has no role; this call needs that of a {0}")]
    UnknownCertificate(Role),
    /// The caller may do less than this.
    #[error("this call needs the role of a {0}")]
    RoleTooLow(Role),
    /// Anonymous writes are not allowed.
    #[error("this service is read-only; start it with --tokens FILE, or --allow-anonymous-writes")]
    ReadOnly,
}

impl Access {
    /// Access for everybody, to read only.
    #[must_use]
    pub fn open_to_readers() -> Self {
        Self(Arc::new(Inner::Open { anonymous_writes: false }))
    }

    /// Access for those whom a tokens file names. Without one, everybody may read and, if `anonymous_writes`, write.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the file cannot be read, or is no tokens file.
    pub fn open(tokens: Option<&Path>, anonymous_writes: bool) -> Result<Self, AccessError> {
        let Some(path) = tokens else { return Ok(Self(Arc::new(Inner::Open { anonymous_writes }))) };
        let files = Files::new(vec![path.to_owned()]);
        let tokens = ArcSwap::from_pointee(load(path)?);
        Ok(Self(Arc::new(Inner::Named { path: path.to_owned(), files, tokens })))
    }

    /// Reads the tokens file again, if there is one.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the file cannot be read, or is no tokens file; the old tokens stay in use.
    pub fn reload(&self) -> Result<(), AccessError> {
        if let Inner::Named { path, tokens, .. } = &*self.0 {
            tokens.store(Arc::new(load(path)?));
        }
        Ok(())
    }

    /// Reads the tokens file again whenever it changes, on a thread of its own, for as long as somebody keeps this.
    /// Returns `None` if there is no tokens file. `told` hears whether a new version was taken.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn follow(&self, told: impl Fn(bool) + Send + 'static) -> io::Result<Option<Handle>> {
        let Inner::Named { path, files, .. } = &*self.0 else { return Ok(None) };
        let used = format!("using the new version of the tokens file {}", path.display());
        let access = Arc::downgrade(&self.0);
        reload::follow("tokens", files.clone(), told, move || {
            let Some(access) = access.upgrade() else { return Outcome::Unneeded };
            match Self(access).reload() {
                Ok(()) => Outcome::Used(used.clone()),
                Err(error) => {
                    let may_pass = matches!(error, AccessError::Read { .. });
                    Outcome::refused("still using the old tokens", &error, may_pass)
                }
            }
        })
        .map(Some)
    }

    /// Decides whether a caller may call an RPC, by its header `authorization`, or else by the names in its certificate,
    /// which was verified. `None` stands for an RPC that does not exist. Returns the caller's name, if the RPC needs
    /// a role and a tokens file is used.
    ///
    /// # Errors
    ///
    /// [`Denied`] if it may not.
    pub fn check(
        &self,
        rpc: Option<Rpc>,
        headers: &HeaderMap,
        certificate_names: &[String],
    ) -> Result<Option<Arc<str>>, Denied> {
        match rpc.ok_or(Denied::NoSuchRpc)?.role {
            None => Ok(None),
            Some(role) => self.check_role(role, headers, certificate_names),
        }
    }

    fn check_role(
        &self,
        needed: Role,
        headers: &HeaderMap,
        certificate_names: &[String],
    ) -> Result<Option<Arc<str>>, Denied> {
        match &*self.0 {
            Inner::Open { anonymous_writes } if needed == Role::Writer && !anonymous_writes => {
                Err(Denied::ReadOnly)
            }
            Inner::Open { .. } => Ok(None),
            Inner::Named { tokens, .. } => {
                let tokens = tokens.load();
                let caller = identify(&tokens, needed, headers, certificate_names)?;
                if caller.role < needed {
                    return Err(Denied::RoleTooLow(needed));
                }
                Ok(Some(caller.name.clone()))
            }
        }
    }
}

fn load(path: &Path) -> Result<Tokens, AccessError> {
    let text =
        fs::read_to_string(path).map_err(|source| AccessError::Read { path: path.to_owned(), source })?;
    Tokens::parse(&text).map_err(|error| AccessError::Invalid { path: path.to_owned(), error })
}

/// Returns who calls.
fn identify<'a>(
    tokens: &'a Tokens,
    needed: Role,
    headers: &HeaderMap,
    certificate_names: &[String],
) -> Result<&'a Caller, Denied> {
    if let Some(credentials) = headers.get(AUTHORIZATION) {
        let token = bearer(credentials.as_bytes()).ok_or(Denied::BadCredentials)?;
        return tokens.caller_with_token(token).ok_or(Denied::UnknownToken);
    }
    if certificate_names.is_empty() {
        return Err(Denied::NoCredentials(needed));
    }
    tokens.caller_with_certificate(certificate_names).ok_or(Denied::UnknownCertificate(needed))
}

/// Returns the token of `Bearer TOKEN`; the scheme is in any case, as RFC 9110 (section 11.1) has it.
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = credentials.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests;
