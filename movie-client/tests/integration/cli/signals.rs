//! Interruptions by Ctrl-C: a command ends between two lines, and a benchmark prints its report.

use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::program::{client, outcome, over};
use crate::support::service::Service;

/// A running command and its output.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(Duration::from_secs(30), self.stdout.read_line(&mut line)).await;
        read.expect("no line was printed").unwrap();
        line
    }

    fn interrupt(&self) {
        let id = self.child.id().unwrap().try_into().unwrap();
        kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
    }

    /// Waits for the end, and returns the exit code and the remaining output.
    async fn end(mut self) -> (Option<i32>, String, String) {
        let ended = timeout(Duration::from_secs(30), async {
            let mut stdout = String::new();
            self.stdout.read_to_string(&mut stdout).await.unwrap();
            let Output { status, stderr, .. } = self.child.wait_with_output().await.unwrap();
            (status.code(), stdout, String::from_utf8(stderr).unwrap())
        });
        ended.await.expect("the client did not end")
    }
}

#[tokio::test]
async fn an_interruption_ends_a_watch() {
    let mut watch = Running::start(client(&over("movies.json")).args(["watch", "--copy"]));
    while !watch.line().await.contains("caught_up") {}
    watch.interrupt();
    assert_eq!(watch.end().await, (Some(130), String::new(), String::new()));
}

#[tokio::test]
async fn an_interruption_ends_a_long_list_between_two_lines() {
    let mut list = Running::start(client(&over("films.json")).arg("list"));
    // The list is much longer than the buffers.
    assert!(list.line().await.starts_with("{\"title\":\"Abe Lincoln in Illinois\""));
    list.interrupt();
    let (code, stdout, stderr) = list.end().await;
    assert_eq!((code, stderr.as_str()), (Some(130), ""));
    assert!(stdout.lines().count() < 17_469, "the list was not interrupted");
    let end = stdout.lines().next_back().unwrap();
    assert!(stdout.ends_with("}\n") && end.starts_with("{\"title\":"), "{end}");
}

#[tokio::test]
async fn an_interruption_ends_a_list_that_is_not_read() {
    let mut list = Running::start(client(&over("films.json")).arg("list"));
    // The pipe is full before the end of the list, and stays full.
    list.line().await;
    list.interrupt();
    let ended = timeout(Duration::from_secs(30), list.child.wait()).await;
    assert_eq!(ended.expect("the client did not end").unwrap().code(), Some(130));
}

#[tokio::test]
async fn an_interrupted_json_document_is_complete() {
    let mut watch = Running::start(client(&over("movies.json")).args(["watch", "--copy", "-o", "json"]));
    let mut document = String::new();
    while !document.contains("The Martian") {
        document += &watch.line().await;
    }
    watch.interrupt();
    let (code, rest, _) = watch.end().await;
    assert_eq!(code, Some(130));
    let changes: Vec<serde_json::Value> = serde_json::from_str(&(document + &rest)).unwrap();
    assert_eq!(changes.last().unwrap()["caught_up"], true);
}

#[tokio::test]
async fn an_interruption_ends_a_lookup_that_waits_for_ids() {
    let mut lookup = Running::start(client(&over("movies.json")).arg("lookup"));
    let mut stdin = lookup.child.stdin.take().unwrap();
    stdin.write_all(b"267eedb8-0f5d-42d5-8f43-72426b9fb3e6\n").await.unwrap();
    assert!(lookup.line().await.contains("Creed"));
    lookup.interrupt();
    assert_eq!(lookup.end().await, (Some(130), String::new(), String::new()));
    drop(stdin);
}

#[tokio::test]
async fn an_interruption_ends_an_import_that_waits_for_input() {
    let service = Service::writable();
    // The machine may be busy, so the timeout is long.
    let arguments = ["import", "-", "-v", "--timeout", "60s"];
    let mut import = Running::start(client(&service.address).args(arguments));
    let mut printed = BufReader::new(import.child.stderr.take().unwrap()).lines();
    let mut stdin = import.child.stdin.take().unwrap();
    // Whole batches, which are sent while the import waits for more input.
    let rows = (0..4_000).map(|id| format!("{{\"id\":\"{id}\",\"title\":\"A title\"}}\n"));
    stdin.write_all(rows.collect::<String>().as_bytes()).await.unwrap();
    for _batch in 0..4 {
        while !printed.next_line().await.unwrap().unwrap().contains("first response") {}
    }
    import.interrupt();
    let (code, stdout, _) = import.end().await;
    assert_eq!((code, stdout.as_str()), (Some(130), ""));
    let mut last = String::new();
    while let Some(line) = printed.next_line().await.unwrap() {
        last = line;
    }
    assert!(last.starts_with("so far 4000 written and 0 unchanged; import again to continue"), "{last}");
    assert!(
        outcome(client(&service.address).args(["info", "-o", "csv"])).await.stdout.contains("movies,4000\n")
    );
    drop(stdin);
}

#[tokio::test]
async fn an_interrupted_measurement_prints_its_report() {
    let address = over("movies.json");
    let bench = ["bench", "--duration", "1h", "--warm-up", "0", "--concurrency", "1", "-v"];
    let mut bench = Running::start(client(&address).args(bench));
    // Each response is logged. The preparation needs only a few.
    let mut printed = BufReader::new(bench.child.stderr.take().unwrap()).lines();
    for _ in 0..100 {
        let line = timeout(Duration::from_secs(30), printed.next_line()).await;
        line.expect("no line was printed").unwrap().unwrap();
    }
    tokio::spawn(async move { while let Ok(Some(_)) = printed.next_line().await {} });
    bench.interrupt();
    let (code, stdout, _) = bench.end().await;
    assert_eq!(code, Some(130), "{stdout}");
    assert!(stdout.contains("\"interrupted\":true") && stdout.ends_with("}\n"), "{stdout}");
}

#[tokio::test]
async fn an_interruption_before_the_measurement_prints_a_warning() {
    // The listener accepts connections and sends nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for (address, until, times) in [(address, "connected to", 1), (over("movies.json"), "first response", 30)]
    {
        let bench = ["bench", "--warm-up", "1h", "-v"];
        let mut bench = Running::start(client(&address).args(bench));
        let mut printed = BufReader::new(bench.child.stderr.take().unwrap()).lines();
        let next = async |printed: &mut Lines<_>| {
            let line = timeout(Duration::from_secs(30), printed.next_line()).await;
            line.expect("no line was printed").unwrap().expect("the end comes first")
        };
        for _ in 0..times {
            while !next(&mut printed).await.contains(until) {}
        }
        bench.interrupt();
        while !next(&mut printed).await.contains("interrupted before the measurement") {}
        let (code, stdout, _) = bench.end().await;
        assert_eq!((code, stdout.as_str()), (Some(130), ""));
    }
}
