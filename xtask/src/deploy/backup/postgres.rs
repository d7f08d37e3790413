//! The drill of PostgreSQL: a dump, and a point-in-time recovery to before a mistake.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::history::{Movies, Presented, RecordedWrites, Tokens, check_restored, run, serve};
use crate::build::Build;
use crate::http::Connection;
use crate::postgres::{Server, ServerFolder};
use crate::wait;

/// Settings of a server that archives its write-ahead log.
const ARCHIVE: [&str; 2] = ["archive_mode=on", "archive_command=cp %p ../archive/%f"];

/// Time until a segment of the log is archived.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Movies that are deleted by mistake.
const MISTAKES: usize = 20;

/// What is known of the backups.
struct Backups {
    /// Movies acknowledged before the dump, and begun before its end.
    dumped: [u32; 2],
    /// Movies acknowledged before the point in time, which is before the mistake.
    before: u32,
    point: String,
    early: Tokens,
    lost: Tokens,
}

/// Backs up a database under writes, makes a mistake, loses the server, and restores both backups.
pub(super) fn test(build: &Build) -> Result<()> {
    let folder = Arc::new(ServerFolder::new()?);
    folder.create("archive")?;
    folder.initialise("data")?;
    let primary = Server::start(&folder, "data", &ARCHIVE)?;
    primary.query("postgres", "CREATE DATABASE films")?;
    let service = serve(build, &primary.url("films"))?;
    let ((early, dumped), created) = RecordedWrites::make(service.address, |writes| {
        writes.wait_for(50)?;
        Ok((Tokens::take(build, service.address)?, back_up(&primary, writes)?))
    })?;
    // The writer has ended: all that was acknowledged is before this point.
    let before = u32::try_from(created.len())?;
    let point = primary.query("postgres", "SELECT clock_timestamp()")?;
    mistake(service.address, &created)?;
    let lost = Tokens::take(build, service.address)?;
    let backups = Backups { dumped, before, point, early, lost };
    archive(&primary)?;
    service.stop()?;
    drop(primary);
    restore(build, &folder, &created, &backups)
}

/// Makes both backups while movies are created. Returns how many were acknowledged before the dump, and begun before its end.
fn back_up(primary: &Server, writes: &RecordedWrites) -> Result<[u32; 2]> {
    writes.wait_for(100)?;
    run(primary.command("pg_basebackup").args(["-D", "base", "-c", "fast", "-X", "none"]))?;
    let from = writes.wait_for(50)?;
    run(primary.command("pg_dump").args(["--format=custom", "--file=films.dump", "films"]))?;
    let dumped = [from, writes.begun()];
    writes.wait_for(50)?;
    Ok(dumped)
}

/// Deletes movies, and creates others afterwards.
fn mistake(address: SocketAddr, created: &Movies) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for id in created.keys().take(MISTAKES) {
        let (status, response) = connection.call(&format!("DELETE /v1/movies/{id}"), "")?;
        ensure!(status == 200, "DELETE {id}: {status}: {response}");
    }
    for number in 0..MISTAKES {
        connection.create(&(1_000_000 + number).to_string())?;
    }
    Ok(())
}

/// Waits until the log of all that was committed is archived.
fn archive(primary: &Server) -> Result<()> {
    let segment = primary.query("postgres", "SELECT pg_walfile_name(pg_current_wal_lsn())")?;
    primary.query("postgres", "SELECT pg_switch_wal()")?;
    let archived = format!("SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver");
    wait::until("the log is archived", ARCHIVE_TIMEOUT, || {
        ensure!(primary.query("postgres", &archived)? == "t", "the segment {segment} is not archived");
        Ok(())
    })
}

/// Restores both backups, and checks them.
fn restore(build: &Build, folder: &Arc<ServerFolder>, created: &Movies, backups: &Backups) -> Result<()> {
    let Backups { dumped, before, point, early, lost } = backups;
    let presented = Presented { early, continues: true, lost, before: true };
    let verified = run(folder.command("pg_verifybackup").args(["--no-parse-wal", "base"]))?;
    ensure!(verified.contains("successfully verified"), "{verified}");
    run(folder.as_user(Command::new("touch")).arg("base/recovery.signal"))?;
    let target = format!("recovery_target_time={point}");
    let recovery = ["restore_command=cp ../archive/%f %p", &target, "recovery_target_action=promote"];
    let recovered = Server::start(folder, "base", &recovery)?;
    // A point in time has all movies: those that were deleted by mistake, and none that was created after it.
    let restored = check_restored(build, &recovered.url("films"), created, [*before, *before], &presented)?;
    println!(
        "PostgreSQL: the recovery to {point} has all {restored} movies, {MISTAKES} of them deleted later"
    );
    recovered.query("postgres", "CREATE DATABASE dumped")?;
    run(recovered.command("pg_restore").args(["--dbname=dumped", "--exit-on-error", "films.dump"]))?;
    let restored = check_restored(
        build,
        &recovered.url("dumped"),
        created,
        *dumped,
        &Presented { before: false, ..presented },
    )?;
    println!(
        "PostgreSQL: a dump under writes has {restored} of {} movies, all {} of before it",
        created.len(),
        dumped[0]
    );
    Ok(())
}
