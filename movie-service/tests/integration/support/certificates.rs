//! Certificates for tests, and stubs that use them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use movie_proto::movie_client::MovieClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::databases::database;
use super::process::command;

pub(crate) use self::authority::{Authority, Pair};

#[path = "../../../../movie-client/tests/support/certificates.rs"]
#[allow(dead_code, reason = "the tests of the client use the rest")]
mod authority;

/// The TLS files of a service, in a temporary folder, and the authority that signed them.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Authority {
    /// Returns the settings of a client that trusts it.
    pub(crate) fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem())).domain_name("localhost")
    }
}

impl Pair {
    /// Returns the identity of a client with this certificate.
    pub(crate) fn identity(self) -> Identity {
        Identity::from_pem(self.cert, self.key)
    }
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap(), authority: Authority::new() };
        files.write_pair(files.authority.pair("localhost"));
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes the certificate and the key of the service.
    pub(crate) fn write_pair(&self, pair: Pair) {
        let Pair { cert, key } = pair;
        self.write("cert.pem", &cert);
        self.write("key.pem", &key);
    }

    /// Returns the command that runs the service with TLS over a database of the workspace.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.with_tls(command(&database(name)))
    }

    /// Adds the TLS options to a command.
    pub(crate) fn with_tls(&self, mut command: Command) -> Command {
        command.arg("--tls-cert").arg(self.path("cert.pem")).arg("--tls-key").arg(self.path("key.pem"));
        command
    }

    /// Returns the command that runs the service with mutual TLS: callers need a certificate of the authority.
    pub(crate) fn mutual(&self) -> Command {
        self.write("ca.pem", &self.authority.pem());
        let mut command = self.command("movies.json");
        command.arg("--tls-client-ca").arg(self.path("ca.pem"));
        command
    }
}

/// Connects a stub over TLS.
pub(crate) async fn stub(
    address: SocketAddr,
    tls: ClientTlsConfig,
) -> Result<MovieClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
    Ok(MovieClient::new(endpoint.connect().await?))
}
