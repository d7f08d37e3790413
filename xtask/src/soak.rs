//! `cargo xtask soak`: the service under ordinary calls, reloads and hostile peers, all at the same time.
//!
//! Every answer is checked. What the service holds is looked at before and after: what hostile peers made it hold
//! has to be back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::bench::{self, data, load, process};
use crate::program::Program;

/// How long to soak.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Minutes of load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
}

const MOVIES: u64 = 100_000;

/// Limits short enough that peers run into each of them many times in a minute.
const LIMITS: &str = "handshake=1s,unread=5s,idle=5s,age=10s";

/// Megabytes that may stay with the service: its allocator returns freed memory in its own time.
const MAX_RETAINED_MB: f64 = 24.0;

/// How long the service may take to give back what peers made it hold, and to start.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the service may take to end: the grace that it gives to calls, and a second.
const STOPPED: Duration = Duration::from_secs(21);

/// Runs the load, prints a line a minute, and says whether all is well.
///
/// # Errors
///
/// If something does not build or run, an answer is wrong, an ordinary call fails, or the service keeps memory or
/// descriptors, panics, or does not end as it should.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    bench::build(root)?;
    let dir = target.join("bench");
    fs::create_dir_all(&dir)?;
    let database = dir.join("soaked.json");
    fs::copy(data::database(&dir, MOVIES)?, &database)?;

    let service = Service::start(&target, &database)?;
    load::check(&target, service.address.parse()?, &database)?;
    let before = service.usage()?;
    println!("before: {before}");
    service.soak(&target, &database, options.minutes)?;
    load::check(&target, service.address.parse()?, &database).context("after the load")?;
    let after = service.settled(&before)?;
    println!("after: {after}");
    service.stop()?;
    fs::remove_file(database)?;
    println!("all is well");
    Ok(())
}

/// The service, as it is shipped.
struct Service {
    program: Program,
    address: String,
}

/// What the service holds of the machine, and what it has used.
struct Usage {
    /// Megabytes.
    memory: f64,
    /// The most that it has held so far, in megabytes.
    peak: f64,
    descriptors: usize,
    /// Seconds.
    cpu: f64,
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { memory, peak, descriptors, cpu } = self;
        write!(f, "{memory:.1} MB (peak {peak:.1}), {descriptors} descriptors, {cpu:.1} s of CPU")
    }
}

impl Service {
    fn start(target: &Path, database: &Path) -> Result<Self> {
        let mut command = Command::new(target.join("release/movie-service"));
        command.args(["--listen", "127.0.0.1:0", "--quiet", "--log-format", "text", "--limit", LIMITS]);
        // Else the changes that reloads make, which are kept for those who follow them, take more than peers may.
        command.args(["--keep-changes", "1000", "--metrics", "127.0.0.1:0"]);
        let program = Program::start(command.arg("--database").arg(database).stdin(Stdio::null()))?;
        let line = program.wait_for("serving ", STOP_TIMEOUT)?;
        let (_, address) =
            line.trim_end().rsplit_once(" on ").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { address: address.to_owned(), program })
    }

    /// Runs the load, and prints what it says with what the service uses meanwhile.
    fn soak(&self, target: &Path, database: &Path, minutes: u64) -> Result<()> {
        let mut command = Command::new(target.join("plain/examples/soak"));
        command.arg(&self.address).arg(database).arg((60 * minutes).to_string()).stdin(Stdio::null());
        // What the panic of a peer says is enough.
        command.env("RUST_BACKTRACE", "0");
        let load = Program::start(&mut command)?;
        let limit = Duration::from_mins(1) + STOP_TIMEOUT;
        while let Some(line) = load.line(limit)? {
            println!("{}; {}", line.trim_end(), self.usage()?);
        }
        let output = load.finish(STOP_TIMEOUT)?;
        ensure!(output.status.success(), "the load found fault\n{}", output.stderr);
        Ok(())
    }

    /// Waits until the service holds no more than before.
    fn settled(&self, before: &Usage) -> Result<Usage> {
        let end = Instant::now() + STOP_TIMEOUT;
        loop {
            let now = self.usage()?;
            if now.memory <= before.memory + MAX_RETAINED_MB && now.descriptors <= before.descriptors {
                return Ok(now);
            }
            if Instant::now() > end {
                bail!(
                    "the service keeps more than {MAX_RETAINED_MB} MB, or descriptors: {before}, then {now}"
                );
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn stop(self) -> Result<()> {
        let began = Instant::now();
        let output = self.program.stop(STOPPED)?;
        ensure!(output.status.success(), "the service ended with {}\n{}", output.status, output.stderr);
        ensure!(!output.stderr.contains("panicked"), "the service panicked\n{}", output.stderr);
        println!(
            "ended {:.1} s after it was asked to, with {}",
            began.elapsed().as_secs_f64(),
            output.status
        );
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        let id = self.program.id();
        Ok(Usage {
            memory: process::memory(id, "VmRSS:")?,
            peak: process::memory(id, "VmHWM:")?,
            descriptors: process::descriptors(id)?,
            cpu: process::cpu(id)?,
        })
    }
}
