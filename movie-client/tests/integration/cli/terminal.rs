//! Output on a terminal: columns, colours and progress bars.

use std::fs::File;
use std::io::{Read, Write};
use std::mem;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use console::{measure_text_width, strip_ansi_codes};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tokio::process::Command;
use tokio::time::timeout;
use tonic::Status;

use crate::support::program::{self, Outcome, outcome, over, workspace};
use crate::support::scripted::{ScriptedServer, Step};
use crate::support::service::Service;

pub(super) const TERMINAL_SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Control sequence that clears the current line.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Runs a command on a terminal of 80 columns, and returns its exit code and its output.
pub(super) async fn on_terminal(command: &mut Command) -> (Option<i32>, String) {
    on_terminal_until(command, None).await
}

/// Runs a command on a terminal, and interrupts it after this output.
async fn on_terminal_until(command: &mut Command, last: Option<&'static str>) -> (Option<i32>, String) {
    let OpenptyResult { master, slave } = openpty(&TERMINAL_SIZE, None).unwrap();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    // The terminal closes only after the command has dropped its handles.
    *command = Command::new("true");
    drop(slave);
    let id = Pid::from_raw(child.id().unwrap().try_into().unwrap());
    let sent = thread::spawn(move || {
        let (mut terminal, mut sent) = (File::from(master), String::new());
        if let Some(last) = last {
            read(&mut terminal, &mut sent, |sent| sent.contains(last));
            kill(id, Signal::SIGINT).unwrap();
        }
        read(&mut terminal, &mut sent, |_| false);
        sent.replace("\r\n", "\n")
    });
    let status = timeout(Duration::from_mins(2), child.wait()).await;
    let code = status.expect("the client did not end").unwrap().code();
    (code, sent.join().unwrap())
}

/// Returns the command that runs the client on a terminal with colours.
pub(super) fn client(address: &impl ToString) -> Command {
    let mut command = program::client(address);
    command.env("TERM", "xterm-256color");
    command
}

/// Reads the output of a terminal until `is_enough` returns true, or until the terminal is closed.
pub(super) fn read(terminal: &mut File, sent: &mut String, is_enough: impl Fn(&str) -> bool) {
    let mut all = mem::take(sent).into_bytes();
    let mut some = [0; 4096];
    // Linux reports the end as EIO.
    while !is_enough(&String::from_utf8_lossy(&all))
        && let Ok(read @ 1..) = terminal.read(&mut some)
    {
        all.extend_from_slice(&some[..read]);
    }
    *sent = String::from_utf8(all).unwrap();
}

/// Returns the positions of the columns in a header.
fn columns(header: &str) -> Vec<usize> {
    let names = ["ID", "TITLE", "YEAR", "RATING", "DIRECTOR", "GENRES"];
    names.iter().map(|name| header.find(name).unwrap_or_else(|| panic!("no {name}: {header}"))).collect()
}

#[tokio::test]
async fn an_empty_list_is_reported_in_words() {
    let service = Service::writable();
    for format in ["table", "ndjson", "text"] {
        let list = ["list", "-o", format];
        let (code, sent) = on_terminal(client(&service.socket_address()).args(list)).await;
        assert!(code == Some(0) && sent.ends_with("the catalogue has no movies\n"), "{sent}");
        let filtered = ["list", "-o", format, "--genre", "None"];
        let (code, sent) = on_terminal(client(&over("movies.json")).args(filtered)).await;
        assert!(code == Some(0) && sent.ends_with("no movie matches\n"), "{sent}");
    }
    // A server of the course.
    let server = ScriptedServer::start(|call| {
        let is_course = call.path.starts_with("/Movie/");
        if is_course { vec![] } else { vec![Step::End(Status::unimplemented(""))] }
    })
    .await;
    let (code, sent) = on_terminal(client(&server.address).args(["list", "-o", "ndjson"])).await;
    assert_eq!((code, sent.as_str()), (Some(0), "the catalogue has no movies\n"));
}

#[tokio::test]
async fn a_list_is_a_table_that_fits_and_has_a_bold_header() {
    let address = over("films.json");
    let (code, sent) = on_terminal(client(&address).args(["list", "--limit", "50"])).await;
    let lines: Vec<_> = sent.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 51), "{sent}");
    assert!(lines[0].starts_with("\x1b[1m"), "{:?}", lines[0]);
    columns(&strip_ansi_codes(lines[0]));
    let widths = lines.iter().map(|line| measure_text_width(line));
    assert!(widths.clone().all(|width| width <= 80), "{sent}");
    assert!(widths.max() > Some(72), "the table is too narrow: {sent}");
}

#[tokio::test]
async fn a_list_without_movies_says_so() {
    let address = over("films.json");
    let list = ["list", "--genre", "horor", "-o", "text"];
    assert_eq!(on_terminal(client(&address).args(list)).await, (Some(0), "no movie matches\n".to_owned()));
    // Without a terminal, the reader is a program.
    let Outcome { code, stdout, stderr } = outcome(program::client(&address).args(list)).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
}

#[tokio::test]
async fn changes_are_green_and_red_unless_colours_are_disabled() {
    let service = Service::writable();
    for arguments in [&["create", "--id", "ran", "--title", "Ran"][..], &["delete", "ran"]] {
        let (code, sent) = on_terminal(client(&service.address).args(arguments)).await;
        assert_eq!(code, Some(0), "{sent}");
    }
    let watch = ["watch", "--from", "0", "--until-caught-up"];
    let (_, colourful) = on_terminal(client(&service.address).args(watch)).await;
    assert!(colourful.contains("\x1b[32mupserted") && colourful.contains("\x1b[31mdeleted"), "{colourful}");
    let (_, plain) = on_terminal(client(&service.address).args(watch).env("NO_COLOR", "1")).await;
    assert_eq!(plain, strip_ansi_codes(&colourful));
    let (_, plain) = on_terminal(client(&service.address).args(watch).env("TERM", "dumb")).await;
    assert_eq!(plain, strip_ansi_codes(&colourful));
}

#[tokio::test]
async fn characters_of_any_width_keep_columns_aligned() {
    let service = Service::writable();
    let titles = [
        "千と千尋の神隠し",
        "Cafe\u{301} Lumie\u{300}re",
        "기생충",
        "Plain",
        "🎬 A clapperboard",
        "\u{202e}turned",
    ];
    for (id, title) in titles.iter().enumerate() {
        let id = id.to_string();
        let create = ["create", "--id", &id, "--title", title, "--year", "2001", "--director", "Somebody"];
        let (code, sent) = on_terminal(client(&service.address).args(create)).await;
        assert_eq!(code, Some(0), "{sent}");
    }
    let (_, sent) = on_terminal(client(&service.address).arg("list")).await;
    assert!(!sent.contains('\u{202e}'), "{sent}");
    let mut lines = sent.lines().map(strip_ansi_codes);
    let header = lines.next().unwrap();
    let (year, director) = (header.find("YEAR").unwrap(), header.find("DIRECTOR").unwrap());
    for line in lines {
        let before = |word| measure_text_width(line.split(word).next().unwrap());
        assert_eq!((before("2001"), before("Somebody")), (year, director), "{sent}");
    }
}

#[tokio::test]
async fn an_import_shows_a_progress_bar_and_clears_it() {
    let service = Service::writable();
    let films = workspace("databases/films.json");
    let (code, sent) =
        on_terminal(client(&service.address).args(["import", "--timeout", "2m"]).arg(films)).await;
    assert_eq!(code, Some(0), "{sent}");
    let (progress, outcome) = sent.rsplit_once(CLEAR_LINE).expect("the progress bar is not cleared");
    for part in ["MiB", "█", " movies, ", "/s", " left"] {
        assert!(progress.contains(part), "no {part}: {sent:?}");
    }
    let drawn = progress.split(CLEAR_LINE).map(measure_text_width);
    assert!(drawn.max() <= Some(80), "{sent:?}");
    assert!(strip_ansi_codes(outcome).starts_with("created     17470\nupdated     0\n"), "{outcome:?}");
}

#[tokio::test]
async fn an_interrupted_import_clears_its_progress_bar() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::writable();
    let file = directory.path().join("movies.ndjson");
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    let to = file.clone();
    let writer = thread::spawn(move || {
        let mut file = File::create(to).unwrap();
        // One batch, so that progress is shown while the import waits for more input.
        for id in 0..10_000 {
            writeln!(file, "{{\"id\": \"{id}\", \"title\": \"A title\"}}").unwrap();
        }
        file
    });
    let (code, sent) = on_terminal_until(client(&service.address).arg("import").arg(file), Some("/s")).await;
    assert_eq!(code, Some(130), "{sent:?}");
    let (_, printed) = sent.rsplit_once(CLEAR_LINE).expect("the progress bar is not cleared");
    assert!(printed.starts_with("so far ") && printed.lines().count() == 1, "{printed:?}");
    drop(writer.join());
}

#[tokio::test]
async fn a_measurement_shows_a_progress_bar_and_clears_it() {
    let bench = ["bench", "--duration", "1s", "--warm-up", "500ms", "--concurrency", "1"];
    let (code, sent) = on_terminal(client(&over("movies.json")).args(bench)).await;
    assert_eq!(code, Some(0), "{sent}");
    let (progress, report) = sent.rsplit_once(CLEAR_LINE).expect("the progress bar is not cleared");
    for part in ["warming up", " s left, ", " calls/s, p99 "] {
        assert!(progress.contains(part), "no {part}: {sent:?}");
    }
    assert!(strip_ansi_codes(report).starts_with("call        GetMovie, "), "{report:?}");
    assert!(report.lines().all(|line| measure_text_width(line) <= 80), "{report}");
}

#[tokio::test]
async fn help_fits_the_terminal() {
    let (code, sent) = on_terminal(client(&over("movies.json")).args(["update", "--help"])).await;
    assert_eq!(code, Some(0));
    assert!(sent.lines().all(|line| measure_text_width(line) <= 80), "{sent}");
}
