//! A service under load.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context, Result, bail};

use crate::bench::process;
use crate::service;

/// Megabytes that may stay with the service: its allocator returns freed memory in its own time.
const MAX_RETAINED_MB: f64 = 24.0;

/// Time for the service to give back what peers made it hold.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running service.
pub(super) struct Service {
    /// Its name in the output.
    pub(super) name: &'static str,
    running: service::Service,
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
        Ok(Self { name, running: service::Service::start(command)? })
    }

    /// Returns where the service listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Returns the number of the process.
    pub(super) fn id(&self) -> u32 {
        self.running.id()
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
        self.running.stop().with_context(|| format!("the {name} service"))?;
        println!("the {name} service ended {:.1} s after it was asked to", began.elapsed().as_secs_f64());
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
