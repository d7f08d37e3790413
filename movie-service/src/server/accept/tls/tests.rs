use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair, SanType,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ProtocolVersion, SupportedProtocolVersion};

use super::*;
use crate::regular_file::tests::{ends, replace_by_fifo};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A folder with a certificate for `localhost` and its key.
struct Fixture {
    dir: tempfile::TempDir,
    authority: Authority,
    files: TlsFiles,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files =
            TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem"), client_ca: None };
        let fixture = Self { dir, authority: authority(), files };
        fixture.write_pair();
        fixture
    }

    /// Requires client certificates that the authority has signed.
    fn mutual(mut self) -> Self {
        let path = self.dir.path().join("ca.pem");
        fs::write(&path, self.authority.pem()).unwrap();
        self.files.client_ca = Some(path);
        self
    }

    /// Writes a new certificate and its key.
    fn write_pair(&self) {
        let (cert, key) = signed(&self.authority, "localhost");
        fs::write(&self.files.cert, cert).unwrap();
        fs::write(&self.files.key, key).unwrap();
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.files.clone(), false)
    }

    /// Asserts that the files are refused with an error that contains `parts`.
    fn assert_refused(&self, parts: &[&str]) {
        let ReloadOutcome::Refused { why, .. } =
            ReloadOutcome::refused("refused", &self.load().unwrap_err(), false)
        else {
            panic!("it is not refused");
        };
        for part in parts {
            assert!(why.contains(part), "{part:?} is missing: {why}");
        }
    }

    /// A client that trusts the authority, and presents a certificate for `ops.example` by this signer, if any.
    fn client(&self, version: &'static SupportedProtocolVersion, signer: Option<&Authority>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match signer {
            None => builder.with_no_client_auth(),
            Some(signer) => {
                let (cert, key) = signed(signer, "ops.example");
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Creates a certificate and its key, in PEM.
fn signed(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let uri = format!("spiffe://{name}").try_into().unwrap();
    let params = named(&format!("{name} itself"), vec![dns(name), SanType::URI(uri)]);
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// Parameters of a certificate with these names.
fn named(common: &str, alternatives: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common);
    params.subject_alt_names = alternatives;
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// Performs a TLS handshake in memory.
fn handshake(tls: &Tls, client: ClientConfig) -> Result<(ClientConnection, ServerConnection), Error> {
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap())?;
    let mut server = ServerConnection::new(tls.config())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        server.read_tls(&mut sent.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut response = Vec::new();
        server.write_tls(&mut response).unwrap();
        client.read_tls(&mut response.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
fn tls_1_2_and_1_3_negotiate_http_2() {
    let fixture = Fixture::new();
    let tls = fixture.load().unwrap();
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let (client, server) = handshake(&tls, fixture.client(version, None)).unwrap();
        assert_eq!(client.protocol_version(), Some(expected));
        assert_eq!(client.alpn_protocol(), Some(b"h2".as_slice()));
        assert!(peer_subject_names(&server).is_empty());
    }
}

#[test]
fn http_1_1_is_offered_only_if_configured() {
    let fixture = Fixture::new();
    let client = || {
        let mut client = fixture.client(&TLS13, None);
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client
    };
    let error = handshake(&fixture.load().unwrap(), client()).unwrap_err();
    assert!(matches!(error, Error::NoApplicationProtocol), "{error}");
    let (client, _) = handshake(&Tls::load(fixture.files.clone(), true).unwrap(), client()).unwrap();
    assert_eq!(client.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[test]
fn with_a_client_authority_each_client_needs_a_certificate_signed_by_it() {
    let fixture = Fixture::new().mutual();
    let tls = fixture.load().unwrap();
    for version in [&TLS12, &TLS13] {
        let (_, server) = handshake(&tls, fixture.client(version, Some(&fixture.authority))).unwrap();
        assert_eq!(peer_subject_names(&server), ["ops.example", "spiffe://ops.example"]);

        let error = handshake(&tls, fixture.client(version, None)).unwrap_err();
        assert!(matches!(error, Error::NoCertificatesPresented), "{error}");

        let stranger = authority();
        let error = handshake(&tls, fixture.client(version, Some(&stranger))).unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
    }
}

#[test]
fn common_names_are_used_only_without_dns_and_uri_alternative_names() {
    let email = || SanType::Rfc822Name("boss@b.example".try_into().unwrap());
    let uri = || SanType::URI("spiffe://b".try_into().unwrap());
    let address = || SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
    for (alternatives, expected) in [
        (vec![], "boss"),
        (vec![email(), address()], "boss"),
        (vec![dns("b.example")], "b.example"),
        (vec![email(), uri()], "spiffe://b"),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate = named("boss", alternatives).self_signed(&key).unwrap();
        assert_eq!(certificate::subject_names(certificate.der()), [expected]);
    }
}

#[test]
fn common_names_are_not_used_if_alternative_names_are_unreadable() {
    // The extension (RFC 5280, section 4.2.1.6) is not a sequence, or it has a DNS name that is not ASCII.
    for content in [vec![0x05, 0x00], vec![0x30, 0x03, 0x82, 0x01, 0xff]] {
        let mut params = named("boss", vec![]);
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content.clone()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(certificate::subject_names(certificate.der()).is_empty(), "{content:?}");
    }
}

#[test]
fn a_reload_affects_new_connections_only() {
    let fixture = Fixture::new();
    let tls = fixture.load().unwrap();
    let (mut old_client, mut old_server) = handshake(&tls, fixture.client(&TLS13, None)).unwrap();
    fixture.write_pair();
    tls.clone().reload().unwrap();
    let (new_client, _) = handshake(&tls, fixture.client(&TLS13, None)).unwrap();
    assert_ne!(old_client.peer_certificates(), new_client.peer_certificates());

    let mut sent = Vec::new();
    old_client.writer().write_all(b"still here").unwrap();
    old_client.write_tls(&mut sent).unwrap();
    old_server.read_tls(&mut sent.as_slice()).unwrap();
    old_server.process_new_packets().unwrap();
    let mut received = [0; 10];
    old_server.reader().read_exact(&mut received).unwrap();
    assert_eq!(&received, b"still here");
}

#[test]
fn a_mismatched_pair_is_refused_and_the_previous_one_stays_in_use() {
    let fixture = Fixture::new();
    let tls = fixture.load().unwrap();
    let before = tls.config();
    fs::write(&fixture.files.key, signed(&fixture.authority, "localhost").1).unwrap();
    let error = tls.reload().unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }));
    let error = error.to_string();
    for part in ["cert.pem", "key.pem", "matching pair"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(Arc::ptr_eq(&before, &tls.config()));
}

#[test]
fn a_file_that_becomes_a_pipe_is_refused_and_the_previous_pair_stays_in_use() {
    let fixture = Fixture::new();
    let tls = fixture.load().unwrap();
    let before = tls.config();
    replace_by_fifo(&fixture.files.key);
    let reloaded = tls.clone();
    assert!(matches!(ends(move || reloaded.reload()), Err(TlsError::Read { .. })));
    assert!(Arc::ptr_eq(&before, &tls.config()));
}

#[test]
fn unusable_files_are_refused_with_their_name_and_the_expected_content() {
    let fixture = Fixture::new().mutual();
    let TlsFiles { cert, key, client_ca } = &fixture.files;
    for path in [cert, key, client_ca.as_ref().unwrap()] {
        let name = path.file_name().unwrap().to_str().unwrap();
        let good = fs::read_to_string(path).unwrap();

        fs::remove_file(path).unwrap();
        fixture.assert_refused(&["cannot read ", name, "No such file"]);

        let expected = if path == key { "BEGIN PRIVATE KEY" } else { "BEGIN CERTIFICATE" };
        for text in ["", "not PEM", &good[..good.len() / 2]] {
            fs::write(path, text).unwrap();
            fixture.assert_refused(&[name, expected]);
        }

        // Well-formed PEM without usable content.
        let label = if path == key { "PRIVATE KEY" } else { "CERTIFICATE" };
        fs::write(path, format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")).unwrap();
        fixture.assert_refused(&["cannot use ", name, "; expected ", expected]);
        fs::write(path, good).unwrap();
    }
    fixture.load().unwrap();
}

#[test]
fn a_certificate_that_clients_will_reject_is_used_with_a_warning() {
    let warning = |change: fn(&mut CertificateParams)| {
        let mut params = named("films", vec![dns("localhost")]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let fixture = Fixture::new();
        fs::write(&fixture.files.cert, certificate.pem()).unwrap();
        fs::write(&fixture.files.key, key.serialize_pem()).unwrap();
        fixture.load().unwrap();
        certificate::warning(certificate.der(), ASN1Time::now())
    };
    assert_eq!(warning(|_| {}), None);
    let expired = warning(|params| params.not_after = rcgen::date_time_ymd(2001, 2, 3));
    assert_eq!(expired.as_deref(), Some("it expired on Feb  3 00:00:00 2001 +00:00"));
    let early = warning(|params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    assert_eq!(early.as_deref(), Some("it is not valid before Jan  1 00:00:00 2999 +00:00"));
    let nameless = warning(|params| params.subject_alt_names.clear());
    assert_eq!(nameless.as_deref(), Some("it has no subjectAltName, and clients ignore the common name"));
}

/// Runs openssl in a folder. The arguments are separated by spaces. Returns `false` if openssl is not installed.
fn openssl(folder: &Path, arguments: &str) -> bool {
    match Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let _ = writeln!(io::stderr(), "skipped: openssl is not installed");
            false
        }
    }
}

#[test]
fn certificates_of_openssl_are_used_or_refused_with_a_reason() {
    const SELF_SIGNED: &str = "req -x509 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem";
    let fixture = Fixture::new();
    let folder = fixture.dir.path();
    for arguments in ["-newkey rsa:2048", "-newkey rsa:2048 -addext basicConstraints=CA:FALSE"] {
        if !openssl(folder, &format!("{SELF_SIGNED} {arguments}")) {
            return;
        }
        fixture.load().unwrap();
    }

    openssl(folder, &format!("{SELF_SIGNED} -newkey ec -pkeyopt ec_paramgen_curve:P-521"));
    fixture.assert_refused(&["cert.pem: P-521 is not supported", "P-256"]);
    openssl(folder, &format!("{SELF_SIGNED} -newkey rsa:1024"));
    fixture.assert_refused(&["cert.pem: RSA with 1024 bits is not supported", "2048"]);
    openssl(folder, &format!("{SELF_SIGNED} -newkey ed448"));
    fixture.assert_refused(&["cert.pem: the algorithm 1.3.101.113 is not supported", "Ed25519"]);

    openssl(folder, "req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem");
    openssl(folder, "x509 -req -in request.pem -signkey key.pem -out cert.pem");
    fixture.assert_refused(&["cert.pem: it is a version 1 certificate", "subjectAltName"]);

    openssl(folder, &SELF_SIGNED.replace("-nodes", "-newkey rsa:2048 -passout pass:secret"));
    fixture.assert_refused(&["key.pem: it is encrypted; `openssl pkey` writes it without"]);
}
