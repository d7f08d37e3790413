//! Resources of a client that lists movies into a pipe.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;

/// Resources of a client.
pub(super) struct Listing {
    /// Time from the start of the client to its last byte, in seconds.
    pub(super) wall: f64,
    /// CPU time, in seconds.
    pub(super) cpu: f64,
    /// Peak memory, in megabytes.
    pub(super) memory: f64,
}

/// Runs a client that lists into a pipe, and checks the number of lines.
pub(super) fn measure(client: &mut Command, lines: u64) -> Result<Listing> {
    let began = Instant::now();
    let mut child = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut pipe = child.stdout.take().context("the output of the client is not a pipe")?;
    let has_ended = AtomicBool::new(false);
    let (counted, memory) = thread::scope(|scope| {
        let memory = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !has_ended.load(Ordering::Relaxed) {
                // The peak only grows, and it cannot be read after the end of the process.
                peak = process::memory(child.id(), "VmHWM:").unwrap_or(peak);
                thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let counted = count_lines(&mut pipe);
        has_ended.store(true, Ordering::Relaxed);
        (counted, memory.join())
    });
    let wall = began.elapsed().as_secs_f64();
    let cpu = cpu_at_end(&mut child)?;
    ensure!(counted? == lines, "expected {lines} lines from the client");
    Ok(Listing {
        wall,
        cpu,
        memory: memory.map_err(|_| anyhow::anyhow!("the memory of the client cannot be read"))?,
    })
}

fn count_lines(pipe: &mut impl Read) -> io::Result<u64> {
    let (mut buffer, mut lines) = (vec![0; 1 << 16], 0);
    loop {
        match pipe.read(&mut buffer)? {
            0 => return Ok(lines),
            read => lines += buffer[..read].split(|byte| *byte == b'\n').count() as u64 - 1,
        }
    }
}

/// Waits for the end of a process, and returns its CPU time, in seconds.
fn cpu_at_end(child: &mut Child) -> Result<f64> {
    let before = process::cpu_of_ended()?;
    let status = child.wait()?;
    ensure!(status.success(), "the client failed: {status}");
    Ok(process::cpu_of_ended()? - before)
}
