//! What Linux says of a process.

use std::fs;

use anyhow::{Context, Result};

/// Returns the processor time that a process has used, in seconds.
pub(crate) fn cpu(process: u32) -> Result<f64> {
    cpu_in(&format!("/proc/{process}/stat"), 11)
}

/// Returns the processor time that the processes have used that this one started and that have ended, in seconds.
pub(crate) fn cpu_of_ended() -> Result<f64> {
    cpu_in("/proc/self/stat", 13)
}

/// Reads user and system time, the first of which is so many fields after the name (`proc_pid_stat(5)`).
fn cpu_in(path: &str, field: usize) -> Result<f64> {
    let stat = fs::read_to_string(path)?;
    // The name may hold spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields[field].parse::<f64>()? + fields[field + 1].parse::<f64>()?;
    // Linux reports in hundredths of a second, whatever the kernel's own clock.
    Ok(ticks / 100.0)
}

/// Returns a figure of a process's memory, by its name in `proc_pid_status(5)`, in megabytes.
pub(crate) fn memory(process: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
    Ok(value.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}

/// Returns how many files and sockets a process has open.
pub(crate) fn descriptors(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
