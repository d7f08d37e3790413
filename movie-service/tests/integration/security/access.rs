//! Authentication and authorization by tokens and certificates.

use std::io::{BufRead, BufReader};

use movie_proto::MovieId;
use movie_proto::movie_client::MovieClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::certificates;
use crate::support::certificates::Files;
use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};
use crate::support::messages::framed;
use crate::support::peer::frames::Frame;
use crate::support::peer::{self, CHECK, WATCH};
use crate::support::process::{Service, bare_command, command, outcome};
use crate::support::tokens::{make_token, with_tokens};

/// A service with a tokens file.
struct Fixture {
    files: Files,
    service: Service,
    /// A token with the role of a reader.
    token: String,
}

impl Fixture {
    fn start() -> Self {
        let files = Files::new();
        let (token, line) = make_token("alice", "reader");
        files.write("tokens", &line);
        let service = Service::run(&mut with_tokens(command(&database("movies.json")), &files));
        Self { files, service, token }
    }
}

/// Makes a call with an `authorization` header.
async fn call(stub: &mut MovieClient<Channel>, authorization: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(MovieId::default());
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    }
    stub.get_movie_by_id(request).await.map(drop)
}

/// Asserts that a call is denied, with a message that contains `parts`.
fn assert_denied(result: Result<(), Status>, code: Code, parts: &[&str]) {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    for part in parts {
        assert!(status.message().contains(part), "{part:?} is missing: {status}");
    }
}

#[tokio::test]
async fn a_call_needs_a_known_token() {
    let fixture = Fixture::start();
    let mut stub = fixture.service.stub().await;
    call(&mut stub, Some(&format!("Bearer {}", fixture.token))).await.unwrap();
    assert_denied(call(&mut stub, None).await, Code::Unauthenticated, &["reader", "Bearer"]);
    let unknown = call(&mut stub, Some("Bearer movie_0")).await;
    assert_denied(unknown, Code::Unauthenticated, &["unknown"]);
    let basic = call(&mut stub, Some("Basic YTpi")).await;
    assert_denied(basic, Code::Unauthenticated, &["Bearer"]);
}

#[tokio::test]
async fn health_needs_no_token_and_an_unknown_rpc_is_unimplemented() {
    let fixture = Fixture::start();
    let endpoint = Endpoint::from_shared(format!("http://{}", fixture.service.address)).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    health.check(HealthCheckRequest { service: String::new() }).await.unwrap();

    let mut peer = Client::connect(fixture.service.address).await;
    let response = peer.call(&Call::new("/Movie/DropMovies", b"")).await.unwrap();
    let status = Status::from_header_map(response.trailers.as_ref().unwrap_or(&response.headers)).unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "this service has no RPC with the path `/Movie/DropMovies`")
    );
}

#[test]
fn calls_without_a_token_leave_capacity_for_calls_with_one() {
    let files = Files::new();
    let (token, line) = make_token("alice", "reader");
    files.write("tokens", &line);
    let mut command = with_tokens(command(&database("movies.json")), &files);
    let service = Service::run(command.env("MOVIE_LIMITS", "calls=10"));
    // At least one for each worker.
    let connections = 2 * std::thread::available_parallelism().unwrap().get();
    let mut strangers: Vec<_> = (0..connections).map(|_| peer::Peer::connect(service.address)).collect();
    for stranger in &mut strangers {
        for path in [CHECK, WATCH].repeat(10) {
            stranger.begin(&peer::fields(path));
        }
        let beyond = stranger.call(CHECK, b"");
        assert_eq!(stranger.response(beyond).code(), Some("8"));
    }
    let authorization = format!("Bearer {token}");
    let fields = [peer::fields(peer::GET).as_slice(), &[("authorization", &authorization)]].concat();
    for _ in 0..connections {
        let mut alice = peer::Peer::connect(service.address);
        let stream = alice.begin(&fields);
        alice.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(alice.response(stream).code(), Some("0"));
    }
}

#[tokio::test]
async fn a_client_certificate_gets_the_role_of_its_name() {
    let files = Files::new();
    files.write("tokens", "ops.example reader certificate\n");
    let service = Service::run(&mut with_tokens(files.mutual(), &files));
    for (name, expected) in [("ops.example", None), ("nobody.example", Some(Code::PermissionDenied))] {
        let identity = files.authority.pair(name).identity();
        let stub = certificates::stub(service.address, files.authority.trusted().identity(identity)).await;
        let denied = call(&mut stub.unwrap(), None).await.err().map(|status| status.code());
        assert_eq!(denied, expected, "{name}");
    }
}

#[tokio::test]
async fn a_token_works_over_tls() {
    let files = Files::new();
    let (token, line) = make_token("alice", "writer");
    files.write("tokens", &line);
    let service = Service::run(&mut with_tokens(files.command("movies.json"), &files));
    let mut stub = certificates::stub(service.address, files.authority.trusted()).await.unwrap();
    call(&mut stub, Some(&format!("Bearer {token}"))).await.unwrap();
    assert_denied(call(&mut stub, None).await, Code::Unauthenticated, &[]);
}

#[tokio::test]
async fn a_new_tokens_file_is_loaded_and_an_invalid_one_is_refused() {
    let mut fixture = Fixture::start();
    let mut stub = fixture.service.stub().await;
    fixture.files.write("tokens", "# no tokens yet\nbob reader\n");
    let line = fixture.service.log_line_with("still using the old tokens");
    assert!(line.contains("ERROR") && line.contains("tokens:2: expected three words"), "{line}");
    let old = format!("Bearer {}", fixture.token);
    call(&mut stub, Some(&old)).await.unwrap();

    let (token, line) = make_token("bob", "reader");
    fixture.files.write("tokens", &line);
    fixture.service.log_line_with("using the new version of the tokens file");
    call(&mut stub, Some(&format!("Bearer {token}"))).await.unwrap();
    assert_denied(call(&mut stub, Some(&old)).await, Code::Unauthenticated, &[]);
}

#[cfg(unix)]
#[tokio::test]
async fn sighup_reloads_the_tokens_file_at_once() {
    let mut fixture = Fixture::start();
    fixture.service.signal("HUP");
    fixture.service.log_line_with("using the new version of the tokens file");
    let mut stub = fixture.service.stub().await;
    call(&mut stub, Some(&format!("Bearer {}", fixture.token))).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn tokens_are_never_logged() {
    let files = Files::new();
    let (token, line) = make_token("alice", "reader");
    files.write("tokens", &line);
    let mut command = with_tokens(command(&database("movies.json")), &files);
    let mut service = Service::run(command.env("RUST_LOG", "debug"));
    let mut stub = service.stub().await;
    call(&mut stub, Some(&format!("Bearer {token}"))).await.unwrap();
    for wrong in [format!("Bearer {token}0"), format!("Basic {token}"), token.clone()] {
        call(&mut stub, Some(&wrong)).await.unwrap_err();
    }
    files.write("tokens", &format!("{token} {token} {token}\n"));
    let mut log = service.log_line_with("still using the old tokens");
    drop(stub);
    service.signal("TERM");
    assert!(service.wait().await.success());
    loop {
        let line = service.log_line();
        if line.is_empty() {
            break;
        }
        log += &line;
    }
    assert!(!log.contains(&token), "{log}");
}

#[test]
fn tokens_without_tls_on_a_public_address_cause_a_warning() {
    let files = Files::new();
    files.write("tokens", &make_token("alice", "reader").1);
    for (address, tls, warned) in
        [("[::]:0", false, true), ("127.0.0.1:0", false, false), ("[::]:0", true, false)]
    {
        let mut command = with_tokens(bare_command(), &files);
        command.args(["--listen", address, "--database"]).arg(database("movies.json"));
        if tls {
            command = files.with_tls(command);
        }
        let mut child = command.spawn().unwrap();
        let lines: Vec<String> = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.contains("serving 7 movies"))
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let said = lines.iter().any(|line| line.contains("WARN") && line.contains("--tls-cert"));
        assert_eq!(said, warned, "{address}: {lines:?}");
    }
}

#[test]
fn settings_of_access_that_are_probably_mistakes_cause_a_warning() {
    let files = Files::new();
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", dir.path().join("films.db").display());
    let token = make_token("alice", "writer").1;
    let certificate = "ops.example writer certificate";
    let of_network = "may change the movies";
    for (tokens, arguments, address, warning) in [
        (Some(""), &[][..], "127.0.0.1:0", Some("lists no caller")),
        (Some(certificate), &[], "127.0.0.1:0", Some("--tls-client-ca")),
        (Some(&*token), &["--allow-anonymous-writes"], "127.0.0.1:0", Some("has no effect with --tokens")),
        (None, &["--allow-anonymous-writes"], "0.0.0.0:0", Some(of_network)),
        (Some(&*token), &[], "127.0.0.1:0", None),
        (None, &["--allow-anonymous-writes"], "127.0.0.1:0", None),
    ] {
        let mut command = bare_command();
        command.args(["--listen", address, "--database", &store]).args(arguments);
        if let Some(tokens) = tokens {
            files.write("tokens", tokens);
            command = with_tokens(command, &files);
        }
        let service = Service::run(&mut command);
        let warnings = &service.early_lines;
        assert_eq!(warnings.len(), usize::from(warning.is_some()), "{warning:?}: {warnings:?}");
        for line in warnings {
            assert!(line.contains(" WARN ") && line.contains(warning.unwrap()), "{warning:?}: {line}");
        }
    }
}

#[test]
fn anonymous_writes_to_a_json_database_cause_a_warning_with_the_other_database() {
    let service = Service::run(command(&database("movies.json")).arg("--allow-anonymous-writes"));
    let lines = service.early_lines.join("\n");
    assert!(lines.contains("no effect on a JSON database") && lines.contains("sqlite:movies.db"), "{lines}");
}

#[test]
fn an_invalid_tokens_file_is_a_one_line_error() {
    let files = Files::new();
    for (text, part) in [(Some("alice owner x"), "tokens:1: expected the second word"), (None, "read ")] {
        if let Some(text) = text {
            files.write("tokens", text);
        } else {
            std::fs::remove_file(files.path("tokens")).unwrap();
        }
        let (status, _, stderr) = outcome(&mut with_tokens(command(&database("movies.json")), &files));
        assert!(!status.success());
        assert!(stderr.starts_with("error: ") && stderr.trim_end().lines().count() == 1, "{stderr}");
        assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
    }
}

#[test]
fn a_token_is_created_only_for_a_valid_name_and_role() {
    for (arguments, part) in [
        (["token", "two words", "--role", "reader"], "one word"),
        (["token", "alice", "--role", "owner"], "reader"),
    ] {
        let (status, stdout, stderr) = outcome(bare_command().args(arguments));
        assert!(!status.success() && stdout.is_empty());
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{stderr}");
    }
}
