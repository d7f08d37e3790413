//! Trust in the certificates of services, and the errors for rejected ones.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use movie_client::{Config, Error, Identity};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::tls::{assert_untrusted, count, service_with, trusting_config};
use crate::support::service::Service;
use crate::support::{certificates, config};

/// A self-signed certificate and its key, in PEM.
struct SelfSigned {
    certificate: String,
    key: String,
}

impl SelfSigned {
    /// Creates the certificate of an authority for `localhost`, like `openssl req -x509`, with changed parameters.
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Reads the files that openssl has created.
    fn read(directory: &Path) -> Self {
        let read = |name| fs::read_to_string(directory.join(name)).unwrap();
        Self { certificate: read("cert.pem"), key: read("key.pem") }
    }

    /// Starts a service with this certificate.
    fn serve(&self) -> Service {
        service_with(&self.certificate, &self.key, None)
    }

    /// Calls a service with this certificate from a client that trusts it.
    async fn call_service(&self) -> Result<u64, Error> {
        let service = self.serve();
        count(&self.trusting_config(service.socket_address())).await
    }

    /// Returns a configuration for a local port that trusts this certificate.
    fn trusting_config(&self, address: SocketAddr) -> Config {
        trusting_config(&self.certificate, address)
    }
}

/// Starts a server that only performs the TLS handshake. Unlike the service, it accepts any certificate and key.
async fn handshake_server(certificate: &str, key: &str) -> SocketAddr {
    let provider = ring::default_provider();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let pair = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(pair));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = acceptor.accept(socket).await;
        }
    });
    address
}

/// Runs openssl in a directory, with arguments that contain no spaces. Returns `false` if openssl is not installed.
fn openssl(directory: &Path, arguments: &str) -> bool {
    certificates::openssl(directory, arguments.split(' '))
}

#[tokio::test]
async fn a_trusted_self_signed_certificate_is_accepted_with_or_without_ca_true() {
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa, IsCa::NoCa] {
        let certificate = SelfSigned::new(|params| params.is_ca = is_ca);
        assert_eq!(certificate.call_service().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_invalid_self_signed_certificate_is_rejected_with_its_fault() {
    type Change = fn(&mut CertificateParams);
    let invalid: [(Change, &str); 6] = [
        (|params| params.not_after = date_time_ymd(2001, 2, 3), "it expired on Feb  3 00:00:00 2001 +00:00"),
        (
            |params| params.not_before = date_time_ymd(2999, 1, 1),
            "it is not valid before Jan  1 00:00:00 2999 +00:00",
        ),
        (
            |params| params.subject_alt_names.clear(),
            "it has no subjectAltName; its common name `localhost` is ignored",
        ),
        (
            |params| {
                let address = SanType::IpAddress(Ipv4Addr::new(192, 0, 2, 1).into());
                params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap()), address];
            },
            "it is for a.example, 192.0.2.1, not for localhost",
        ),
        (
            |params| {
                params.subject_alt_names = vec![SanType::Rfc822Name("boss@a.example".try_into().unwrap())];
            },
            "its subjectAltName has no host",
        ),
        (
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            "its extended key usage lacks serverAuth",
        ),
    ];
    for (change, reason) in invalid {
        for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa] {
            let certificate = SelfSigned::new(|params| {
                params.is_ca = is_ca;
                change(params);
            });
            let error = certificate.call_service().await.unwrap_err();
            assert!(
                matches!(&error, Error::UntrustedCertificate { reason: actual, .. } if actual == reason),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn an_imitation_of_a_trusted_self_signed_certificate_is_rejected() {
    let (trusted, other) = (SelfSigned::new(|_| {}), SelfSigned::new(|_| {}));
    let service = other.serve();
    let config = trusted.trusting_config(service.socket_address());
    assert_untrusted(&config, "it is the certificate of an untrusted authority (CA:TRUE)").await;

    // The certificate is public; its key is not.
    let address = handshake_server(&trusted.certificate, &other.key).await;
    assert_untrusted(&trusted.trusting_config(address), "the server does not have its private key").await;
}

#[tokio::test]
async fn self_signed_certificates_of_openssl_are_accepted_or_rejected_with_their_fault() {
    const SELF_SIGNED: &str = "req -x509 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem";
    const SAN: &str = "-addext subjectAltName=DNS:localhost";
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256", "ed25519"] {
        for kind in ["", " -addext basicConstraints=critical,CA:FALSE"] {
            if !openssl(directory, &format!("{SELF_SIGNED} -newkey {key} {SAN}{kind}")) {
                return;
            }
            assert_eq!(SelfSigned::read(directory).call_service().await.unwrap(), 0, "{key}{kind}");
        }
    }

    openssl(directory, &format!("{SELF_SIGNED} -newkey rsa:2048"));
    let error = SelfSigned::read(directory).call_service().await.unwrap_err();
    assert!(error.to_string().contains("it has no subjectAltName; its common name `localhost`"), "{error}");

    for (key, kind) in [("ec -pkeyopt ec_paramgen_curve:P-521", "P-521"), ("rsa:1024", "RSA with 1024 bits")]
    {
        openssl(directory, &format!("{SELF_SIGNED} -newkey {key} {SAN}"));
        let config = SelfSigned::read(directory).trusting_config(([127, 0, 0, 1], 1).into());
        let error = count(&config).await.unwrap_err().to_string();
        let expected = format!("an authority's certificate cannot be used: {kind} is not supported; ");
        assert!(error.starts_with(&expected), "{error}");
    }

    openssl(
        directory,
        "req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem",
    );
    openssl(directory, "x509 -req -in request.pem -signkey key.pem -out cert.pem");
    let old = SelfSigned::read(directory);
    let address = handshake_server(&old.certificate, &old.key).await;
    assert_untrusted(
        &old.trusting_config(address),
        "it is a version 1 certificate, which has no subjectAltName",
    )
    .await;

    let SelfSigned { certificate, key } = old;
    let mut config = config([]);
    config.addresses = vec!["https://localhost:1".parse().unwrap()];
    config.tls.identity = Some(Identity { certificate: certificate.into(), key: key.into() });
    let error = count(&config).await.unwrap_err().to_string();
    assert!(error.starts_with("the client's certificate cannot be used: it is a version 1"), "{error}");
}
