//! Certificates for tests, and stubs that use them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use movie_proto::movie_client::MovieClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::process::{command, database};

pub(crate) use self::authority::{Authority, Pair};

#[path = "../../../movie-client/tests/support/certificates.rs"]
#[allow(dead_code, reason = "the tests of the client use the rest")]
mod authority;

/// A service's files, in a folder of the test's own, and who signed them.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Authority {
    /// The settings of a client that trusts it.
    pub(crate) fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem())).domain_name("localhost")
    }
}

impl Pair {
    /// As a client shows it.
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

    /// Writes the pair that the service shows.
    pub(crate) fn write_pair(&self, pair: Pair) {
        let Pair { cert, key } = pair;
        self.write("cert.pem", &cert);
        self.write("key.pem", &key);
    }

    /// The command that runs the service over a database of the workspace with TLS.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.with_tls(command(&database(name)))
    }

    /// A command with TLS.
    pub(crate) fn with_tls(&self, mut command: Command) -> Command {
        command.arg("--tls-cert").arg(self.path("cert.pem")).arg("--tls-key").arg(self.path("key.pem"));
        command
    }

    /// The same, with callers that have to show a certificate of the authority.
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
