//! The Helm chart and the Compose file: rendered and validated.

use std::time::Duration;

use anyhow::Result;

use super::Outcome;
use super::build::Build;
use super::venv::{self, Venv};
use crate::program;

/// Time to check all renderings of the chart.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Tests this part.
///
/// # Errors
///
/// If something fails.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    if let Some(reason) = venv::missing() {
        return Ok(Outcome::Skipped(reason));
    }
    let scripts = build.root.join("xtask/deploy");
    let deploy = build.root.join("deploy");
    let venv = Venv::install(&build.kept_folder("venv-chart"), &scripts.join("requirements-chart.txt"))?;

    let mut chart = venv.tool("python");
    chart.arg(scripts.join("check_chart.py"));
    chart.arg(deploy.join("helm/movie-service")).arg(deploy.join("monitoring/rules"));
    print!("{}", program::run(chart.arg(build.service()).arg(build.client()), TIMEOUT)?);
    Ok(Outcome::Passed)
}
