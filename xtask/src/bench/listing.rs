//! `cargo xtask bench list`: resources of a client that lists movies into a pipe, beside those of the course's client.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::Resources;
use super::server::Kind;
use super::table::Bar;
use super::{Bench, MILLION, Rounds, process};
use crate::interop::python::Python;

/// Lines of the course's client that are not in the list: two headings and an empty line.
const OTHER_LINES: u64 = 3;

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let mut bench = Bench::new(root, rounds)?;
    let python = Python::install(root, &bench.target.join("interop"))?;
    let server = bench.server(Kind::Ours, MILLION)?;
    let address = server.address.to_string();
    let (mut wall, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let mut ours = Command::new(bench.target.join("release/movie-client"));
        let ours = measure(ours.args(["--address", &address, "list"]), MILLION)?;
        let course = measure(&mut python.client(&address), MILLION + OTHER_LINES)?;
        wall.push([ours.wall, course.wall]);
        cpu.push([ours.cpu, course.cpu]);
        memory.push([ours.memory, course.memory]);
    }
    let table = &mut bench.table;
    let figure = "CPU of the client that lists 1M movies into a pipe";
    table.pair(figure, "s", &cpu, Bar::MaxRatio(0.125));
    table.pair("time of the client that lists 1M movies into a pipe", "s", &wall, Bar::MaxRatio(0.125));
    table.pair("memory of the client that lists 1M movies, peak", "MB", &memory, Bar::MaxFigure(50.0));
    table.print(["ours", "the course's"]);
    Ok(())
}

/// Runs a client that lists into a pipe, until its last byte, and checks the number of lines.
fn measure(client: &mut Command, lines: u64) -> Result<Resources> {
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
    Ok(Resources {
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
