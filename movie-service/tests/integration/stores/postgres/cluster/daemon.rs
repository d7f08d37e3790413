//! A server process that never outlives the tests, and its working directory.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The user id of the servers if the tests run as root: `nobody`. The servers refuse to run as root.
const NOBODY: u32 = 65_534;

/// Runs the server given by the arguments from `$2`. Ends it with the signal that it reads or, at the end of the input, with
/// the signal `$1`: then the test process has ended, and the script removes the working directory.
const SUPERVISOR: &str = r#"
    last=$1; shift
    "$@" >>log 2>&1 </dev/null & server=$!
    echo $server
    if read -r signal; then store=1; else signal=$last; fi
    kill -s CONT $server
    kill -s $signal $server
    wait $server
    [ $store ] || rm -rf "$PWD"
"#;

/// The working directory of a server. Its owner is the user that the server runs as.
pub(super) struct WorkDir(TempDir);

/// A running server. Its parent is a shell that ends it when the test process ends, even if that is killed.
pub(super) struct Daemon {
    shell: Child,
    pid: u32,
}

impl WorkDir {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if fs::metadata(dir.path()).unwrap().uid() == 0 {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self(dir)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns a command that runs in the directory, as the user of the server.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if fs::metadata(self.path()).unwrap().uid() == NOBODY {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.path());
        command
    }

    /// Writes a file that the server reads.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        let owner = fs::metadata(self.path()).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    /// Starts a server. If the test process ends, the server gets the signal `last`.
    pub(super) fn spawn(&self, program: &Path, args: &[&str], last: &str) -> Daemon {
        let mut shell = self.command("sh");
        shell.args(["-c", SUPERVISOR, "sh", last]).arg(program).args(args);
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        Daemon { shell, pid: pid.trim().parse().unwrap() }
    }

    /// Returns what the server has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }
}

impl Daemon {
    /// Ends the server with a signal, and waits until it has ended.
    pub(super) fn end(mut self, signal: &str) {
        writeln!(self.shell.stdin.take().unwrap(), "{signal}").unwrap();
        self.shell.wait().unwrap();
    }

    /// Kills the server and all its child processes, as a power failure does.
    pub(super) fn kill(self) {
        // A stopped server starts no further child processes, and does not notice that its children are killed.
        send("STOP", &[self.pid]);
        send("KILL", &self.children());
        self.end("KILL");
    }

    /// Stops the server and all its child processes: connections stay open, and get no response.
    pub(super) fn suspend(&self) {
        send("STOP", &[self.pid]);
        send("STOP", &self.children());
    }

    /// Continues the server and its child processes.
    pub(super) fn resume(&self) {
        send("CONT", &self.children());
        send("CONT", &[self.pid]);
    }

    fn children(&self) -> Vec<u32> {
        let output = Command::new("ps").args(["-A", "-o", "ppid=", "-o", "pid="]).output().unwrap();
        let processes = String::from_utf8(output.stdout).unwrap();
        let numbers = processes.lines().filter_map(|line| line.trim().split_once(' '));
        let children = numbers.filter(|(parent, _)| *parent == self.pid.to_string());
        children.map(|(_, child)| child.trim().parse().unwrap()).collect()
    }
}

/// Returns a free port of the loopback interface.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a command that must succeed; returns its output.
pub(super) fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|errors| panic!("{command:?}: {errors}"))
}

/// Runs a command; returns its standard output or, if it fails, its standard error.
pub(super) fn try_run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let printed = if output.status.success() { &output.stdout } else { &output.stderr };
    let printed = String::from_utf8_lossy(printed).into_owned();
    if output.status.success() { Ok(printed) } else { Err(printed) }
}

/// Sends a signal. Processes that have ended are ignored.
fn send(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let mut kill = Command::new("kill");
    kill.args(["-s", signal]).args(pids).stderr(Stdio::null()).status().unwrap();
}
