//! Authentication and authorization. Independent of gRPC; the role that an RPC needs is in the table of [`crate::rpc`].
//!
//! * [`tokens`] — the tokens file;
//! * [`token`] — makes a token;
//! * [`Access`] — authorizes a call.

pub mod token;
pub mod tokens;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tracing::warn;

use self::tokens::{Caller, Tokens, TokensError};
use crate::regular_file;
use crate::reload::{self, Files, ReloadOutcome, WatcherHandle};
use crate::rpc::{Role, Rpc};

/// Authorizes calls. Clones share the same tokens.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    /// No tokens file is used.
    Open { anonymous_writes: bool },
    /// A tokens file is used.
    TokensFile { path: PathBuf, files: Files, tokens: ArcSwap<Tokens> },
}

/// Error of loading a tokens file.
#[derive(Debug, thiserror::Error)]
pub enum TokensFileError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a valid tokens file.
    #[error("{path}:{error}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, and the problem.
        error: TokensError,
    },
}

/// Reason for denying a call. The message is sent to the caller and never contains a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The caller sent no credentials.
    #[error("this call needs a token of a {0}; send one as `authorization: Bearer TOKEN`")]
    NoCredentials(Role),
    /// The `authorization` header is malformed.
    #[error("the `authorization` header is not a token; expected `Bearer TOKEN`")]
    BadCredentials,
    /// The token is not in the tokens file.
    #[error("the token is unknown; ask the operator of this service for a valid one")]
    UnknownToken,
    /// The caller's certificate is not in the tokens file.
    #[error("the client certificate has no role; this call needs that of a {0}")]
    UnknownCertificate(Role),
    /// The caller's role does not permit this call.
    #[error("this call needs the role of a {0}")]
    RoleTooLow(Role),
    /// Anonymous writes are not allowed.
    #[error(
        "this service accepts no writes: it was started without --tokens; add `--listen 127.0.0.1:3001 \
         --allow-anonymous-writes` to let everybody on its machine write, or --tokens FILE for callers with a token"
    )]
    ReadOnly,
    /// A page of an origin that only `*` allows wants to write without credentials.
    #[error(
        "pages of any site may not write without a token; start the service with --web-origin and the page's origin"
    )]
    WriteFromAnySite,
}

impl Access {
    /// Lets everybody read, and nobody write.
    #[must_use]
    pub fn open_to_readers() -> Self {
        Self(Arc::new(Inner::Open { anonymous_writes: false }))
    }

    /// Loads the tokens file `tokens`. Without one, everybody may read; if `anonymous_writes` is true, everybody may
    /// also write.
    ///
    /// # Errors
    ///
    /// [`TokensFileError`] if the file cannot be read or is invalid.
    pub fn open(tokens: Option<&Path>, anonymous_writes: bool) -> Result<Self, TokensFileError> {
        let Some(path) = tokens else { return Ok(Self(Arc::new(Inner::Open { anonymous_writes }))) };
        let files = Files::new(vec![path.to_owned()]);
        let tokens = ArcSwap::from_pointee(load(path)?);
        Ok(Self(Arc::new(Inner::TokensFile { path: path.to_owned(), files, tokens })))
    }

    /// Reloads the tokens file, if one is used.
    ///
    /// # Errors
    ///
    /// [`TokensFileError`] if the file cannot be read or is invalid; the previous tokens stay in use.
    pub fn reload(&self) -> Result<(), TokensFileError> {
        if let Inner::TokensFile { path, tokens, .. } = &*self.0 {
            tokens.store(Arc::new(load(path)?));
        }
        Ok(())
    }

    /// Returns whether a tokens file identifies all callers by client certificates.
    #[must_use]
    pub fn needs_certificates(&self) -> bool {
        match &*self.0 {
            Inner::Open { .. } => false,
            Inner::TokensFile { tokens, .. } => tokens.load().needs_certificates(),
        }
    }

    /// Reloads the tokens file whenever it changes, on a thread of its own, until the last clone is dropped.
    /// Returns `None` if no tokens file is used. `report` is called with whether the new version is in use.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn watch(&self, report: impl Fn(bool) + Send + 'static) -> io::Result<Option<WatcherHandle>> {
        let Inner::TokensFile { path, files, .. } = &*self.0 else { return Ok(None) };
        let used = format!("using the new version of the tokens file {}", path.display());
        let access = Arc::downgrade(&self.0);
        reload::watch("tokens", files.clone(), report, move || {
            let Some(access) = access.upgrade() else { return ReloadOutcome::Unneeded };
            match Self(access).reload() {
                Ok(()) => ReloadOutcome::Used(used.clone()),
                Err(error) => {
                    let is_transient = matches!(error, TokensFileError::Read { .. });
                    ReloadOutcome::refused("still using the old tokens", &error, is_transient)
                }
            }
        })
        .map(Some)
    }

    /// Authorizes a call by its `authorization` header or, without one, by the subject names of its verified client
    /// certificate. Returns the name of the caller; `None` if the RPC needs no role or no tokens file is used.
    ///
    /// # Errors
    ///
    /// [`Denial`] if the call is not permitted.
    pub fn check(
        &self,
        rpc: Rpc,
        headers: &HeaderMap,
        certificate_names: &[String],
    ) -> Result<Option<Arc<str>>, Denial> {
        match rpc.role {
            None => Ok(None),
            Some(role) => self.check_role(role, headers, certificate_names),
        }
    }

    /// Returns whether a caller with these credentials may write.
    #[must_use]
    pub fn may_write(&self, headers: &HeaderMap, certificate_names: &[String]) -> bool {
        self.check_role(Role::Writer, headers, certificate_names).is_ok()
    }

    /// Returns whether a tokens file says who the callers are.
    #[must_use]
    pub fn identifies_callers(&self) -> bool {
        matches!(*self.0, Inner::TokensFile { .. })
    }

    fn check_role(
        &self,
        needed: Role,
        headers: &HeaderMap,
        certificate_names: &[String],
    ) -> Result<Option<Arc<str>>, Denial> {
        match &*self.0 {
            Inner::Open { anonymous_writes } if needed == Role::Writer && !anonymous_writes => {
                Err(Denial::ReadOnly)
            }
            Inner::Open { .. } => Ok(None),
            Inner::TokensFile { tokens, .. } => {
                let tokens = tokens.load();
                let caller = identify(&tokens, needed, headers, certificate_names)?;
                if caller.role < needed {
                    return Err(Denial::RoleTooLow(needed));
                }
                Ok(Some(caller.name.clone()))
            }
        }
    }
}

fn load(path: &Path) -> Result<Tokens, TokensFileError> {
    let text = regular_file::open_to_read(path)
        .and_then(io::read_to_string)
        .map_err(|source| TokensFileError::Read { path: path.to_owned(), source })?;
    let tokens =
        Tokens::parse(&text).map_err(|error| TokensFileError::Invalid { path: path.to_owned(), error })?;
    if tokens.is_empty() {
        warn!(
            "the tokens file {} lists no caller, so all calls but health checks are refused",
            path.display()
        );
    }
    Ok(tokens)
}

/// Returns the caller that the credentials identify.
fn identify<'a>(
    tokens: &'a Tokens,
    needed: Role,
    headers: &HeaderMap,
    certificate_names: &[String],
) -> Result<&'a Caller, Denial> {
    if let Some(credentials) = headers.get(AUTHORIZATION) {
        let token = bearer(credentials.as_bytes()).ok_or(Denial::BadCredentials)?;
        return tokens.caller_with_token(token).ok_or(Denial::UnknownToken);
    }
    if certificate_names.is_empty() {
        return Err(Denial::NoCredentials(needed));
    }
    tokens.caller_with_certificate(certificate_names).ok_or(Denial::UnknownCertificate(needed))
}

/// Returns the token of `Bearer TOKEN`. The scheme is case-insensitive (RFC 9110 §11.1).
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = credentials.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests;
