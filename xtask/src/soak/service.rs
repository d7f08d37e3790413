//! A service under load.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::process;
use crate::program::Program;

/// Megabytes that may stay with the service: its allocator returns freed memory in its own time.
const MAX_RETAINED_MB: f64 = 24.0;

/// Time for the service to start, and to give back what peers made it hold.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Time for the service to end: the grace that it gives to calls, and a second.
const STOP_TIMEOUT: Duration = Duration::from_secs(21);

/// A running service.
pub(super) struct Service {
    /// Its name in the output.
    pub(super) name: &'static str,
    program: Program,
    pub(super) address: String,
}

/// What a service holds of the machine, and what it has used.
pub(super) struct Usage {
    /// Megabytes.
    memory: f64,
    /// The most that it has held so far, in megabytes.
    peak: f64,
    descriptors: usize,
    /// Seconds.
    cpu: f64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, peak, descriptors, cpu } = self;
        write!(f, "{memory:.1} MB (peak {peak:.1}), {descriptors} descriptors, {cpu:.1} s of CPU")
    }
}

impl Service {
    /// Starts a service.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let program = Program::start(command.stdin(Stdio::null()))?;
        let line = program.wait_for("serving ", TIMEOUT)?;
        let (_, address) =
            line.trim_end().rsplit_once(" on ").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { name, address: address.to_owned(), program })
    }

    /// Returns the number of the process.
    pub(super) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Waits until the service holds no more than before.
    pub(super) fn settled(&self, before: &Usage) -> Result<Usage> {
        let end = Instant::now() + TIMEOUT;
        loop {
            let now = self.usage()?;
            if now.memory <= before.memory + MAX_RETAINED_MB && now.descriptors <= before.descriptors {
                return Ok(now);
            }
            if Instant::now() > end {
                let name = self.name;
                bail!(
                    "the {name} service keeps more than {MAX_RETAINED_MB} MB, or descriptors: {before}, then {now}"
                );
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Asks the service to stop, and waits until it has ended.
    pub(super) fn stop(self) -> Result<()> {
        let (name, began) = (self.name, Instant::now());
        let output = self.program.stop(STOP_TIMEOUT)?;
        let (status, log) = (output.status, output.stderr);
        ensure!(status.success(), "the {name} service ended with {status}\n{log}");
        ensure!(!log.contains("panicked"), "the {name} service panicked\n{log}");
        let time = began.elapsed().as_secs_f64();
        println!("the {name} service ended {time:.1} s after it was asked to, with {status}");
        Ok(())
    }

    /// Returns what the service holds and has used.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.id())
    }
}

impl Usage {
    /// Returns what a process holds and has used.
    pub(super) fn of(process: u32) -> Result<Self> {
        Ok(Self {
            memory: process::memory(process, "VmRSS:")?,
            peak: process::memory(process, "VmHWM:")?,
            descriptors: process::descriptors(process)?,
            cpu: process::cpu(process)?,
        })
    }
}
