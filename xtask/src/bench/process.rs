//! Resources of a process, as Linux reports them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Resources of a program that has ended.
pub(super) struct Resources {
    /// In seconds.
    pub(super) wall: f64,
    /// In seconds.
    pub(super) cpu: f64,
    /// Peak, in megabytes.
    pub(super) memory: f64,
}

/// Returns loopback addresses whose ports are free now, and probably stay free until a program binds them.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    // All are bound before any is released, so that they differ.
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    addresses.try_into().map_err(|_| anyhow!("expected {N} addresses"))
}

/// Returns the CPU time of a process and of its threads that have ended, in seconds.
///
/// It comes from the CPU-time clock of the process, in nanoseconds: `/proc` has ticks of 10 ms, longer than many a measurement.
#[cfg(target_os = "linux")]
pub(crate) fn cpu(process: u32) -> Result<f64> {
    use nix::time::clock_getcpuclockid;
    use nix::unistd::Pid;

    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(process)?));
    let time = clock.and_then(nix::time::ClockId::now);
    let time = time.with_context(|| format!("read the CPU time of the process {process}"))?;
    Ok(Duration::from(time).as_secs_f64())
}

/// Returns the CPU time of a process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu(_process: u32) -> Result<f64> {
    anyhow::bail!("CPU time is measured on Linux only")
}

/// Returns the CPU time of the child processes that have ended, in seconds.
pub(crate) fn cpu_of_ended() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(micros.try_into()?).as_secs_f64())
}

/// Returns the CPU time of a process and of its child processes that have ended, in seconds. That of the children is counted in
/// ticks of 10 ms.
pub(crate) fn cpu_of_family(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    Ok(cpu(process)? + cpu_of_children(&stat).with_context(|| format!("/proc/{process}/stat: {stat}"))?)
}

/// Returns the CPU time of a process, of its child processes that run and of those that have ended, in seconds.
pub(crate) fn cpu_of_tree(process: u32) -> Result<f64> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    // One that ends meanwhile is counted with its parent next time.
    let running: f64 = children.filter_map(|child| cpu(child).ok()).sum();
    Ok(running + cpu_of_family(process)?)
}

/// Returns the user and the system time of ended child processes in a line of `proc_pid_stat(5)`, in seconds.
fn cpu_of_children(stat: &str) -> Option<f64> {
    // The name may contain spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(13).map(str::parse::<f64>);
    // Linux reports hundredths of a second on all common platforms.
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / 100.0)
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_a_process_is_finer_than_a_tick() {
        let read = || cpu(std::process::id()).unwrap();
        // A tick is 10 ms, and reading the clock takes less than a microsecond.
        let shortest = (0..1000).map(|_| -(read() - read())).fold(f64::INFINITY, f64::min);
        assert!(shortest < 0.001, "{shortest}");
        assert!((0..1000).any(|_| read() < read()));
    }

    #[test]
    fn the_cpu_time_of_a_process_that_does_not_exist_is_an_error() {
        // The number after the highest of Linux.
        let error = cpu(1 << 22).unwrap_err().to_string();
        assert_eq!(error, "read the CPU time of the process 4194304");
    }

    #[test]
    fn the_cpu_time_of_children_is_read_after_a_name_with_spaces() {
        let stat = "7 (a) name) S 1 7 7 0 -1 4194560 9 9 9 9 11 22 250 150 20 0 1 0 9";
        assert_eq!(cpu_of_children(stat), Some(4.0));
        assert_eq!(cpu_of_children("7 (name) S 1 7"), None);
    }
}
