//! Searches while a person types, on a terminal and against a scripted service.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use console::strip_ansi_codes;
use movie_proto::catalog::v1::{self, SearchMoviesRequest, SearchMoviesResponse};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use tokio::time::timeout;
use tonic::Code;

use super::terminal::{self, TERMINAL_SIZE};
use crate::support::failure;
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};

const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const CONTROL_C: &str = "\x03";
const DOWN: &str = "\x1b[B";

/// Control sequences that begin and end the alternate screen.
const ENTER_SCREEN: &str = "\x1b[?1049h";
const LEAVE_SCREEN: &str = "\x1b[?1049l";

/// Something that happens to a search.
enum Input {
    /// A person types this.
    Keys(&'static str),
    /// The process gets a signal.
    Signal(Signal),
}

use Input::Keys;

/// A search that has ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    /// What was drawn before the end.
    drawn: String,
    /// What was printed after the screen was left.
    printed: String,
}

/// Starts a server that finds two movies for each query, and never responds to a query that ends with an exclamation mark.
async fn service() -> ScriptedServer {
    ScriptedServer::start(|call| {
        let request: SearchMoviesRequest = call.message();
        let hit = |id: &str| {
            let title = format!("<{}> {id}", request.query);
            let movie = v1::Movie { id: id.to_owned(), title, ..v1::Movie::default() };
            v1::Hit { movie: Some(movie), highlights: Vec::new() }
        };
        let hits = vec![hit("first"), hit("second")];
        let response = SearchMoviesResponse { hits, total_size: 2, ..Default::default() };
        vec![if request.query.ends_with('!') { Step::Hang } else { Step::message(&response) }]
    })
    .await
}

fn queries(service: &ScriptedServer) -> Vec<String> {
    service.calls().iter().map(|call: &RecordedCall| call.message::<SearchMoviesRequest>().query).collect()
}

/// Searches on a terminal. Each input follows once the screen has shown the text before it. Checks that the terminal is
/// restored.
async fn search(
    service: &ScriptedServer,
    arguments: &[&str],
    inputs: impl IntoIterator<Item = (&'static str, Input)>,
) -> Ended {
    let OpenptyResult { master, slave } = openpty(&TERMINAL_SIZE, None).unwrap();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut command = terminal::client(&service.address);
    command.arg("search").args(arguments).stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    drop(command);
    let id = Pid::from_raw(child.id().unwrap().try_into().unwrap());
    let inputs: Vec<_> = inputs.into_iter().collect();
    let typing = thread::spawn(move || {
        let (mut terminal, mut drawn) = (File::from(master), String::new());
        for (shown, input) in inputs {
            let mut next = String::new();
            terminal::read(&mut terminal, &mut next, |next| strip_ansi_codes(next).contains(shown));
            drawn.push_str(&next);
            match input {
                Keys(keys) => terminal.write_all(keys.as_bytes()).unwrap(),
                Input::Signal(signal) => kill(id, signal).unwrap(),
            }
        }
        let mut next = String::new();
        terminal::read(&mut terminal, &mut next, |next| next.contains(LEAVE_SCREEN));
        (terminal, drawn + &next)
    });
    let status = timeout(Duration::from_secs(30), child.wait()).await;
    let code = status.expect("the search did not end").unwrap().code();
    let flags = tcgetattr(&slave).unwrap().local_flags;
    assert!(flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG), "{flags:?}");
    // The terminal ends when it is closed on this side, too.
    drop(slave);
    let (mut terminal, mut sent) = typing.join().unwrap();
    terminal::read(&mut terminal, &mut sent, |_| false);
    let (drawn, printed) = sent.split_once(LEAVE_SCREEN).expect("the screen is not left");
    assert!(drawn.contains(ENTER_SCREEN), "{drawn:?}");
    let printed = strip_ansi_codes(printed).replace("\r\n", "\n");
    Ended { code, drawn: strip_ansi_codes(drawn).into_owned(), printed }
}

#[tokio::test]
async fn results_change_with_each_key_and_enter_prints_the_movie_as_get_does() {
    let service = service().await;
    let inputs = [("> <> first", Keys("a")), ("> <a> first", Keys("l")), ("> <al> first", Keys(ENTER))];
    let ended = search(&service, &["-o", "text"], inputs).await;
    let printed = "title: \"<al> first\"\nid: \"first\"\n";
    assert_eq!((ended.code, ended.printed.as_str()), (Some(0), printed), "{ended:?}");
    assert_eq!(queries(&service), ["", "a", "al"]);
}

#[tokio::test]
async fn arrows_choose_another_movie() {
    let service = service().await;
    let inputs = [("> <> first", Keys(DOWN)), ("> <> second", Keys(ENTER))];
    let ended = search(&service, &["-o", "ndjson"], inputs).await;
    assert_eq!(
        (ended.code, ended.printed.as_str()),
        (Some(0), "{\"title\":\"<> second\",\"id\":\"second\"}\n")
    );
}

#[tokio::test]
async fn a_key_cancels_the_search_for_the_text_before_it() {
    let service = service().await;
    let inputs = [("> <> first", Keys("!")), ("searching…", Keys("a")), ("> <!a> first", Keys(ENTER))];
    let ended = search(&service, &[], inputs).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.drawn.contains("<!>"), "{ended:?}");
    assert_eq!(ended.printed.lines().next(), Some("title  <!a> first"), "{ended:?}");
    // The key may come before the call is sent.
    let cancelled: Vec<_> =
        service.cancelled().into_iter().map(|call| queries(&service)[call].clone()).collect();
    assert!(cancelled == ["!"] || queries(&service) == ["", "!a"], "{cancelled:?}");
}

#[tokio::test]
async fn the_filter_the_order_and_the_limit_apply_to_each_search() {
    let service = service().await;
    let arguments = ["--genre", "War", "--order", "year", "--limit", "5"];
    search(&service, &arguments, [("> <> first", Keys("a")), ("> <a> first", Keys(ESCAPE))]).await;
    assert_eq!(service.calls().len(), 2);
    for request in service.calls().iter().map(RecordedCall::message::<SearchMoviesRequest>) {
        assert_eq!(request.filter.unwrap().genres, ["War"]);
        assert_eq!((request.order_by.as_str(), request.page_size), ("year", 5));
    }
}

#[tokio::test]
async fn every_movie_of_the_largest_page_can_be_chosen() {
    let service = ScriptedServer::start(|call| {
        let request: SearchMoviesRequest = call.message();
        let movie =
            |id: i32| v1::Movie { id: id.to_string(), title: format!("<{id}>"), ..v1::Movie::default() };
        let hits =
            (0..request.page_size).map(|id| v1::Hit { movie: Some(movie(id)), highlights: Vec::new() });
        let (hits, total_size) = (hits.collect(), 200);
        vec![Step::message(&SearchMoviesResponse { hits, total_size, ..Default::default() })]
    })
    .await;
    let keys: &str = DOWN.repeat(120).leak();
    let inputs = [("the first 100 of 200 movies", Keys(keys)), ("> <99>", Keys(ENTER))];
    let ended = search(&service, &["-o", "ndjson"], inputs).await;
    assert_eq!(ended.printed, "{\"title\":\"<99>\",\"id\":\"99\"}\n", "{ended:?}");
}

#[tokio::test]
async fn a_limit_that_a_screen_cannot_have_and_facets_are_refused() {
    let service = service().await;
    for (flags, error) in [
        (["--limit", "0"], "error: --limit: expected 1 to 100 without words to search for\n"),
        (["--limit", "101"], "error: --limit: expected 1 to 100 without words to search for\n"),
        (["--facets", "genres"], "error: --facets needs words to search for\n"),
    ] {
        let mut command = terminal::client(&service.address);
        let refused = terminal::on_terminal(command.arg("search").args(flags)).await;
        assert_eq!(refused, (Some(2), error.to_owned()));
    }
    assert_eq!(service.calls().len(), 0);
}

#[tokio::test]
async fn escape_control_c_and_signals_end_a_search_with_nothing_printed() {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(Input::Signal);
    for input in [Keys(ESCAPE), Keys(CONTROL_C)].into_iter().chain(signals) {
        let ended = search(&service().await, &[], [("> <> first", input)]).await;
        assert_eq!((ended.code, ended.printed.as_str()), (Some(130), ""), "{ended:?}");
    }
}

#[tokio::test]
async fn a_temporary_error_is_shown_and_another_one_ends_the_search() {
    let service = ScriptedServer::always([Step::End(failure(Code::Unavailable, "STORE_UNAVAILABLE"))]).await;
    let ended = search(&service, &["--tries", "1"], [("is unavailable: ", Keys(ESCAPE))]).await;
    assert_eq!((ended.code, ended.printed.as_str()), (Some(130), ""), "{ended:?}");
    let service = ScriptedServer::always([Step::End(failure(Code::Unimplemented, "SEARCH_OFF"))]).await;
    let ended = search(&service, &[], []).await;
    let error = format!("error: search is off at {}\n", service.address);
    assert!(ended.code == Some(8) && ended.printed.starts_with(&error), "{ended:?}");
}
