//! Certificates from the commands in `docs/operations/secure.md`.

use std::fs;

use movie_service::server::accept::tls::TlsFiles;

use crate::support::certificates::openssl;
use crate::support::program::{client, outcome, workspace};
use crate::support::service::Service;

#[tokio::test]
async fn certificates_from_the_documented_commands_are_valid_for_each_of_their_names() {
    let document = fs::read_to_string(workspace("docs/operations/secure.md")).unwrap();
    let commands: Vec<_> = document.lines().filter_map(|line| line.strip_prefix("$ openssl ")).collect();
    assert_eq!(commands.len(), 2);
    let directory = tempfile::tempdir().unwrap();
    for command in commands {
        let arguments = shlex::split(command).unwrap();
        if !openssl(directory.path(), arguments.iter().map(String::as_str)) {
            return;
        }
    }
    let path = |name| directory.path().join(name);
    let files = TlsFiles { cert: path("server.pem"), key: path("server.key"), client_ca: None };
    let service = Service::with_tls("movies.json", files);
    let port = service.socket_address().port();
    for host in ["localhost", "127.0.0.1"] {
        let mut info = client(&format!("https://{host}:{port}"));
        let called = outcome(info.args(["info", "--tls-ca"]).arg(path("ca.pem"))).await;
        assert_eq!((called.code, called.stderr.as_str()), (Some(0), ""));
    }
    let mut info = client(&format!("https://localhost:{port}"));
    let called = outcome(info.args(["info", "--tls-ca"]).arg(path("server.pem"))).await;
    assert_eq!(called.code, Some(5), "{}", called.stderr);
}
