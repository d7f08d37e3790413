//! A program that runs beside this one: bounded in time, and gone when this one is done with it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// A running program. It is killed when this is dropped, with the programs that it has started.
#[derive(Debug)]
pub(crate) struct Program {
    /// How it was started, for errors: as one would type it into a shell.
    command: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What a program that has ended leaves behind.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained about.
    pub(crate) stderr: String,
}

/// The lines that come out of a pipe, each with its line end.
///
/// A thread reads them: waiting for a line can be bounded, and the program never waits for its reader.
#[derive(Debug)]
struct Lines(Receiver<String>);

/// Returns the command of the cargo that runs this program, in the folder `root`.
///
/// It does not see the variables that cargo sets for this program's package: build scripts that read them would run again, and
/// what depends on them would be built again.
#[must_use]
pub fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_package) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(root);
    cargo
}

/// Says that a program is missing, and how to install it.
pub(crate) fn not_installed(program: &str, package: &str) -> String {
    format!("{program} is not installed; on Debian: apt-get install {package}")
}

/// Sends a signal to a process.
///
/// # Errors
///
/// If there is no such process, or it belongs to another user.
pub(crate) fn send_signal(process: u32, signal: Signal) -> Result<()> {
    let sent = signal::kill(Pid::from_raw(i32::try_from(process)?), signal);
    sent.with_context(|| format!("send {signal} to the process {process}"))
}

/// Returns the processes that a process has started and that run. Where there is no `/proc`, none.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    // After the name, which is in parentheses: the state, then the parent.
    let parent = |child: u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    processes.filter(|child| parent(*child) == Some(process)).collect()
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
///
/// If it cannot be started, takes longer than `limit` or fails: the error has what it complained about.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let program = Program::start(command)?;
    let name = program.command.clone();
    let Output { status, stdout, stderr } = program.finish(limit)?;
    ensure!(status.success(), "{name}\n{status}\n{stderr}");
    Ok(stdout)
}

impl Program {
    /// Starts a program, with its output and errors kept for [`Program::finish`].
    ///
    /// # Errors
    ///
    /// If the operating system does not start it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let stdout = Lines::from(child.stdout.take());
        let stderr = Lines::from(child.stderr.take());
        Ok(Self { command: name, child, stdout, stderr })
    }

    /// Waits for a line with `words` among the program's errors, and returns it.
    ///
    /// # Errors
    ///
    /// If the line does not come within `limit`, or the program ends without it.
    pub(crate) fn wait_for(&self, words: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut others = String::new();
        loop {
            match self.stderr.next(deadline) {
                Ok(Some(line)) if line.contains(words) => return Ok(line),
                Ok(Some(line)) => others += &line,
                Ok(None) => bail!("{}\nended before it said `{words}`\n{others}", self.command),
                Err(_) => bail!("{}\ndid not say `{words}` within {limit:?}\n{others}", self.command),
            }
        }
    }

    /// Returns the errors that the program has printed and nobody has read yet.
    pub(crate) fn said(&self) -> String {
        self.stderr.0.try_iter().collect()
    }

    /// Returns the process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line that the program prints; `None` if there is none left.
    ///
    /// # Errors
    ///
    /// If it does not come within `limit`.
    pub(crate) fn line(&self, limit: Duration) -> Result<Option<String>> {
        let line = self.stdout.next(Instant::now() + limit);
        line.with_context(|| format!("{}\nprinted nothing within {limit:?}", self.command))
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    ///
    /// If it does not end within `limit`.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Output> {
        let deadline = Instant::now() + limit;
        let too_slow = |_| anyhow::anyhow!("{}\ndid not end within {limit:?}", self.command);
        let stdout = self.stdout.rest(deadline).map_err(too_slow)?;
        let stderr = self.stderr.rest(deadline).map_err(too_slow)?;
        // Its pipes close when it ends, so this does not wait for long.
        let status = self.child.wait()?;
        Ok(Output { status, stdout, stderr })
    }

    /// Asks the program to stop, and waits for it to end.
    ///
    /// # Errors
    ///
    /// If it has ended before, or does not end within `limit`.
    pub(crate) fn stop(mut self, limit: Duration) -> Result<Output> {
        if let Some(status) = self.child.try_wait()? {
            let command = self.command.clone();
            let stderr = self.finish(limit)?.stderr;
            bail!("{command}\nended before it was asked to: {status}\n{stderr}");
        }
        self.signal(Signal::SIGTERM)?;
        self.finish(limit)
    }

    /// Sends a signal to the program, which may have ended.
    ///
    /// # Errors
    ///
    /// If it belongs to another user.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // Its id is not used again before it is waited for, which consumes it.
        send_signal(self.id(), signal)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A process group of its own would end them more simply, but not when this program is interrupted in a terminal.
        let mut processes = vec![self.id()];
        let mut index = 0;
        while let Some(process) = processes.get(index) {
            processes.extend(children(*process));
            index += 1;
        }
        for process in processes {
            // An error means that it has ended already.
            let _ = send_signal(process, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Lines {
    fn from(pipe: Option<impl Read + Send + 'static>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let mut lines = pipe.map(BufReader::new);
        thread::spawn(move || {
            let mut line = Vec::new();
            // A pipe that fails has ended, too.
            while let Some(lines) = &mut lines
                && lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0)
                && sender.send(String::from_utf8_lossy(&line).into_owned()).is_ok()
            {
                line.clear();
            }
        });
        Self(receiver)
    }

    /// Returns the next line, `None` after the last, or an error at the deadline.
    fn next(&self, deadline: Instant) -> Result<Option<String>, RecvTimeoutError> {
        let left = deadline.checked_duration_since(Instant::now()).ok_or(RecvTimeoutError::Timeout)?;
        match self.0.recv_timeout(left) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(timeout @ RecvTimeoutError::Timeout) => Err(timeout),
        }
    }

    /// Returns all lines that are left, or an error at the deadline.
    fn rest(&self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        let mut rest = String::new();
        while let Some(line) = self.next(deadline)? {
            rest += &line;
        }
        Ok(rest)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_run_returns_all_that_was_printed() {
        assert_eq!(run(&mut shell("echo a; echo b >&2; printf c"), LATE).unwrap(), "a\nc");
    }

    #[test]
    fn a_failed_run_says_what_was_run_and_what_it_complained_about() {
        let error = run(&mut shell("echo because >&2; exit 3"), LATE).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("because\n"), "{error}");
    }

    #[test]
    fn waiting_for_a_program_that_neither_ends_nor_speaks_ends_at_the_limit() {
        let program = Program::start(&mut shell("exec sleep 60")).unwrap();
        let error = program.wait_for("ready", SOON).unwrap_err().to_string();
        assert!(error.ends_with("did not say `ready` within 50ms\n"), "{error}");
        let error = program.finish(SOON).unwrap_err().to_string();
        assert!(error.ends_with("did not end within 50ms"), "{error}");
    }

    #[test]
    fn a_program_that_ends_before_it_is_ready_is_quoted() {
        let program = Program::start(&mut shell("echo no luck >&2")).unwrap();
        let error = program.wait_for("ready", LATE).unwrap_err().to_string();
        assert!(error.ends_with("ended before it said `ready`\nno luck\n"), "{error}");
    }

    #[test]
    fn a_program_that_is_asked_to_stop_can_finish_its_work() {
        let script = "trap 'echo done; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done";
        let program = Program::start(&mut shell(script)).unwrap();
        program.wait_for("ready", LATE).unwrap();
        let Output { status, stdout, .. } = program.stop(LATE).unwrap();
        assert_eq!((status.success(), stdout.as_str()), (true, "done\n"));
    }

    #[test]
    fn a_dropped_program_is_gone() {
        let program = Program::start(&mut shell("echo ready >&2; exec sleep 60")).unwrap();
        program.wait_for("ready", LATE).unwrap();
        let id = program.id();
        drop(program);
        send_signal(id, Signal::SIGCONT).unwrap_err();
    }

    #[test]
    fn a_dropped_program_takes_those_that_it_has_started_with_it() {
        // `:` keeps the shell from becoming the program.
        let program = Program::start(&mut shell("sh -c 'sleep 60; :' & echo ready >&2; wait")).unwrap();
        program.wait_for("ready", LATE).unwrap();
        let [child] = children(program.id())[..] else { panic!("expected a child") };
        drop(program);
        let state = || fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let end = Instant::now() + LATE;
        // It belongs to the first process of the machine now, which may not have waited for it.
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(Instant::now() < end, "{}", state());
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_program_that_has_ended_cannot_be_stopped() {
        let program = Program::start(&mut shell("echo because >&2; exit 3")).unwrap();
        program.wait_for("because", LATE).unwrap();
        program.line(LATE).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap_or_default();
        while !state().contains(") Z ") {
            thread::sleep(Duration::from_millis(1));
        }
        let error = program.stop(LATE).unwrap_err().to_string();
        assert!(error.contains("ended before it was asked to: exit status: 3"), "{error}");
    }
}
