//! TLS: trust, mutual TLS, and reloads of the files.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use movie_proto::{Empty, MovieId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_stream::StreamExt;
use tonic::transport::ClientTlsConfig;

use crate::support::certificates::{Authority, Files, stub};
use crate::support::databases::database;
use crate::support::process;
use crate::support::process::{Service, bare_command, outcome};

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connects and makes a call. A failed handshake may show only at the first call.
async fn call(address: SocketAddr, tls: ClientTlsConfig) -> Result<(), Box<dyn std::error::Error>> {
    stub(address, tls).await?.get_movie_by_id(MovieId::default()).await?;
    Ok(())
}

#[tokio::test]
async fn only_clients_that_trust_the_authority_connect() {
    let files = Files::new();
    let service = Service::run(&mut files.command("movies.json"));
    call(service.address, files.authority.trusted()).await.unwrap();
    assert!(call(service.address, Authority::new().trusted()).await.is_err());
    assert!(call(service.address, ClientTlsConfig::new().domain_name("localhost")).await.is_err());
    let other_name = files.authority.trusted().domain_name("movies.example");
    assert!(call(service.address, other_name).await.is_err());
    call(service.address, files.authority.trusted()).await.unwrap();
}

#[tokio::test]
async fn the_tls_files_can_be_set_by_environment_variables() {
    let files = Files::new();
    files.write("ca.pem", &files.authority.pem());
    let mut command = process::command(&database("movies.json"));
    command
        .env("MOVIE_TLS_CERT", files.path("cert.pem"))
        .env("MOVIE_TLS_KEY", files.path("key.pem"))
        .env("MOVIE_TLS_CLIENT_CA", files.path("ca.pem"));
    let service = Service::run(&mut command);
    let identity = files.authority.pair("ops.example").identity();
    call(service.address, files.authority.trusted().identity(identity)).await.unwrap();
    assert!(call(service.address, files.authority.trusted()).await.is_err());
}

#[tokio::test]
async fn mutual_tls_requires_a_certificate_of_the_authority() {
    let files = Files::new();
    let service = Service::run(&mut files.mutual());
    let trusted = || files.authority.trusted();
    call(service.address, trusted().identity(files.authority.pair("a").identity())).await.unwrap();
    assert!(call(service.address, trusted()).await.is_err());
    let stranger = Authority::new().pair("a").identity();
    assert!(call(service.address, trusted().identity(stranger)).await.is_err());
}

#[tokio::test]
async fn plaintext_is_refused_and_http_1_1_is_selected_only_if_something_is_served_over_it() {
    let files = Files::new();
    let service = Service::run(&mut files.command("movies.json"));

    let mut plain = TcpStream::connect(service.address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut response = Vec::new();
    // At most an alert. The connection may also be reset.
    let _ = tokio::time::timeout(TIMEOUT, plain.read_to_end(&mut response)).await.unwrap();
    assert!(response.len() < 100, "{response:?}");

    assert_eq!(alpn(service.address, &files.authority, b"h2").await.unwrap(), b"h2");
    assert_eq!(alpn(service.address, &files.authority, b"http/1.1").await.unwrap(), b"http/1.1");
    let grpc_only = Service::run(files.command("movies.json").args(["--http", "off"]));
    let refused = alpn(grpc_only.address, &files.authority, b"http/1.1").await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");

    call(service.address, files.authority.trusted()).await.unwrap();
}

/// Offers a protocol by ALPN; returns the one that the service selects.
async fn alpn(address: SocketAddr, authority: &Authority, protocol: &[u8]) -> io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let stream =
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await?;
    Ok(stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec())
}

#[tokio::test]
async fn a_new_certificate_is_used_for_new_connections_only() {
    let files = Files::new();
    let mut service = Service::run(&mut files.command("films.json"));
    let mut old = stub(service.address, files.authority.trusted()).await.unwrap();
    // The list has a million bytes, of which the windows let about a hundred thousand through.
    let mut list = old.get_list_movies(Empty {}).await.unwrap().into_inner();
    list.message().await.unwrap().unwrap();

    let successor = Authority::new();
    files.write_pair(successor.pair("localhost"));
    let line = service.log_line_with("reloaded the certificate");
    assert!(line.contains("INFO") && line.contains("cert.pem"), "{line}");

    call(service.address, successor.trusted()).await.unwrap();
    assert!(call(service.address, files.authority.trusted()).await.is_err());
    let rest = list.map(|movie| movie.unwrap()).fold(0, |count, _| count + 1).await;
    assert_eq!(1 + rest, 17_470);
    old.get_movie_by_id(MovieId::default()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn sighup_reloads_the_certificate_at_once() {
    let files = Files::new();
    let mut service = Service::run(&mut files.command("movies.json"));
    // The files are unchanged, so only the signal can cause the reload.
    service.signal("HUP");
    service.log_line_with("reloaded the certificate");

    let successor = Authority::new();
    files.write_pair(successor.pair("localhost"));
    service.signal("HUP");
    service.log_line_with("reloaded the certificate");
    call(service.address, successor.trusted()).await.unwrap();
}

#[tokio::test]
async fn an_invalid_certificate_is_refused_and_the_previous_one_stays_in_use() {
    let files = Files::new();
    let mut service = Service::run(&mut files.command("movies.json"));
    let successor = Authority::new();
    files.write("key.pem", "not a key");
    let line = service.log_line_with("the previous certificate stays in use");
    assert!(
        line.contains("ERROR") && line.contains("key.pem") && line.contains("BEGIN PRIVATE KEY"),
        "{line}"
    );
    call(service.address, files.authority.trusted()).await.unwrap();

    files.write_pair(successor.pair("localhost"));
    service.log_line_with("reloaded the certificate");
    call(service.address, successor.trusted()).await.unwrap();
}

#[test]
fn an_expired_certificate_causes_a_warning() {
    let files = Files::new();
    let mut service = Service::run(&mut files.command("movies.json"));
    files.write_pair(files.authority.pair_until("localhost", 2001));
    let line = service.log_line_with("clients will reject the certificate");
    assert!(line.contains("WARN") && line.contains("cert.pem: it expired on Jan  1"), "{line}");
}

#[test]
fn invalid_tls_files_are_a_one_line_error() {
    let files = Files::new();
    files.write("key.pem", "not a key");
    let (status, _, stderr) = outcome(&mut files.command("movies.json"));
    assert!(!status.success());
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    for part in ["error: ", "key.pem", "BEGIN PRIVATE KEY"] {
        assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
    }
}

#[test]
fn a_certificate_without_its_key_and_a_key_without_its_certificate_are_refused() {
    for (given, missing) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let (status, _, stderr) = outcome(bare_command().args([given, "x.pem"]));
        assert!(!status.success());
        assert!(stderr.starts_with("error: ") && stderr.contains(missing), "{stderr}");
    }
}
