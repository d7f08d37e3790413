//! The drill of docs/operations/backup.md: back up a store under writes, restore it in a new place, and compare.

mod history;
mod postgres;
mod sqlite;

use anyhow::Result;

use super::Outcome;
use crate::build::{self, Build};

/// Tests this part.
///
/// # Errors
///
/// If a backup cannot be made or restored, an acknowledged write is missing, or something of the lost history is served.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let [python] = match build::programs([("python3", "python3")]) {
        Ok(found) => found,
        Err(missing) => return Ok(Outcome::Skipped(missing.to_string())),
    };
    sqlite::test(build, &python)?;
    match crate::postgres::programs() {
        Ok(_) => postgres::test(build)?,
        Err(missing) => println!("SKIPPED: the drill of PostgreSQL: {missing}"),
    }
    Ok(Outcome::Passed)
}
