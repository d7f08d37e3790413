//! `cargo xtask fuzz`: the fuzz targets of the service, with libFuzzer, on the stable toolchain.
//!
//! A target is a program in `movie-service/fuzz/fuzz_targets/`. It starts from the inputs in
//! `movie-service/fuzz/corpus/`, and keeps what it finds interesting in `target/fuzz/corpus/`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::program::{self, Output, Program};

/// Where the crate is, from the root of the workspace.
const CRATE: &str = "movie-service/fuzz";

/// What has the compiler report to libFuzzer which code an input reaches, and what it compares: the flags of
/// cargo-fuzz without a sanitizer, which needs the nightly toolchain.
const FLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Parts of one crate that are compiled apart do not always link with these.
    "-Ccodegen-units=1",
];

/// How long one input may take, in seconds; one that takes longer is a crash.
const INPUT_LIMIT: u64 = 5;

/// How much longer than asked for a target may take: it reads its inputs first, and says what it found.
const GRACE: Duration = Duration::from_mins(1);

/// What to run, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Targets to run; all, unless some are given.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Builds the fuzz targets and runs them, one after the other.
///
/// # Errors
///
/// If a target does not exist or build, or finds an input that it cannot take: the error names the file with it.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let known = targets(root)?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("no fuzz target is called `{unknown}`, expected one of {}", known.join(", "));
    }
    let chosen = if options.targets.is_empty() { &known } else { &options.targets };
    let host = host()?;
    build(root, &host, chosen)?;
    for target in chosen {
        fuzz(root, &host, target, options.seconds)?;
    }
    Ok(())
}

/// Returns the names of the targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let dir = root.join(CRATE).join("fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
        targets.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// Returns what the compiler calls this machine.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "host-tuple"]).output().context("start rustc")?;
    ensure!(output.status.success(), "rustc does not say for what it compiles");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn build(root: &Path, host: &str, targets: &[String]) -> Result<()> {
    let mut build = program::cargo(root);
    build.args(["build", "--manifest-path"]).arg(Path::new(CRATE).join("Cargo.toml"));
    // With a target named, cargo keeps the flags from build scripts, which have no libFuzzer to report to.
    build.args(["--target", host, "--target-dir", "target/fuzz"]);
    build.args(targets.iter().flat_map(|target| ["--bin", target]));
    let status =
        build.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")).status().context("start cargo")?;
    ensure!(status.success(), "the fuzz targets do not build");
    Ok(())
}

fn fuzz(root: &Path, host: &str, target: &str, seconds: u64) -> Result<()> {
    let found = root.join("target/fuzz/corpus").join(target);
    let crashes = root.join(CRATE).join("artifacts").join(target);
    for dir in [&found, &crashes] {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let mut command = Command::new(root.join("target/fuzz").join(host).join("debug").join(target));
    command.current_dir(root).stdin(Stdio::null());
    command.args([format!("-max_total_time={seconds}"), format!("-timeout={INPUT_LIMIT}")]);
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", crashes.display()));
    // New inputs go to the first of the two.
    command.arg(&found).arg(root.join(CRATE).join("corpus").join(target));
    let Output { status, stderr, .. } =
        Program::start(&mut command)?.finish(Duration::from_secs(seconds) + GRACE)?;
    if !status.success() {
        let input = crash(&stderr).unwrap_or("no input was written");
        bail!("{target} failed: {input}\n{stderr}");
    }
    println!("{target}: {}", summary(&stderr).context("libFuzzer did not say how it went")?);
    Ok(())
}

/// Returns the file with the input that a target failed on.
fn crash(stderr: &str) -> Option<&str> {
    stderr.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file)
}

/// Returns how many inputs were tried, and how much code they reached: at the start, and in the end.
fn summary(stderr: &str) -> Option<String> {
    let inputs = stderr.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units: "))?;
    let mut reached = stderr.lines().filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
    let first = reached.next()?;
    let last = reached.next_back().unwrap_or(first);
    Some(format!("{} inputs, no failure; reached {first} places at first, {last} in the end", inputs.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_summed_up_by_its_inputs_and_what_they_reached() {
        let stderr = "#3\tINITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 30Mb\n\
            #9\tNEW    cov: 12 ft: 14 corp: 2/3b lim: 4 exec/s: 0 rss: 30Mb\n\
            stat::number_of_executed_units: 512\n";
        let expected = "512 inputs, no failure; reached 7 places at first, 12 in the end";
        assert_eq!(summary(stderr).as_deref(), Some(expected));
        assert_eq!(summary("INFO: Seed: 1\n"), None);
    }

    #[test]
    fn a_failed_run_names_the_input() {
        let stderr = "==1== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='a/'; Test unit written to a/crash-0beef\nBase64: AA==\n";
        assert_eq!(crash(stderr), Some("a/crash-0beef"));
        assert_eq!(crash("no such thing"), None);
    }

    #[test]
    fn every_target_has_inputs_to_start_from() {
        for target in targets(&crate::root()).unwrap() {
            let inputs = fs::read_dir(crate::root().join(CRATE).join("corpus").join(&target));
            assert!(inputs.is_ok_and(|mut inputs| inputs.next().is_some()), "{target}");
        }
    }
}
