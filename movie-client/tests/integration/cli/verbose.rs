//! Verbose output, environment variables, and the secrecy of tokens.

use std::fs;
use std::mem;
use std::path::PathBuf;

use movie_service::access::token;
use movie_service::rpc::Role;
use movie_service::server::accept::tls::TlsFiles;
use tempfile::TempDir;

use crate::support::certificates::{Authority, Pair};
use crate::support::program::{Outcome, UNREACHABLE_ADDRESS, client, outcome, over, program};
use crate::support::proxy::Proxy;
use crate::support::service::Service;

/// Certificates and keys in PEM, in a temporary directory: of the authority, of the service `localhost`, and of a
/// caller.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let authority = Authority::new();
        fs::write(files.path("ca.pem"), authority.pem()).unwrap();
        for name in ["localhost", "caller"] {
            let Pair { cert, key } = authority.pair(name);
            fs::write(files.path(&format!("{name}.pem")), cert).unwrap();
            fs::write(files.path(&format!("{name}.key")), key).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a service with the certificate of `localhost`. If `is_mutual`, it requires a client certificate.
    fn serve(&self, is_mutual: bool) -> Service {
        let client_ca = is_mutual.then(|| self.path("ca.pem"));
        let files = TlsFiles { cert: self.path("localhost.pem"), key: self.path("localhost.key"), client_ca };
        Service::with_tls("movies.json", files)
    }
}

/// Returns the logged steps without their times.
fn steps(stderr: &str) -> Vec<&str> {
    stderr.lines().map(|line| line.split_once(" ms  ").expect("expected a time and a step").1).collect()
}

/// Asserts that each line begins as expected.
#[track_caller]
fn assert_lines(lines: &[&str], expected: &[&str]) {
    let is_alike = |(line, expected): (&&str, &&str)| line.starts_with(expected);
    assert!(
        lines.len() == expected.len() && lines.iter().zip(expected).all(is_alike),
        "{lines:#?}\nexpected {expected:#?}"
    );
}

const CREED_ID: &str = "267eedb8-0f5d-42d5-8f43-72426b9fb3e6";

#[tokio::test]
async fn verbose_logs_each_step_of_an_encrypted_call_with_its_duration() {
    let files = Files::new();
    let service = files.serve(false);
    let port = service.socket_address().port();
    let address = format!("https://localhost:{port}");
    let mut get = client(&address);
    get.arg("--tls-ca").arg(files.path("ca.pem")).args(["get", CREED_ID]);
    let quiet = outcome(&mut get).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    let verbose = outcome(get.arg("-v")).await;
    assert_eq!((verbose.code, &verbose.stdout), (Some(0), &quiet.stdout));
    let steps = steps(&verbose.stderr);
    // The system determines the order of the addresses.
    let steps: Vec<_> = steps.into_iter().filter(|step| !step.starts_with("no connection to")).collect();
    let connected = format!("connected to localhost:{port} (127.0.0.1) in ");
    let first_response = format!("first response from localhost:{port} (127.0.0.1) in ");
    assert_lines(
        &steps,
        &["resolved localhost in ", &connected, "encrypted with TLS 1.3 in ", &first_response],
    );
}

#[tokio::test]
async fn an_ip_address_is_not_resolved_and_a_socket_is_named_by_its_path() {
    let address = over("movies.json");
    let Outcome { stderr, .. } = outcome(client(&address).args(["info", "-v"])).await;
    assert_lines(
        &steps(&stderr),
        &[&format!("connected to {address} in "), &format!("first response from {address} in ")],
    );
    let Outcome { stderr, .. } = outcome(client(&"unix:no/such").args(["info", "-v", "--tries", "1"])).await;
    assert!(stderr.contains("error: no movie service at unix:no/such: "), "{stderr}");
}

#[tokio::test]
async fn verbose_logs_each_retry_with_its_reason_and_backoff() {
    let outcome = outcome(client(&UNREACHABLE_ADDRESS).args(["get", "7", "--verbose", "--tries", "3"])).await;
    let (steps_, error) = outcome.stderr.split_once("error: ").unwrap();
    let refused = format!("no connection to {UNREACHABLE_ADDRESS}: ");
    let again = format!("no movie service at {UNREACHABLE_ADDRESS}: ");
    let steps = steps(steps_);
    assert_lines(&steps, &[&refused, &again, &refused, &again, &refused]);
    assert!(steps[1].contains("; retrying in ") && steps[1].ends_with("ms"), "{steps:?}");
    assert!(error.starts_with(&again), "{error}");
}

#[tokio::test]
async fn an_interrupted_read_is_retried_and_only_logged_if_verbose() {
    for (arguments, lines) in [(&["get", CREED_ID][..], 0), (&["get", CREED_ID, "-v"], 4)] {
        let proxy = Proxy::to(over("movies.json")).await;
        let mut first = true;
        proxy.limit_bytes(move || if mem::take(&mut first) { 0 } else { usize::MAX });
        let outcome = outcome(client(&proxy.address).args(arguments)).await;
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(0), lines), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("Creed"), "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn each_environment_variable_equals_its_flag() {
    let files = Files::new();
    let service = files.serve(true);
    let address = format!("localhost:{}", service.socket_address().port());
    let path = |name| files.path(name).display().to_string();
    let settings = [
        ("--address", "MOVIE_ADDRESS", address),
        ("--tls-ca", "MOVIE_TLS_CA", path("ca.pem")),
        ("--client-cert", "MOVIE_CLIENT_CERT", path("caller.pem")),
        ("--client-key", "MOVIE_CLIENT_KEY", path("caller.key")),
        ("--token", "MOVIE_TOKEN", "movie_secret".to_owned()),
        ("--timeout", "MOVIE_TIMEOUT", "20s".to_owned()),
        ("--tries", "MOVIE_TRIES", "1".to_owned()),
        ("--output", "MOVIE_OUTPUT", "csv".to_owned()),
    ];
    let (mut by_flag, mut by_variable) = (program(), program());
    by_flag.args(["get", CREED_ID, "--tls", "--verbose"]);
    by_variable.args(["get", CREED_ID]).envs([("MOVIE_TLS", "true"), ("MOVIE_VERBOSE", "1")]);
    for (flag, variable, value) in &settings {
        by_flag.args([flag, &value.as_str()]);
        by_variable.env(variable, value);
    }
    let [by_flag, by_variable] = [outcome(&mut by_flag).await, outcome(&mut by_variable).await];
    let printed = |outcome: &Outcome| -> Vec<String> {
        steps(&outcome.stderr)
            .into_iter()
            .filter_map(|step| Some(step.rsplit_once(" in ")?.0.to_owned()))
            .collect()
    };
    assert_eq!((by_flag.code, &by_flag.stdout), (Some(0), &by_variable.stdout), "{}", by_flag.stderr);
    assert!(by_flag.stdout.starts_with("id,title,rating,"), "{}", by_flag.stdout);
    assert_eq!(printed(&by_flag), printed(&by_variable));
}

#[tokio::test]
async fn invalid_environment_variables_are_quoted_but_never_a_token() {
    for (variable, value) in [
        ("MOVIE_ADDRESS", "localhost"),
        ("MOVIE_TIMEOUT", "soon"),
        ("MOVIE_TRIES", "many"),
        ("MOVIE_OUTPUT", "xml"),
        ("MOVIE_TLS_CA", "no/such/file"),
    ] {
        let Outcome { code, stderr, .. } = outcome(program().env(variable, value).args(["get", "7"])).await;
        assert!(matches!(code, Some(2 | 8)) && stderr.contains(value), "{variable}: {code:?} {stderr}");
    }
    let Outcome { code, stdout, stderr } =
        outcome(program().env("MOVIE_TOKEN", "sec\nret").args(["get", "7", "-v"])).await;
    assert!(code != Some(0) && !(stdout + &stderr).contains("sec"), "{stderr}");
}

#[tokio::test]
async fn the_token_authenticates_the_caller_and_is_never_printed() {
    let created = token::make("reader", Role::Reader).ok().unwrap();
    let service = Service::with_tokens("movies.json", &created.line);
    let call = async |token: &str, arguments: &[&str]| {
        let mut command = client(&service.address);
        outcome(command.env("MOVIE_TOKEN", token).args(arguments).arg("-v")).await
    };
    for (token, arguments, code) in [
        (created.token.as_str(), &["get", CREED_ID][..], 0),
        (&created.token, &["list"], 0),
        (&created.token, &["create", "--title", "Ran"], 7),
        (&created.token, &["--help"], 0),
        (&created.token, &["gte"], 2),
        ("movie_secret", &["get", CREED_ID], 7),
        ("movie_secret", &["bench", "--calls", "1", "--warm-up", "0"], 7),
    ] {
        let outcome = call(token, arguments).await;
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {}", outcome.stderr);
        let printed = outcome.stdout + &outcome.stderr;
        assert!(!printed.contains(token.trim_start_matches("movie_")), "{printed}");
    }
    let without = outcome(client(&service.address).args(["get", CREED_ID])).await;
    assert_eq!(without.code, Some(7));
    assert!(without.stderr.contains("MOVIE_TOKEN"), "{}", without.stderr);
}
