//! Commands, their output and their exit codes.

use std::fs;
use std::io;
use std::process::{self, Stdio};

use http_body_util::Empty;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use movie_proto::MovieData;
use prost::bytes::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::library::tls::service_with;
use crate::support::certificates::{Authority, Pair};
use crate::support::failure;
use crate::support::program::{Outcome, UNREACHABLE_ADDRESS, client, outcome, over, program};
use crate::support::scripted::{HttpResponse, ScriptedServer, Step};

const COURSE_OUTPUT: &str = r#"----- GetMovieByID -----
title: "The Martian"
rating: 8.199999809265137
director: "Ridley Scott"
id: "a8034f44-aee4-44cf-b32c-74cf452aaaae"

----- GetListMovies -----
Movie called The Good Dinosaur
Movie called The Night Before
Movie called Creed
Movie called Victor Frankenstein
Movie called The Danish Girl
Movie called Spectre
Movie called The Martian
"#;

fn printed(stdout: &str) -> Outcome {
    Outcome { code: Some(0), stdout: stdout.into(), stderr: String::new() }
}

fn assert_fails(outcome: &Outcome, exit: i32, parts: &[&str]) {
    let Outcome { code, stdout, stderr } = outcome;
    assert_eq!((*code, stdout.as_str()), (Some(exit), ""), "{stderr}");
    let lines = stderr.trim_end().lines().count();
    assert!(stderr.starts_with("error: ") && lines <= 2, "expected one or two lines: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
    }
}

#[tokio::test]
async fn without_arguments_the_output_is_exactly_that_of_the_course() {
    let address = over("movies.json");
    assert_eq!(outcome(&mut client(&address)).await, printed(COURSE_OUTPUT));
}

#[tokio::test]
async fn the_address_can_be_an_environment_variable_a_name_or_a_url() {
    let port = over("movies.json").port();
    for address in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("http://localhost:{port}/")]
    {
        assert_eq!(outcome(program().env("MOVIE_ADDRESS", address)).await, printed(COURSE_OUTPUT));
    }
}

#[tokio::test]
async fn get_prints_the_movie() {
    let address = over("films.json");
    let paisa =
        "title: \"Paisà\"\nrating: 8.300000190734863\ndirector: \"Roberto Rossellini\"\nid: \"tt0038823\"\n";
    let get = ["get", "tt0038823", "--output", "text"];
    let printed_first = &outcome(client(&address).args(get)).await.stdout;
    assert!(printed_first.starts_with(paisa), "{printed_first}");
}

#[tokio::test]
async fn get_of_an_unknown_id_prints_one_line_with_the_id_and_exits_with_1() {
    let address = over("movies.json");
    assert_fails(&outcome(client(&address).args(["get", "no\nsuch"])).await, 1, &[r"`no\nsuch`"]);
}

#[tokio::test]
async fn list_prints_every_title_in_the_order_of_the_service() {
    let address = over("films.json");
    let text = include_str!("../../../../databases/films.json");
    let titles = text.lines().filter_map(|line| line.strip_prefix("{\"title\": \"")?.split("\", \"").next());
    // JSON escapes only the quotes of these titles.
    let lines: Vec<String> =
        titles.map(|title| format!("Movie called {}\n", title.replace("\\\"", "\""))).collect();
    let expected = lines.concat();
    assert_eq!(lines.len(), 17_470);
    assert_eq!(outcome(client(&address).args(["list", "-o", "text"])).await, printed(&expected));
}

#[tokio::test]
async fn a_closed_pipe_ends_the_command_without_an_error() {
    let address = over("films.json");
    let mut child = client(&address)
        .args(["list", "-o", "text"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "Movie called Abe Lincoln in Illinois");
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[tokio::test]
async fn a_closed_standard_output_is_an_error() {
    let closed = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_movie-client")]);
        command.args(["--address", &over("movies.json").to_string()]).args(arguments);
        command
    };
    for arguments in [&["get", "267eedb8-0f5d-42d5-8f43-72426b9fb3e6"][..], &["list"], &["export"], &[]] {
        let outcome = outcome(&mut closed(arguments)).await;
        assert_fails(&outcome, 8, &["error: cannot print: standard output is closed"]);
    }
    // This command does not use standard output.
    let outcome = outcome(&mut closed(&["export", "/dev/null"])).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_unreachable_service_is_reported_with_its_address_and_a_hint() {
    let outcome = outcome(&mut client(&UNREACHABLE_ADDRESS)).await;
    assert_fails(&outcome, 5, &[UNREACHABLE_ADDRESS, "refused", "cargo run -p movie-service"]);
}

#[tokio::test]
async fn a_call_without_a_response_ends_at_its_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let outcome = outcome(client(&address).args(["--timeout", "300ms"])).await;
    let hint = "\n  --verbose shows each step; --timeout extends the deadline\n";
    assert_fails(&outcome, 6, &[&address.to_string(), "did not respond within 0.3 seconds", hint]);
}

#[tokio::test]
async fn an_invalid_address_is_quoted() {
    for address in ["localhost", "localhost:port", "http://", "localhost:3001/path", "a b:1"] {
        let Outcome { code, stderr, .. } = outcome(&mut client(&address)).await;
        assert_eq!(code, Some(2));
        assert!(stderr.contains(address) && stderr.contains("HOST:PORT"), "{stderr}");
    }
}

#[tokio::test]
async fn an_unknown_command_is_quoted_and_exits_with_2() {
    let outcome = outcome(client(&"localhost:1").arg("gte")).await;
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("gte"), "{}", outcome.stderr);
}

/// A service of the course whose list has one movie and then continues with this step.
async fn scripted(then: Step) -> ScriptedServer {
    ScriptedServer::start(move |call| match call.path.as_str() {
        "/Movie/GetMovieByID" => vec![Step::End(Status::resource_exhausted("too many\ncalls"))],
        "/Movie/GetListMovies" => {
            let first = MovieData { title: "First".into(), ..MovieData::default() };
            vec![Step::message(&first), then.clone()]
        }
        _ => vec![Step::End(Status::unimplemented(""))],
    })
    .await
}

#[tokio::test]
async fn a_title_is_printed_when_it_arrives_not_when_the_list_ends() {
    let service = scripted(Step::Hang).await;
    let address = service.address;
    let mut child = client(&address).args(["list", "-o", "text"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "Movie called First");
}

#[tokio::test]
async fn an_error_within_a_list_is_printed_after_the_movies_before() {
    let service = scripted(Step::End(Status::data_loss("disk on fire"))).await;
    let address = service.address;
    let Outcome { code, stdout, stderr } = outcome(client(&address).args(["list", "-o", "text"])).await;
    assert_eq!((code, stdout.as_str()), (Some(8), "Movie called First\n"));
    assert_eq!(
        stderr,
        format!(
            "error: the call to {address} failed: DataLoss: disk on fire\n  \
             the list is incomplete: it ends after 1 movie; list again\n"
        )
    );
}

#[tokio::test]
async fn a_rejected_call_prints_one_line_with_its_message() {
    let service = scripted(Step::End(Status::data_loss("disk on fire"))).await;
    let address = service.address;
    let outcome = outcome(client(&address).args(["get", "7"])).await;
    assert_fails(&outcome, 5, &[&address.to_string(), r"too many\ncalls"]);
}

#[tokio::test]
async fn a_closed_standard_error_changes_nothing() {
    let address = over("movies.json");
    for arguments in [&["lookup"][..], &["lookup", "-v"], &["get", "7"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = client(&address);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(writer);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The command may have ended before it reads its input.
        let _ = stdin.write_all(b"7\n").await;
        drop(stdin);
        assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(1), "{arguments:?}");
    }
}

/// A service that responds to every call with an empty stream, without reading the request.
async fn empty() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let respond = service_fn(async |_| {
            let response = hyper::Response::builder().header("content-type", "application/grpc");
            response.header("grpc-status", "0").body(Empty::<Bytes>::new())
        });
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), respond).await
    });
    address
}

#[tokio::test]
async fn a_lookup_ends_with_its_responses_even_if_standard_input_is_open() {
    let address = empty().await;
    let mut lookup = client(&address).arg("lookup").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = lookup.stdin.take().unwrap();
    stdin.write_all(b"7\n").await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), lookup.wait()).await;
    assert_eq!(ended.expect("the client did not end").unwrap().code(), Some(0));
    drop(stdin);
}

#[tokio::test]
async fn a_part_of_the_list_of_a_course_server_is_refused_with_what_it_can_list() {
    let movie = Step::message(&MovieData { title: "Ran".into(), ..MovieData::default() });
    let server = ScriptedServer::start(move |call| {
        let is_course = call.path.starts_with("/Movie/");
        if is_course {
            vec![movie.clone()]
        } else {
            vec![Step::End(Status::unimplemented("Method not found!"))]
        }
    })
    .await;
    for arguments in [&["list", "--genre", "Drama"][..], &["list", "--order", "title"]] {
        let refused = outcome(client(&server.address).args(arguments)).await;
        let hint = "a server of the course can list all its movies only: leave out the filter and --order";
        assert_fails(&refused, 8, &["does not implement this call: Method not found!", hint]);
    }
    let refused = outcome(client(&server.address).arg("info")).await;
    assert_fails(&refused, 8, &["`get ID`, and `list` without a filter or an order"]);
    let whole = outcome(client(&server.address).args(["list", "--limit", "1", "-o", "text"])).await;
    assert_eq!(whole, printed("Movie called Ran\n"));
}

#[tokio::test]
async fn a_call_that_is_not_implemented_without_a_message_has_no_empty_end() {
    let server = ScriptedServer::always([Step::End(Status::unimplemented(""))]).await;
    for arguments in [&["list", "--genre", "Drama"][..], &["health"]] {
        let refused = outcome(client(&server.address).args(arguments)).await;
        assert_fails(&refused, 8, &["does not implement this call\n"]);
    }
}

#[tokio::test]
async fn the_flag_for_a_deadline_is_named() {
    for arguments in
        [&["--deadline", "1", "list"][..], &["list", "--deadline=1"], &["get", "1", "--deadline", "1"]]
    {
        let refused = outcome(client(&"localhost:1").args(arguments)).await;
        assert!(refused.stderr.contains("tip: `--timeout TIME` sets the deadline"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_server_of_another_protocol_is_reported_without_the_advice_to_try_again() {
    for first in ["HTTP/1.1 400 Bad Request\r\n\r\n", "<!DOCTYPE HTML>", "SSH-2.0-OpenSSH"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                socket.write_all(first.as_bytes()).await.unwrap();
                let _ = socket.read_to_end(&mut Vec::new()).await;
            }
        });
        let outcome = outcome(client(&address).arg("list")).await;
        let protocol = if first.starts_with("SSH") {
            "it does not use HTTP/2"
        } else {
            "it uses HTTP/1.1, but gRPC needs"
        };
        let hint = "give the address of a movie service with --address";
        assert_fails(&outcome, 5, &[&format!("{address} is not a gRPC service: {protocol}"), hint]);
        assert!(!outcome.stderr.contains("try"), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn an_invalid_id_is_rejected_with_the_message_of_the_service() {
    let status = Status::invalid_argument("id: expected 1 to 100 characters");
    let service = ScriptedServer::always([Step::End(status)]).await;
    let outcome = outcome(client(&service.address).args(["get", "7"])).await;
    assert_fails(&outcome, 3, &["error: id: expected 1 to 100 characters"]);
}

#[tokio::test]
async fn the_error_page_of_a_proxy_has_the_exit_code_of_its_http_status() {
    let body = "<html><h1>nginx</h1></html>";
    for (status, exit) in [(429, 5), (502, 5), (503, 5), (504, 5), (401, 7), (403, 7), (400, 8), (404, 8)] {
        let page = Step::HttpResponse(HttpResponse { status, content_type: Some("text/html"), body });
        let proxy = ScriptedServer::always([page]).await;
        for command in [&["get", "7"][..], &["health"], &["watch"], &["list"], &[]] {
            let outcome = outcome(client(&proxy.address).args(["--tries", "1"]).args(command)).await;
            let status = format!("HTTP {status} ");
            assert_fails(&outcome, exit, &[&proxy.address.to_string(), &status, "(text/html)"]);
        }
    }
}

#[tokio::test]
async fn a_busy_service_is_reported_once_in_each_line() {
    let status = Status::resource_exhausted("too many calls at a time; try again in a second");
    let service = ScriptedServer::always([Step::End(status)]).await;
    let outcome = outcome(client(&service.address).args(["get", "7"])).await;
    let parts = ["is busy: too many calls at a time", "make fewer calls at a time; --tries sets"];
    assert_fails(&outcome, 5, &parts);
}

#[tokio::test]
async fn a_service_that_accepts_no_writes_is_a_matter_for_its_operator() {
    let status = failure(Code::PermissionDenied, "ANONYMOUS_WRITE");
    let service = ScriptedServer::always([Step::End(status)]).await;
    let outcome = outcome(client(&service.address).args(["delete", "7"])).await;
    assert_fails(&outcome, 7, &["denied permission: the status message", "only the operator of the service"]);
}

#[tokio::test]
async fn if_only_one_side_uses_tls_the_hint_names_the_flag() {
    let authority = Authority::new();
    let Pair { cert, key } = authority.pair("localhost");
    let service = service_with(&cert, &key, None);
    let over_tls = outcome(client(&service.socket_address()).arg("info")).await;
    assert_fails(&over_tls, 5, &["uses TLS, but the client does not", "add --tls"]);
    let plaintext = over("movies.json");
    let outcome = outcome(client(&plaintext).args(["info", "--tls"])).await;
    assert_fails(&outcome, 5, &["does not use TLS, but the client does", "leave out --tls"]);
}

#[tokio::test]
async fn a_create_with_an_unknown_outcome_prints_a_hint() {
    let service = ScriptedServer::start(|_| vec![Step::Hang]).await;
    let create = |id: &'static [&str]| {
        let mut command = client(&service.address);
        command.args(["--timeout", "200ms", "create", "--title", "Ran"]).args(id);
        command
    };
    let without = outcome(&mut create(&[])).await;
    assert_fails(&without, 6, &["may have been added", "use --id to prevent this"]);
    let with = outcome(&mut create(&["--id", "ran"])).await;
    assert_fails(&with, 6, &["may have been added", "run the command again"]);
}

#[tokio::test]
async fn invalid_tls_files_and_tokens_are_usage_errors() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    let missing = directory.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    for (arguments, part) in [
        (&["--tls-ca", missing][..], missing),
        (&["--tls-ca", empty], empty),
        (&["--client-cert", missing, "--client-key", empty], missing),
        (&["--client-cert", empty, "--client-key", empty], empty),
        (&["--token", ""], "token"),
        (&["--token", "two words"], "token"),
        (&["--tls", "--address", "unix:/nowhere"], "unix:/nowhere"),
    ] {
        assert_fails(&outcome(client(&UNREACHABLE_ADDRESS).arg("info").args(arguments)).await, 2, &[part]);
    }
}

#[tokio::test]
async fn an_empty_environment_variable_counts_as_unset() {
    let (address, films) = (over("movies.json").to_string(), over("films.json").to_string());
    let names = [
        "MOVIE_OUTPUT",
        "MOVIE_VERBOSE",
        "MOVIE_TLS",
        "MOVIE_CLIENT_CERT",
        "MOVIE_CLIENT_KEY",
        "MOVIE_TOKEN",
        "MOVIE_TIMEOUT",
        "MOVIE_TRIES",
    ];
    let expected = outcome(program().args(["--address", &address, "info"])).await;
    assert_eq!(expected.code, Some(0), "{}", expected.stderr);
    for value in ["", " "] {
        let mut command = program();
        command.args(["--address", &address, "info"]).envs(names.map(|name| (name, value)));
        assert_eq!(outcome(&mut command).await, expected);
    }
    // Lists in files often have blanks and superfluous commas.
    for list in [format!(" {address} , "), format!(",{address},,{films}")] {
        assert_eq!(outcome(program().env("MOVIE_ADDRESS", list).args(["health"])).await.code, Some(0));
    }
    assert_fails(&outcome(program().env("MOVIE_ADDRESS", ",").arg("info")).await, 2, &["address"]);
}

#[tokio::test]
async fn an_invalid_environment_variable_is_named() {
    for (name, value) in [("MOVIE_VERBOSE", "maybe"), ("MOVIE_TRIES", "0"), ("MOVIE_OUTPUT", "xml")] {
        let Outcome { code, stderr, .. } = outcome(program().arg("info").env(name, value)).await;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(&format!("the environment variable {name} sets it")), "{stderr}");
    }
    let Outcome { stderr, .. } = outcome(program().args(["info", "--tries", "0"])).await;
    assert!(stderr.contains("expected a number from 1") && !stderr.contains("MOVIE_TRIES"), "{stderr}");
    let Outcome { stderr, .. } = outcome(program().arg("get").env("MOVIE_TRIES", "2")).await;
    assert!(stderr.contains("Usage: movie-client get <ID>"), "{stderr}");
}

#[tokio::test]
async fn the_course_command_says_that_the_database_has_no_such_movie() {
    let Outcome { code, stdout, stderr } = outcome(&mut client(&over("films.json"))).await;
    assert!(stdout.starts_with("----- GetMovieByID -----\n") && code == Some(0), "{stderr}");
    assert!(stderr.contains("no movie has the course's id"), "{stderr}");
}

#[tokio::test]
async fn an_empty_variable_for_the_trusted_authorities_is_an_error() {
    let mut command = client(&over("movies.json"));
    assert_fails(&outcome(command.arg("info").env("MOVIE_TLS_CA", "")).await, 2, &["MOVIE_TLS_CA is empty"]);
}

#[test]
fn bash_completes_flags_after_a_command() {
    let complete = |words: &str, prefix: &str| {
        let script = format!(
            "source <({} completions bash); COMP_WORDS=({words} {prefix}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _movie__client movie-client {prefix} \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            env!("CARGO_BIN_EXE_movie-client")
        );
        let output = process::Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(complete("movie-client", "li"), "list");
    assert_eq!(complete("movie-client list", "--year"), "--year --year-from --year-to");
    assert_eq!(complete("movie-client list -o", "nd"), "ndjson");
    assert_eq!(complete("movie-client help", "wat"), "watch");
}

#[tokio::test]
async fn the_manual_has_the_variables_the_exit_codes_and_the_examples_of_a_command() {
    let directory = TempDir::new().unwrap();
    let Outcome { code, stdout, stderr } = outcome(program().arg("man").arg(directory.path())).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    let page = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap().replace('\\', "");
    for part in [".TH movie-client 1", "MOVIE_ADDRESS", ".SH EXIT STATUS", "movie-client-search(1)"] {
        assert!(page("movie-client.1").contains(part), "{part} is missing");
    }
    assert!(
        page("movie-client-search.1").contains(".SH EXAMPLES\n.nf\n  movie-client search sevn samurai\n")
    );
    let Outcome { stdout, .. } = outcome(program().arg("man")).await;
    assert_eq!(stdout.replace('\\', ""), page("movie-client.1"));
}
