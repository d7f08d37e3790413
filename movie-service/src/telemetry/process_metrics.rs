//! Metrics of the process, under the names of Prometheus's client libraries. Available on Linux only.

use metrics::{Counter, Gauge, Unit};
use metrics::{counter, describe_counter, describe_gauge, gauge};
#[cfg(target_os = "linux")]
use procfs::{
    ProcResult,
    process::{LimitValue, Process},
};

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const OPEN_FILES: &str = "process_open_fds";
const MAX_FILES: &str = "process_max_fds";
const START: &str = "process_start_time_seconds";

/// The metrics of the process.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    memory: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    start: Gauge,
}

impl ProcessMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_counter!(CPU, Unit::Seconds, "Processor time of the process, in whole seconds");
        describe_gauge!(MEMORY, Unit::Bytes, "Resident memory of the process");
        describe_gauge!(OPEN_FILES, "Open file descriptors");
        describe_gauge!(MAX_FILES, "Limit on open file descriptors");
        describe_gauge!(START, Unit::Seconds, "Start of the process, in seconds since 1970");
        Self {
            cpu: counter!(CPU),
            memory: gauge!(MEMORY),
            open_files: gauge!(OPEN_FILES),
            max_files: gauge!(MAX_FILES),
            start: gauge!(START),
        }
    }

    /// Updates the metrics; one that cannot be read keeps its value.
    pub(super) fn update(&self) {
        // A page without a current value is better than no page.
        #[cfg(target_os = "linux")]
        for read in [Self::read_times, Self::read_open_files, Self::read_max_files] {
            let _ = read(self);
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
impl ProcessMetrics {
    fn read_times(&self) -> ProcResult<()> {
        let stat = Process::myself()?.stat()?;
        let ticks = procfs::ticks_per_second();
        self.cpu.absolute((stat.utime + stat.stime) / ticks);
        self.memory.set((stat.rss * procfs::page_size()) as f64);
        self.start.set((procfs::boot_time_secs()? + stat.starttime / ticks) as f64);
        Ok(())
    }

    fn read_open_files(&self) -> ProcResult<()> {
        self.open_files.set(Process::myself()?.fd_count()? as f64);
        Ok(())
    }

    fn read_max_files(&self) -> ProcResult<()> {
        if let LimitValue::Value(limit) = Process::myself()?.limits()?.max_open_files.soft_limit {
            self.max_files.set(limit as f64);
        }
        Ok(())
    }
}
