//! Resources of a process, as Linux reports them.

use std::fs;

use anyhow::{Context, Result};

/// Returns the CPU time of a process, in seconds.
pub(crate) fn cpu(process: u32) -> Result<f64> {
    cpu_in(&format!("/proc/{process}/stat"), 11)
}

/// Returns the CPU time of the child processes that have ended, in seconds.
pub(crate) fn cpu_of_ended() -> Result<f64> {
    cpu_in("/proc/self/stat", 13)
}

/// Returns the CPU time of the threads of a process that have not ended, in seconds, as the scheduler counts it: in nanoseconds.
pub(crate) fn cpu_of_threads(process: u32) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let schedule = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += schedule.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}

/// Returns the CPU time of a process and of its child processes that have ended, in seconds.
pub(crate) fn cpu_of_family(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    Ok(cpu_in(&path, 11)? + cpu_in(&path, 13)?)
}

/// Reads the user and the system time. `field` is the index of the user time after the name (`proc_pid_stat(5)`).
fn cpu_in(path: &str, field: usize) -> Result<f64> {
    let stat = fs::read_to_string(path)?;
    // The name may contain spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields[field].parse::<f64>()? + fields[field + 1].parse::<f64>()?;
    // Linux reports hundredths of a second on all common platforms.
    Ok(ticks / 100.0)
}

/// Returns a memory figure of a process, by its name in `proc_pid_status(5)`, in megabytes.
pub(crate) fn memory(process: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("/proc/{process}/status has no line `{name}`"))?;
    Ok(value.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}

/// Returns the number of open files and sockets of a process.
pub(crate) fn descriptors(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
