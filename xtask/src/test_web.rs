//! `cargo xtask test-web`: tests the page, its units in Node.js and the whole in Chromium.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::regen_web::WEB_DIR;
use crate::{node, program};

/// Where Debian's package has the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Where the tests leave pictures of the page.
const SCREENSHOTS: &str = "target/page";

/// Options of the tests.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Test the service as cargo builds it by default, instead of the release.
    #[arg(long)]
    debug: bool,
}

/// Tests the units, and then the page that the service has, in a browser. Says what it skips if Node.js or Chromium is
/// missing.
///
/// # Errors
///
/// If a test fails, the service does not build, or a program cannot be started.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if let Err(why) = node::check() {
        println!("SKIPPED: cargo xtask test-web: {why}");
        return Ok(());
    }
    let web = root.join(WEB_DIR);
    node::install(&web)?;
    node::npm(&web, ["run", "check"])?;
    node::npm(&web, ["test"])?;

    let chromium = env::var_os("CHROMIUM").unwrap_or_else(|| CHROMIUM.into());
    if !Path::new(&chromium).exists() {
        println!("SKIPPED: the tests of the page in a browser: there is no {}", chromium.display());
        return Ok(());
    }
    let (profile, folder) = if options.debug { ("dev", "debug") } else { ("release", "release") };
    let mut build = program::cargo(root);
    build.args(["build", "--package", "movie-service", "--bins", "--profile", profile]);
    ensure!(build.status()?.success(), "cargo build failed");

    let mut tests = Command::new("npm");
    tests.current_dir(&web).args(["run", "test:browser"]);
    tests.env("CHROMIUM", chromium);
    tests.env("MOVIE_SERVICE_PROGRAM", crate::target(root).join(folder).join("movie-service"));
    tests.env("MOVIE_SCREENSHOTS", root.join(SCREENSHOTS));
    let status = tests.status().with_context(|| format!("start {tests:?}"))?;
    ensure!(status.success(), "the tests of the page in a browser failed");
    Ok(())
}
