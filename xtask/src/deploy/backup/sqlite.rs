//! The drill of SQLite: an online copy, and an export.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::history::{Presented, RecordedWrites, Tokens, check_restored, run, serve, transfer};
use crate::build::Build;

/// Copies a store that is in use, with SQLite's backup API, and checks the copy.
const BACK_UP: &str = "
import sqlite3, sys
source, copy = (sqlite3.connect(path) for path in sys.argv[1:])
source.backup(copy)
print(copy.execute('PRAGMA integrity_check').fetchone()[0])
";

/// Backs up a store under writes, loses it, and restores both backups.
pub(super) fn test(build: &Build, python: &Path) -> Result<()> {
    let folder = build.new_folder("backup-sqlite")?;
    let [store, copy, exported, imported] =
        ["films.db", "copy.db", "copy.json", "imported.db"].map(|name| folder.join(name));
    let url = |path: &Path| format!("sqlite:{}", path.display());
    let service = serve(build, &url(&store))?;
    let ((copied, written, [early, lost]), created) = RecordedWrites::make(service.address, |writes| {
        writes.wait_for(100)?;
        let early = Tokens::take(build, service.address)?;
        let from = writes.wait_for(100)?;
        let checked = run(Command::new(python).args(["-c", BACK_UP]).arg(&store).arg(&copy))?;
        ensure!(checked.trim() == "ok", "the copy is damaged: {checked}");
        let copied = [from, writes.begun()];
        let from = writes.acknowledged();
        run(transfer(build, "export", None, &url(&store)).arg("--output").arg(&exported))?;
        let written = [from, writes.begun()];
        // These writes will be lost.
        writes.wait_for(50)?;
        Ok((copied, written, [early, Tokens::take(build, service.address)?]))
    })?;
    service.stop()?;
    let presented = Presented { early: &early, continues: true, lost: &lost, before: true };
    let restored = check_restored(build, &url(&copy), &created, copied, &presented)?;
    println!(
        "SQLite: a copy under writes has {restored} of {} movies, all {} of before it",
        created.len(),
        copied[0]
    );
    run(&mut transfer(build, "import", Some(&exported), &url(&imported)))?;
    let presented = Presented { continues: false, before: false, ..presented };
    let restored = check_restored(build, &url(&imported), &created, written, &presented)?;
    println!(
        "SQLite: an export under writes has {restored} of {} movies, all {} of before it",
        created.len(),
        written[0]
    );
    Ok(())
}
