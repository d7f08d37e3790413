//! TLS of a connection.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, InconsistentKeys, OtherError, ProtocolVersion,
    RootCertStore,
};

use super::certificate::{self, CertificateFault, SUPPORTED_KEYS, UNSUPPORTED};
use super::verifier::Verifier;
use crate::error::{escape_for_display, root_cause};
use crate::{Error, Identity, Tls};

/// Longest wait for the response of a server that may not use TLS.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Connection preface of an HTTP/2 client: the magic and an empty SETTINGS frame (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The server speaks HTTP/2 without TLS.
#[derive(Debug, thiserror::Error)]
#[error("the server does not use TLS")]
struct PlaintextServer;

/// TLS configuration of a client.
#[derive(Clone)]
pub(super) struct Encryption(TlsConnector);

impl Encryption {
    pub(super) fn new(tls: &Tls) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let (roots, trusted) = authorities(tls)?;
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::Config(format!("TLS: {error}")))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Config(format!("TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(webpki, trusted)));
        let mut config = match &tls.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = pair(identity)?;
                let fault = chain.first().and_then(certificate::identity_fault);
                config.with_client_auth_cert(chain, key).map_err(|error| unusable_pair(&error, fault))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Performs the TLS handshake with the host of this name. Returns the stream and the version of TLS.
    pub(super) async fn encrypt(
        &self,
        name: &str,
        socket: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, &'static str)> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` is not a host name that a certificate can have"),
            )
        })?;
        let address = socket.peer_addr()?;
        let stream = match self.0.connect(name, socket).await {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
            {
                return Err(explain_hang_up(address).await);
            }
            stream => stream?,
        };
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server uses TLS, but not HTTP/2"));
        }
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        Ok((stream, version))
    }
}

/// Returns the error for a server that closed the connection during the TLS handshake. A server without TLS does that,
/// but so does one that is overloaded, to which a retry may help.
async fn explain_hang_up(address: SocketAddr) -> io::Error {
    let probe = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(HTTP2_PREFACE).await?;
        // A SETTINGS frame begins with the byte 0, a TLS alert with another one.
        Ok::<_, io::Error>(socket.read_u8().await? == 0)
    };
    match timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(true)) => io::Error::other(PlaintextServer),
        _ => io::Error::other("the server closed the connection during the TLS handshake"),
    }
}

/// Converts an error of connecting. Common configuration mistakes get a specific text.
pub(super) fn explain(address: &str, error: &io::Error) -> Error {
    let address = address.to_owned();
    if let Some(message) = certificate_refused(error) {
        return Error::Unauthenticated { address, message };
    }
    if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<PlaintextServer>) {
        return Error::TlsMismatch { address, server_uses_tls: false };
    }
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(fault))))
            if fault.is::<CertificateFault>() =>
        {
            Error::UntrustedCertificate { address, reason: escape_for_display(&fault.to_string()) }
        }
        // An error of the handshake signature. A fault of the certificate itself is a `CertificateFault`.
        Some(rustls::Error::InvalidCertificate(_)) => Error::UntrustedCertificate {
            address,
            reason: "the server does not have its private key".to_owned(),
        },
        Some(rustls::Error::InvalidMessage(_)) => Error::TlsMismatch { address, server_uses_tls: false },
        Some(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            let reason =
                format!("the server has no supported cipher suite or key; the key must be {SUPPORTED_KEYS}");
            Error::Unreachable { address, reason }
        }
        _ => Error::Unreachable { address, reason: root_cause(error) },
    }
}

/// Returns the error text if the server rejected the client's certificate, or requires one.
pub(super) fn certificate_refused(error: &io::Error) -> Option<String> {
    use AlertDescription as Alert;
    let Some(rustls::Error::AlertReceived(alert)) = error.get_ref()?.downcast_ref() else { return None };
    let refusals = [
        (Alert::CertificateExpired, ": the certificate has expired or is not valid yet"),
        (Alert::UnknownCA, ": its authority is unknown to the server"),
        (Alert::DecryptError, ": a signature is invalid"),
        (Alert::UnsupportedCertificate, ": its type is not supported"),
        (Alert::BadCertificate, ""),
        (Alert::CertificateUnknown, ""),
    ];
    if *alert == Alert::CertificateRequired {
        return Some("the server requires a client certificate".to_owned());
    }
    let (_, why) = refusals.iter().find(|(refusal, _)| refusal == alert)?;
    Some(format!("the server rejects the client's certificate{why}"))
}

/// Returns the trusted authorities, and the configured certificates.
fn authorities(tls: &Tls) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let mut store = RootCertStore::empty();
    let mut trusted = Vec::new();
    if let Some(pem) = &tls.authorities {
        trusted = certificates(pem, "the authorities' certificates")?;
        let mut unusable = None;
        for certificate in &trusted {
            match certificate::trust_fault(certificate) {
                Some(fault) => unusable = unusable.or(Some(fault)),
                None => store.add(certificate.clone()).map_err(|_| unusable_authority(UNSUPPORTED))?,
            }
        }
        // A bundle may contain some unsupported certificates.
        if let Some(fault) = unusable.filter(|_| store.is_empty()) {
            return Err(unusable_authority(&fault));
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(Error::Config(format!(
                "the operating system has no trusted certificate authorities{why}; give the certificate of the service's authority"
            )));
        }
    }
    Ok((store, trusted))
}

fn unusable_authority(fault: &str) -> Error {
    Error::Config(format!("an authority's certificate cannot be used: {fault}"))
}

/// Parses the client's certificate chain and its private key.
fn pair(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = certificates(&identity.certificate, "the client's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| {
        let is_encrypted = String::from_utf8_lossy(&identity.key).contains("ENCRYPTED");
        Error::Config(if is_encrypted {
            "the client's private key is encrypted; decrypt it with `openssl pkey`".to_owned()
        } else {
            "the client's key has no private key in PEM".to_owned()
        })
    })?;
    Ok((chain, key))
}

/// Returns the error for an unusable certificate or key. `fault` describes the certificate itself.
fn unusable_pair(error: &rustls::Error, fault: Option<String>) -> Error {
    Error::Config(match (error, fault) {
        (_, Some(fault)) => format!("the client's certificate cannot be used: {fault}"),
        (rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch), None) => {
            "the client's key does not match its certificate".to_owned()
        }
        (_, None) => format!("the client's key cannot be used: expected {SUPPORTED_KEYS}"),
    })
}

/// Parses at least one certificate in PEM.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::Config(format!("no certificate in PEM found in {what}"))),
        Err(_) => Err(Error::Config(format!(
            "{what} cannot be read: expected PEM with a complete section `BEGIN CERTIFICATE` for each certificate"
        ))),
    }
}
