//! What Linux says of a process.

use std::fs;

use anyhow::{Context, Result};

/// Returns the processor time that a process has used, in seconds.
pub(crate) fn cpu(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the name, which may hold spaces, user and system time are the fields 12 and 13 (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
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
