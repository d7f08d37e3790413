//! Certificates for tests, and stubs that use them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use movie_proto::movie_client::MovieClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::process::{command, database};

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    cert: String,
    key: String,
}

/// A service's files, in a folder of the test's own, and who signed them.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Signs a certificate of this name.
    pub(crate) fn pair(&self, name: &str) -> Pair {
        self.pair_until(name, 4096)
    }

    /// Signs a certificate of this name that expires in this year.
    pub(crate) fn pair_until(&self, name: &str, year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        Pair { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

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
