//! TLS, client certificates and tokens.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use movie_client::{Client, Config, Error, Identity, Token};
use movie_service::access::token;
use movie_service::rpc::Role;
use movie_service::server::accept::tls::{Tls, TlsFiles};
use movie_service::server::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::certificates::{Authority, Pair};
use crate::support::service::{Service, SharedStore, access, empty};
use crate::support::{config, in_time, movie};

/// Issues a client certificate for this name.
fn identity(authority: &Authority, name: &str) -> Identity {
    let Pair { cert, key } = authority.pair(name);
    Identity { certificate: cert.into(), key: key.into() }
}

/// Starts a service with a certificate for this name. If `is_mutual`, it requires a client certificate.
fn service(authority: &Authority, name: &str, is_mutual: bool) -> Service {
    let Pair { cert, key } = authority.pair(name);
    service_with(&cert, &key, is_mutual.then(|| authority.pem()))
}

/// Starts a service with this certificate and key. With `client_ca`, it requires a client certificate.
pub(crate) fn service_with(cert: &str, key: &str, client_ca: Option<String>) -> Service {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (write("cert.pem", cert), write("key.pem", key));
    let client_ca = client_ca.map(|authority| write("ca.pem", &authority));
    let tls = Tls::load(TlsFiles { cert, key, client_ca }, false).unwrap();
    Service::start(Server { tls: Some(tls), ..empty() })
}

/// Returns a configuration for a local port that trusts this authority, in PEM.
pub(crate) fn trusting_config(authority: &str, address: SocketAddr) -> Config {
    let mut config = config([]);
    config.addresses = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
    config.tls.authorities = Some(authority.into());
    config
}

/// Returns the number of movies of the service.
pub(crate) async fn count(config: &Config) -> Result<u64, Error> {
    Ok(in_time(Client::connect(config)?.catalog()).await?.movie_count)
}

/// Asserts that a service is not trusted, and that the reason contains this text.
pub(crate) async fn assert_untrusted(config: &Config, part: &str) {
    let error = count(config).await.unwrap_err();
    let Error::UntrustedCertificate { address, reason } = &error else { panic!("{error:?}") };
    assert!(address.starts_with("localhost:"), "{address}");
    assert!(reason.contains(part) && !error.to_string().contains('\n'), "{error}");
}

/// Asserts that a service is unreachable, and that the reason contains this text.
async fn assert_unreachable(config: &Config, part: &str) {
    let error = count(config).await.unwrap_err();
    let Error::Unreachable { address, reason } = &error else { panic!("{error:?}") };
    assert!(address.starts_with("localhost:"), "{address}");
    assert!(reason.contains(part) && !error.to_string().contains('\n'), "{error}");
}

#[tokio::test]
async fn a_service_with_a_trusted_authority_is_called() {
    let authority = Authority::new();
    let service = service(&authority, "localhost", false);
    assert_eq!(count(&trusting_config(&authority.pem(), service.socket_address())).await.unwrap(), 0);
}

#[tokio::test]
async fn a_service_with_an_untrusted_authority_is_not_called() {
    let service = service(&Authority::new(), "localhost", false);
    let mut config = trusting_config(&Authority::new().pem(), service.socket_address());
    assert_untrusted(&config, "no trusted authority").await;
    config.tls.authorities = Some(b"no certificate".to_vec());
    let error = count(&config).await.unwrap_err();
    assert_eq!(
        error,
        Error::Config("no certificate in PEM found in the authorities' certificates".to_owned())
    );
}

#[tokio::test]
async fn a_service_with_a_certificate_for_another_name_is_not_called() {
    let authority = Authority::new();
    let service = service(&authority, "movies.example", false);
    assert_untrusted(&trusting_config(&authority.pem(), service.socket_address()), "movies.example").await;
}

#[tokio::test]
async fn the_client_presents_its_certificate_on_request() {
    let authority = Authority::new();
    let service = service(&authority, "localhost", true);
    let mut config = trusting_config(&authority.pem(), service.socket_address());
    config.tls.identity = Some(identity(&authority, "a"));
    assert_eq!(count(&config).await.unwrap(), 0);
}

#[tokio::test]
async fn a_missing_or_untrusted_client_certificate_is_reported() {
    let authority = Authority::new();
    let service = service(&authority, "localhost", true);
    let mut config = trusting_config(&authority.pem(), service.socket_address());
    for (identity, part) in [
        (None, "the server requires a client certificate"),
        (
            Some(identity(&Authority::new(), "a")),
            "the server rejects the client's certificate: a signature is invalid",
        ),
    ] {
        config.tls.identity = identity;
        let error = count(&config).await.unwrap_err();
        let Error::Unauthenticated { message, .. } = &error else { panic!("{error:?}") };
        assert!(message.contains(part), "{error}");
    }
    let Identity { certificate, .. } = identity(&authority, "a");
    let other = identity(&authority, "a").key;
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (key, expected) in [
        ("no key".into(), "the client's key has no private key in PEM"),
        (encrypted.into(), "the client's private key is encrypted; decrypt it with `openssl pkey`"),
        (other, "the client's key does not match its certificate"),
    ] {
        config.tls.identity = Some(Identity { certificate: certificate.clone(), key });
        assert_eq!(count(&config).await.unwrap_err(), Error::Config(expected.to_owned()));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_reported() {
    let service = Service::start(empty());
    let address = service.socket_address();
    let error = count(&trusting_config(&Authority::new().pem(), address)).await.unwrap_err();
    let address = format!("localhost:{} ({})", address.port(), address.ip());
    assert_eq!(error, Error::TlsMismatch { address, server_uses_tls: false });
}

#[tokio::test]
async fn a_call_is_not_retried_if_only_one_side_uses_tls() {
    // A fatal alert, unexpected_message (RFC 8446 §6), and an empty SETTINGS frame (RFC 9113 §6.5).
    let (alert, settings) = (&[0x15, 3, 3, 0, 2, 2, 10][..], &[0, 0, 0, 4, 0, 0, 0, 0, 0][..]);
    for (first_bytes, server_uses_tls) in [(alert, true), (settings, false)] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let _ = socket.write_all(first_bytes).await;
                let _ = socket.read_to_end(&mut Vec::new()).await;
            }
        });
        let config = if server_uses_tls {
            config([address])
        } else {
            trusting_config(&Authority::new().pem(), address)
        };
        let error = count(&config).await.unwrap_err();
        assert!(
            matches!(error, Error::TlsMismatch { server_uses_tls: found, .. } if found == server_uses_tls),
            "{error:?}"
        );
        assert_eq!(connections.load(Ordering::Relaxed), 1, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_the_connection_during_the_tls_handshake_is_tried_again() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let config = trusting_config(&Authority::new().pem(), listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_unreachable(&config, "closed the connection during the TLS handshake").await;
    assert!(connections.load(Ordering::Relaxed) > 2);
}

#[tokio::test]
async fn a_server_without_a_supported_key_is_reported() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let config = trusting_config(&Authority::new().pem(), listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // A fatal alert, handshake_failure (RFC 8446 §6).
            let _ = socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    assert_unreachable(&config, "no supported cipher suite or key").await;
}

#[tokio::test]
async fn a_server_with_tls_is_reported_to_a_client_without() {
    let service = service(&Authority::new(), "localhost", false);
    let address = service.socket_address();
    let error = count(&config([address])).await.unwrap_err();
    assert_eq!(error, Error::TlsMismatch { address: address.to_string(), server_uses_tls: true });
}

#[tokio::test]
async fn a_server_without_http_2_is_reported() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let error = count(&config([address])).await.unwrap_err();
    let expected = format!("{address} is not a gRPC service: it uses HTTP/1.1, but gRPC needs HTTP/2");
    assert_eq!((error.to_string(), error.is_temporary()), (expected, false));
}

#[tokio::test]
async fn a_token_authenticates_the_caller_and_grants_its_role() {
    let make = |name, role| token::make(name, role).ok().unwrap();
    let (reader, writer) = (make("alice", Role::Reader), make("bob", Role::Writer));
    let access = access(&format!("{}\n{}\n", reader.line, writer.line));
    let service = SharedStore::with_change_log(10).start_with_access(access);
    let client = |token: Option<&str>| {
        let token = token.map(|token| Token::new(token).unwrap());
        Client::connect(&Config { token, ..config([service.socket_address()]) }).unwrap()
    };

    client(Some(&writer.token)).create(movie("a", "A")).await.unwrap();
    assert_eq!(client(Some(&reader.token)).get("a").await.unwrap().title, "A");
    let address = &service.address;
    let error = client(Some(&reader.token)).delete("a", None).await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("{address} denied permission: this call needs the role of a writer")
    );
    for (token, part) in [(None, "Bearer TOKEN"), (Some("wrong"), "the token is unknown")] {
        let error = client(token).get("a").await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
        assert!(
            error.to_string().starts_with(&format!("{address} did not authenticate the caller: ")),
            "{error}"
        );
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn without_tokens_the_catalogue_is_read_only() {
    let service = Service::start(empty());
    let error = service.client().create(movie("a", "A")).await.unwrap_err();
    assert!(matches!(error, Error::AnonymousWrite { .. }), "{error}");
}
