//! What it costs to list movies into a pipe: our client beside the course's.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;

/// What a listing took.
pub(super) struct Listing {
    /// From the start of the client to its last byte, in seconds.
    pub(super) wall: f64,
    /// The processor time of the client, in seconds.
    pub(super) cpu: f64,
    /// The most memory that the client held, in megabytes.
    pub(super) memory: f64,
}

/// Runs a client that lists into a pipe, and checks how many lines come out.
pub(super) fn measure(client: &mut Command, lines: u64) -> Result<Listing> {
    let began = Instant::now();
    let mut child = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut pipe = child.stdout.take().context("a client without an output")?;
    let over = AtomicBool::new(false);
    let (counted, memory) = thread::scope(|scope| {
        let memory = scope.spawn(|| {
            let mut most: f64 = 0.0;
            while !over.load(Ordering::Relaxed) {
                // It only grows, and is gone with the process.
                most = process::memory(child.id(), "VmHWM:").unwrap_or(most);
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let counted = count_lines(&mut pipe);
        over.store(true, Ordering::Relaxed);
        (counted, memory.join())
    });
    let wall = began.elapsed().as_secs_f64();
    let cpu = cpu_at_end(&mut child)?;
    ensure!(counted? == lines, "the client did not list {lines} lines");
    Ok(Listing { wall, cpu, memory: memory.map_err(|_| anyhow::anyhow!("memory was not read"))? })
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

/// Waits for the end of a process, and returns the processor time it has used, in seconds.
fn cpu_at_end(child: &mut Child) -> Result<f64> {
    let before = process::cpu_of_ended()?;
    let status = child.wait()?;
    ensure!(status.success(), "the client failed: {status}");
    Ok(process::cpu_of_ended()? - before)
}
