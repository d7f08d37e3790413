//! The service as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use movie_proto::movie_client::MovieClient;
use tonic::transport::{Channel, Endpoint};

use super::databases::database;

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running service. It is killed when this is dropped.
pub(crate) struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The lines that it logs before the start line.
    pub(crate) early_lines: Vec<String>,
    /// The line that says that it serves.
    pub(crate) start_line: String,
    /// The address that it listens on; port 0 for a Unix socket.
    pub(crate) address: SocketAddr,
}

/// Returns the number of rounds of tests that end the service at a random moment: `MOVIE_TEST_ROUNDS`, by default 2.
pub(crate) fn rounds() -> u64 {
    std::env::var("MOVIE_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// Returns the command that runs the service on a free port of the loopback interface.
pub(crate) fn command(database: &Path) -> Command {
    let mut command = bare_command();
    command.args(["--listen", "127.0.0.1:0", "--database"]).arg(database);
    command
}

/// Returns the command that runs the service without arguments and without the environment variables that it reads. Its log
/// is text.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_movie-service"));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("MOVIE_") || name.starts_with("OTEL_") || name == "RUST_LOG" {
            command.env_remove(variable);
        }
    }
    command.env("MOVIE_LOG_FORMAT", "text");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Service {
    /// Runs the service over a database of the workspace.
    pub(crate) fn start(name: &str) -> Self {
        Self::run(&mut command(&database(name)))
    }

    /// Runs a command and waits for the start line.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut early_lines = Vec::new();
        let start_line = loop {
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the service did not start: {}", early_lines.concat());
            if line.contains("serving ") {
                break line;
            }
            early_lines.push(line);
        };
        // The last word of the message. In JSON, quotes and braces follow it.
        let address = match start_line.trim_end().rsplit_once(" on ") {
            Some((_, address)) if address.starts_with("unix:") => Some(([0; 4], 0).into()),
            Some((_, address)) => address.trim_end_matches(|end: char| !end.is_ascii_digit()).parse().ok(),
            None => None,
        };
        let address = address.unwrap_or_else(|| panic!("no address: {start_line}"));
        Self { child, stderr, early_lines, start_line, address }
    }

    /// Connects a stub of the course's contract.
    pub(crate) async fn stub(&self) -> MovieClient<Channel> {
        stub(self.address).await
    }

    /// Takes the read end of standard output.
    pub(crate) fn stdout(&mut self) -> impl Read + Send + use<> {
        self.child.stdout.take().unwrap()
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next log line.
    pub(crate) fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Waits for a log line that contains `part`; returns it and the lines before it.
    pub(crate) fn log_until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(part)) {
            lines.push(self.log_line());
            assert_ne!(lines.last().map(String::as_str), Some(""), "no {part:?} in:\n{}", lines.concat());
        }
        lines
    }

    /// Waits for a log line that contains `part`.
    pub(crate) fn log_line_with(&mut self, part: &str) -> String {
        self.log_until(part).pop().unwrap()
    }

    /// Stops the service; returns the log lines that were not read before.
    pub(crate) async fn end(&mut self) -> Vec<String> {
        self.signal("TERM");
        assert!(self.wait().await.success());
        let lines = std::iter::repeat_with(|| self.log_line());
        lines.take_while(|line| !line.is_empty()).collect()
    }

    /// Sends a signal, given by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Sends signals in quick succession, given by their names.
    pub(crate) fn signals(&self, names: &[&str]) {
        let kill = r#"pid=$0; for name; do kill -s "$name" "$pid"; done"#;
        let status = Command::new("sh").args(["-ec", kill, &self.pid().to_string()]).args(names).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of the process.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the process did not end");
            // The test's clients run on this thread, and must see that the service closes their connections.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns whether the process is running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects a stub of the course's contract.
pub(crate) async fn stub(address: SocketAddr) -> MovieClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    MovieClient::new(endpoint.connect().await.unwrap())
}

/// Runs a command to its end; returns its exit status, standard output and standard error.
pub(crate) fn outcome(command: &mut Command) -> (ExitStatus, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
