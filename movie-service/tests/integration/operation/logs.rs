//! Logs.

use movie_proto::MovieId;
use serde_json::Value;

use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};
use crate::support::http1::exchange;
use crate::support::process::{Service, bare_command, command, outcome};

/// Returns a call of an unknown RPC.
fn no_such_call() -> Call {
    Call::new("/Movie/NoSuchCall", b"")
}

#[tokio::test]
async fn a_failed_call_is_logged_in_one_line_with_method_code_reason_and_peer() {
    let mut service = Service::start("movies.json");
    Client::connect(service.address).await.call(&no_such_call()).await.unwrap();
    let line = service.log_until("code=\"UNIMPLEMENTED\"").pop().unwrap();
    assert!(line.contains(" INFO call ended method=\"other\" "), "{line}");
    let reason = "reason=\"no entry of the RPC table in rpc.rs has the path `/Movie/NoSuchCall`\"";
    for part in ["latency_ms=", "peer=127.0.0.1:", reason] {
        assert!(line.contains(part), "{part:?} is missing: {line}");
    }
}

#[tokio::test]
async fn a_call_that_succeeds_is_logged_at_debug() {
    let mut command = command(&database("movies.json"));
    command.args(["--log", "movie_service=debug"]);
    let mut service = Service::run(&mut command);
    service.stub().await.get_movie_by_id(MovieId { id: "1".into() }).await.unwrap();
    let line = service.log_until("call ended").pop().unwrap();
    assert!(line.contains("DEBUG call ended method=\"Movie/GetMovieByID\" code=\"OK\""), "{line}");
}

#[tokio::test]
async fn a_request_that_is_for_no_call_is_logged_at_debug_with_the_reason() {
    let mut command = command(&database("movies.json"));
    command.args(["--log", "movie_service=debug"]);
    let mut service = Service::run(&mut command);
    exchange(service.address, "GET /nothing HTTP/1.1", b"").await;
    let line = service.log_line_with("refused a request");
    assert!(
        line.contains("DEBUG")
            && line.contains("PATH_UNKNOWN")
            && line.contains("there is nothing at `/nothing`"),
        "{line}"
    );
    let get = Call { method: http::Method::GET, ..no_such_call() };
    Client::connect(service.address).await.call(&get).await.unwrap();
    let line = service.log_line_with("refused a request");
    assert!(line.contains("DEBUG") && line.contains("405"), "{line}");
    let mut service = Service::run(command.args(["--http", "off"]));
    exchange(service.address, "GET / HTTP/1.1", b"").await;
    let line = service.log_line_with("refused a request");
    assert!(line.contains("DEBUG") && line.contains("505"), "{line}");
}

#[test]
fn a_misspelled_key_is_warned_of_once_with_its_line_by_the_service_and_by_import() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.json");
    let text = "{\"movies\": [\n{\"id\": \"1\", \"title\": \"a\"},\n{\"id\": \"2\", \"title\": \"b\", \"Rating\": 5},\n\
        {\"id\": \"3\", \"title\": \"c\", \"Rating\": 6}]}";
    std::fs::write(&path, text).unwrap();
    let warning = "films.json:3: the key `Rating` is unknown and ignored; `rating` is known";
    let service = Service::run(&mut command(&path));
    let warnings: Vec<_> = service.early_lines.iter().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(warning), "{warnings:?}");
    let mut import = bare_command();
    import.arg("import").arg(&path).arg("--database").arg(format!("sqlite:{}/a.db", dir.path().display()));
    let (status, stdout, stderr) = outcome(&mut import);
    assert!(status.success() && stderr.contains(warning) && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(stdout, "3 created, 0 updated, 0 unchanged, 0 rejected\n");
}

#[tokio::test]
async fn the_search_index_is_logged_once_it_is_ready() {
    let mut service = Service::start("movies.json");
    let line = service.log_line_with("search index");
    assert!(line.contains(" INFO the search index of 7 movies is ready after "), "{line}");
    assert!(line.ends_with(" ms\n"), "{line}");
    let mut service = Service::run(command(&database("movies.json")).args(["--search", "off"]));
    let log = service.end().await.concat();
    assert!(!log.contains("search index"), "{log}");
}

#[tokio::test]
async fn log_lines_are_json_objects_unless_standard_error_is_a_terminal() {
    for flags in [&["--log-format", "json"], &["--log-format", "auto"]] {
        let mut service = Service::run(command(&database("movies.json")).args(flags));
        Client::connect(service.address).await.call(&no_such_call()).await.unwrap();
        let lines = service.log_until("UNIMPLEMENTED");
        let start: Value = serde_json::from_str(&service.start_line).unwrap();
        assert!(start["message"].as_str().unwrap().starts_with("serving 7 movies from "), "{start}");
        assert_eq!(start["level"], "INFO");
        let call: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(
            (&call["message"], &call["code"]),
            (&"call ended".into(), &"UNIMPLEMENTED".into()),
            "{call}"
        );
        assert!(call["latency_ms"].is_number() && call["timestamp"].is_string(), "{call}");
    }
}

#[test]
fn invalid_directives_in_rust_log_are_named_in_warnings() {
    let mut command = command(&database("movies.json"));
    command.env("RUST_LOG", "verbose,h2=loud");
    let service = Service::run(&mut command);
    let early = service.early_lines.concat();
    for part in ["WARN `verbose` in the log levels", "WARN ignored `h2=loud` in the log levels"] {
        assert!(early.contains(part), "{part:?} is missing: {early}");
    }
}

#[test]
fn the_flag_takes_precedence_over_rust_log() {
    let mut command = command(&database("movies.json"));
    command.env("RUST_LOG", "off").args(["--log", "info"]);
    assert!(Service::run(&mut command).start_line.contains("INFO serving 7 movies"));
}

#[tokio::test]
async fn repeated_log_lines_are_suppressed_and_counted() {
    const CALLS: usize = 500;
    let mut service = Service::start("movies.json");
    let mut peer = Client::connect(service.address).await;
    for _ in 0..CALLS {
        peer.call(&no_such_call()).await.unwrap();
    }
    let lines = service.log_until("suppressed=");
    let calls = lines.iter().filter(|line| line.contains("call ended")).count();
    assert!(calls < CALLS / 2, "{calls} lines for {CALLS} calls");
}
