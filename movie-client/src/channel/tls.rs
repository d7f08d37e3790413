//! The TLS of a connection.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, ProtocolVersion, RootCertStore,
};

use crate::error::root_cause;
use crate::{Error, Tls};

const NO_TLS: &str = "it does not speak TLS; is it http instead of https?";

/// Encrypts connections.
#[derive(Clone)]
pub(super) struct Encryption(TlsConnector);

impl Encryption {
    pub(super) fn new(tls: &Tls) -> Result<Self, Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Config(format!("TLS: {error}")))?
            .with_root_certificates(authorities(tls)?);
        let mut config = match &tls.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(&identity.certificate, "the client's certificate")?;
                let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| {
                    Error::Config(format!("no private key in PEM is in the client's key: {error}"))
                })?;
                config.with_client_auth_cert(chain, key).map_err(|error| {
                    Error::Config(format!("the client's certificate and key cannot be used: {error}"))
                })?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Encrypts a connection to a host that has this name, and returns it with the version of TLS.
    pub(super) async fn encrypt(
        &self,
        name: &str,
        socket: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, &'static str)> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no certificate has a name like {name}"))
        })?;
        let stream = self.0.connect(name, socket).await.map_err(|error| {
            let hung_up =
                matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
            if hung_up { io::Error::other(NO_TLS) } else { error }
        })?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("it speaks TLS, but not HTTP/2"));
        }
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        Ok((stream, version))
    }
}

/// Reads why an address could not be connected to: the commonest mistakes do not say what they are.
pub(super) fn explained(address: &str, error: &io::Error) -> Error {
    let address = address.to_owned();
    if let Some(message) = certificate_refused(error) {
        return Error::Unauthenticated { address, message };
    }
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => Error::Untrusted {
            address,
            reason: "it is signed by no authority that is trusted here".to_owned(),
        },
        Some(rustls::Error::InvalidCertificate(error)) => {
            Error::Untrusted { address, reason: error.to_string() }
        }
        Some(rustls::Error::InvalidMessage(_)) => Error::Unreachable { address, reason: NO_TLS.to_owned() },
        _ => Error::Unreachable { address, reason: root_cause(error) },
    }
}

/// Returns what to say of a peer that does not take the client's certificate, or misses one, if that is what is wrong.
pub(super) fn certificate_refused(error: &io::Error) -> Option<String> {
    use AlertDescription as Alert;
    let Some(rustls::Error::AlertReceived(alert)) = error.get_ref()?.downcast_ref() else { return None };
    let is_refused = matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    );
    if *alert == Alert::CertificateRequired {
        Some("it wants a certificate of the client".to_owned())
    } else {
        is_refused.then(|| format!("it does not take the client's certificate ({alert:?})"))
    }
}

fn authorities(tls: &Tls) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = &tls.authorities {
        for certificate in certificates(pem, "the authorities' certificates")? {
            let refused =
                |error| Error::Config(format!("an authority's certificate cannot be used: {error}"));
            store.add(certificate).map_err(refused)?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(Error::Config(format!(
                "this machine has no list of authorities to trust{why}; name the certificate of the service's authority"
            )));
        }
    }
    Ok(store)
}

/// Reads certificates in PEM, at least one.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::Config(format!("no certificate in PEM is in {what}"))),
        Err(error) => Err(Error::Config(format!("{what} cannot be read: {error}"))),
    }
}
