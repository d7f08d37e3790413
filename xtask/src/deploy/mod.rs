//! `cargo xtask test-deploy`: uses what `deploy/` has, in parts.
//!
//! A part whose programs are missing says so and is skipped; `.ci/run` installs them.

mod backup;
mod certificate;
mod chart;
pub mod container;
mod example;
mod failover;
mod films;
mod monitoring;
mod packages;
mod proxies;
mod venv;

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::build::Build;

/// What to test.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Parts; by default all but `failover`.
    parts: Vec<Part>,

    /// Cargo's profile of the programs that are deployed.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Parts of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The Debian package and the RPM: installed, upgraded and removed, with systemd as on a machine.
    Packages,
    /// The container image: built and run.
    Container,
    /// The Helm chart and the Compose file: rendered and validated.
    Chart,
    /// The rules and the dashboard: their tests, and their queries on a real Prometheus.
    Monitoring,
    /// The examples for nginx, `HAProxy` and Envoy: calls through each, while one of two nodes stops.
    Proxies,
    /// Backup and restore of SQLite and PostgreSQL under writes: what was acknowledged is there, nothing wrong is served.
    Backup,
    /// Two services through a failover of Patroni; only on request.
    Failover,
}

/// How a part went.
enum Outcome {
    /// All of it was tested.
    Passed,
    /// It was not tested, for this reason: the program that is missing, and how to install it.
    Skipped(String),
}

/// Builds the programs, and tests the parts one after the other.
///
/// # Errors
///
/// If the programs do not build, or a part fails.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let build = Build::new(root, &options.profile)?;
    let all = || Part::value_variants().iter().copied().filter(|part| *part != Part::Failover).collect();
    let parts: Vec<_> = if options.parts.is_empty() { all() } else { options.parts.clone() };
    for part in parts {
        let name = part.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        match part.test(&build)? {
            Outcome::Passed => println!("{name}: passed"),
            Outcome::Skipped(why) => println!("SKIPPED: cargo xtask test-deploy {name}: {why}"),
        }
    }
    Ok(())
}

impl Part {
    fn test(self, build: &Build) -> Result<Outcome> {
        match self {
            Self::Packages => packages::test(build),
            Self::Container => container::test(build),
            Self::Chart => chart::test(build),
            Self::Monitoring => monitoring::test(build),
            Self::Proxies => proxies::test(build),
            Self::Backup => backup::test(build),
            Self::Failover => failover::test(build),
        }
    }
}
