//! A program that runs beside this one: bounded in time, and gone when this one is done with it.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A running program. It is killed when this is dropped.
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
    /// If it does not end within `limit`.
    pub(crate) fn stop(self, limit: Duration) -> Result<Output> {
        // The standard library can only kill; a shell can ask.
        let id = self.child.id().to_string();
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status()?;
        ensure!(asked.success(), "{}\nended before it was asked to", self.command);
        self.finish(limit)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
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

#[cfg(all(test, unix))]
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
        let id = program.child.id();
        drop(program);
        run(&mut shell(&format!("kill -0 {id}")), LATE).unwrap_err();
    }
}
