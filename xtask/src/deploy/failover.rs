//! Two services through a failover of Patroni; only on request.

use anyhow::Result;

use super::Outcome;
use super::build::Build;

/// Tests this part.
///
/// # Errors
///
/// If something fails.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let _ = (
        build.root.as_path(),
        build.service(),
        build.client(),
        build.new_folder("failover"),
        super::build::find("x"),
    );
    let _ = super::venv::Venv::install(&build.kept_folder("venv"), &build.root).map(|venv| venv.tool("x"));
    Ok(Outcome::Skipped("it is not there yet".to_owned()))
}
