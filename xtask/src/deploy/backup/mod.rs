//! The drill of docs/operations/backup.md: back up a store under writes, restore it in a new place, and compare.

mod cluster;
mod history;
mod postgres;
mod sqlite;

use anyhow::Result;

use super::Outcome;
use super::build::{Build, find};
use crate::bench::peers::postgres_programs;

/// Tests this part.
///
/// # Errors
///
/// If a backup cannot be made or restored, an acknowledged write is missing, or something of the lost history is served.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let Some(python) = find("python3") else {
        return Ok(Outcome::Skipped("python3 is not installed; on Debian: apt-get install python3".into()));
    };
    sqlite::test(build, &python)?;
    match postgres_programs() {
        Ok(programs) => postgres::test(build, &programs)?,
        Err(missing) => println!("SKIPPED: the drill of PostgreSQL: {missing}"),
    }
    Ok(Outcome::Passed)
}
