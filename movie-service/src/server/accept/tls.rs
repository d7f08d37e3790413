//! TLS configuration: the server certificate and the verification of client certificates.

mod certificate;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    DEFAULT_VERSIONS, Error, InconsistentKeys, RootCertStore, ServerConfig, ServerConnection,
};
use tracing::warn;
use x509_parser::time::ASN1Time;

use crate::regular_file;
use crate::reload::{self, Files, ReloadOutcome, WatcherHandle};
use crate::server::accept::tls::certificate::SUPPORTED_KEYS;

/// The files of TLS, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The service's certificate, followed by its intermediate certificates.
    pub cert: PathBuf,
    /// The private key of that certificate: PKCS#8, PKCS#1 or SEC1, unencrypted.
    pub key: PathBuf,
    /// The authorities that sign client certificates. If set, every client must present a certificate.
    pub client_ca: Option<PathBuf>,
}

/// TLS configuration for new connections, reloadable. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    http1: bool,
    watched: Files,
    loaded: ArcSwap<Loaded>,
}

/// What was read from the files.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// When the first certificate of the chain expires, in seconds since 1970.
    expiry: Option<i64>,
}

/// Error of loading the TLS files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is not PEM, or contains nothing usable.
    #[error("cannot use {path}; expected PEM with {expected}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: String,
    },
    /// The certificate or the key is of an unsupported kind.
    #[error("cannot use {path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The private key does not belong to the certificate.
    #[error("the key in {key} does not match the first certificate in {cert}; use a matching pair")]
    Mismatch {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
}

impl Tls {
    /// Loads the files. `http1` tells whether to offer HTTP/1.1 besides HTTP/2.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be read or used.
    pub fn load(files: TlsFiles, http1: bool) -> Result<Self, TlsError> {
        let paths = [&files.cert, &files.key].into_iter().chain(&files.client_ca);
        let watched = Files::new(paths.cloned().collect());
        let loaded = ArcSwap::from_pointee(load(&files, http1)?);
        Ok(Self(Arc::new(Inner { files, http1, watched, loaded })))
    }

    /// Returns the configuration for a new connection.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.loaded.load().config.clone()
    }

    /// Returns when the certificate, or one that leads to its authority, expires: the earliest time, in seconds since 1970.
    #[must_use]
    pub fn expiry(&self) -> Option<i64> {
        self.0.loaded.load().expiry
    }

    /// Reloads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be read or used; the previous configuration stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.0.loaded.store(Arc::new(load(&self.0.files, self.0.http1)?));
        Ok(())
    }

    /// Reloads the files when they change, on a thread of its own, until the last clone is dropped. Calls
    /// `report(true)` after a successful reload, `report(false)` after a failed one.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn watch(&self, report: impl Fn(bool) + Send + 'static) -> io::Result<WatcherHandle> {
        let reloaded = format!("reloaded the certificate {}", self.0.files.cert.display());
        let tls = Arc::downgrade(&self.0);
        reload::watch("tls", self.0.watched.clone(), report, move || {
            let Some(tls) = tls.upgrade() else { return ReloadOutcome::Unneeded };
            match Self(tls).reload() {
                Ok(()) => ReloadOutcome::Used(reloaded.clone()),
                Err(error) => {
                    let is_transient = matches!(error, TlsError::Read { .. });
                    ReloadOutcome::refused("the previous certificate stays in use", &error, is_transient)
                }
            }
        })
    }
}

/// Returns the subject names of the verified peer certificate: its DNS and URI alternative names or, only if it has
/// neither, its common names (RFC 6125, section 6.4.4). Empty without a peer certificate.
#[must_use]
pub fn peer_subject_names(connection: &ServerConnection) -> Vec<String> {
    connection.peer_certificates().and_then(<[_]>::first).map(certificate::subject_names).unwrap_or_default()
}

fn load(files: &TlsFiles, http1: bool) -> Result<Loaded, TlsError> {
    let TlsFiles { cert, key, client_ca } = files;
    let provider = Arc::new(ring::default_provider());
    let pair = pair(cert, key, &provider)?;
    let expiry = certificate::expiry(&pair.cert);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .expect("ring supports TLS 1.2 and 1.3");
    let builder = match client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    if http1 {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    Ok(Loaded { config: Arc::new(config), expiry })
}

/// Reads a certificate and its key.
fn pair(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert)?;
    if let Some(reason) = chain.first().and_then(certificate::unusable_reason) {
        return Err(TlsError::Unusable { path: cert.to_owned(), reason });
    }
    if let Some(warning) = chain.first().and_then(|first| certificate::warning(first, ASN1Time::now())) {
        warn!("clients will reject the certificate in {}: {warning}", cert.display());
    }
    let pem = read(key)?;
    if String::from_utf8_lossy(&pem).contains("ENCRYPTED") {
        let reason = "it is encrypted; `openssl pkey` writes it without a passphrase".to_owned();
        return Err(TlsError::Unusable { path: key.to_owned(), reason });
    }
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .ok()
        .and_then(|private| provider.key_provider.load_private_key(private).ok())
        .ok_or_else(|| no_key(key))?;
    let pair = CertifiedKey::new(chain, private);
    match pair.keys_match() {
        // Some key types cannot be compared with a certificate.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() })
        }
        Err(_) => Err(no_certificates(cert)),
    }
}

/// Returns the verifier of client certificates.
fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|_| no_certificates(path))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| no_certificates(path))
}

/// Reads the certificates of a file. Returns at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|all| !all.is_empty())
        .ok_or_else(|| no_certificates(path))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut content = Vec::new();
    let read = regular_file::open_to_read(path).and_then(|mut file| file.read_to_end(&mut content));
    read.map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    Ok(content)
}

fn no_certificates(path: &Path) -> TlsError {
    let expected =
        "one or more X.509 certificates, each in a complete `BEGIN CERTIFICATE` section".to_owned();
    TlsError::Invalid { path: path.to_owned(), expected }
}

fn no_key(path: &Path) -> TlsError {
    let expected = format!(
        "an unencrypted private key ({SUPPORTED_KEYS}) in a complete `BEGIN PRIVATE KEY`, `BEGIN RSA PRIVATE KEY` or \
         `BEGIN EC PRIVATE KEY` section"
    );
    TlsError::Invalid { path: path.to_owned(), expected }
}

#[cfg(test)]
mod tests;
