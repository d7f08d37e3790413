//! Verification of the service's certificate.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate;

/// Verifies certificates with webpki, and describes why one is rejected.
///
/// It accepts one kind that webpki rejects: the self-signed certificate of an authority (CA:TRUE) that the service
/// presents itself, as `openssl req -x509` creates it. The certificate must be byte for byte one of the trusted ones.
/// Its names, its validity period and the handshake signature are verified as well.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    /// Trusted certificates that a service may present itself.
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Creates a verifier. The `trusted` certificates are among the roots of `webpki`.
    pub(super) fn new(webpki: Arc<WebPkiServerVerifier>, mut trusted: Vec<CertificateDer<'static>>) -> Self {
        trusted.retain(certificate::is_self_signed_authority);
        Self { webpki, pinned: trusted }
    }
}

fn verify_pinned(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    certificate::check(certificate, now)?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| CertificateError::BadEncoding)?;
    verify_server_name(&parsed, name)?;
    Ok(ServerCertVerified::assertion())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = if self.pinned.contains(end_entity) {
            verify_pinned(end_entity, name, now)
        } else {
            self.webpki.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        verified.map_err(|error| certificate::explain(&error, end_entity, name))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
