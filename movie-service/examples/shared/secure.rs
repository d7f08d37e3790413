//! Encrypted connections of the load generators.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What callers need for a service with TLS and tokens.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The certificate of the authority that the service's certificate is from, in PEM.
    pub(crate) authority: PathBuf,
    /// Value of the header `authorization`.
    pub(crate) authorization: HeaderValue,
}

impl Credentials {
    /// Reads the variables of the client, `MOVIE_TLS_CA` and `MOVIE_TOKEN`. Without the first one, connections are not encrypted.
    pub(crate) fn from_env() -> Result<Option<Self>, Box<dyn Error + Send + Sync>> {
        let Some(authority) = std::env::var_os("MOVIE_TLS_CA") else { return Ok(None) };
        let authorization = format!("Bearer {}", std::env::var("MOVIE_TOKEN")?).try_into()?;
        Ok(Some(Self { authority: authority.into(), authorization }))
    }
}

/// Connects over TLS, for a protocol (RFC 7301).
pub(crate) async fn connect(
    stream: TcpStream,
    authority: &Path,
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?)
}
