//! Writes whose acknowledgements are recorded, and what a restored service has of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::build::Build;
use crate::http::Connection;
use crate::program::{self, Output, Program};
use crate::service::Service;
use crate::wait;

/// Time for a program to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The exit code of `movie-client watch` if it cannot resume (docs/client.md).
const CANNOT_RESUME: i32 = 10;

/// Starts a service on a store, with writes allowed and without a search index.
pub(super) fn serve(build: &Build, database: &str) -> Result<Service> {
    let mut service = Command::new(build.service());
    service.args(["--database", database, "--listen", "127.0.0.1:0", "--allow-anonymous-writes"]);
    Service::start(service.args(["--quiet", "--search", "off", "--grace", "100ms"]))
}

/// Movies by id, each with its number.
pub(super) type Movies = BTreeMap<String, u32>;

/// Movies that one writer creates one after the other, each with the next number.
pub(super) struct RecordedWrites {
    next: AtomicU32,
    acknowledged: AtomicU32,
    ended: AtomicBool,
}

impl RecordedWrites {
    /// Creates movies while `work` runs. Returns its result, and all acknowledged movies.
    pub(super) fn make<T>(address: SocketAddr, work: impl FnOnce(&Self) -> Result<T>) -> Result<(T, Movies)> {
        let writes =
            Self { next: AtomicU32::new(0), acknowledged: AtomicU32::new(0), ended: AtomicBool::new(false) };
        thread::scope(|scope| {
            let thread = scope.spawn(|| writes.create(address));
            let done = work(&writes);
            writes.ended.store(true, Ordering::SeqCst);
            let movies = thread.join().ok().context("the writer panicked")??;
            Ok((done?, movies))
        })
    }

    fn create(&self, address: SocketAddr) -> Result<Movies> {
        let (mut connection, mut movies) = (Connection::open(address)?, Movies::new());
        while !self.ended.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            movies.insert(connection.create(&number.to_string())?, number);
            self.acknowledged.store(number + 1, Ordering::SeqCst);
            // Some hundred writes a second leave processors for the backup.
            thread::sleep(Duration::from_millis(2));
        }
        Ok(movies)
    }

    /// Waits for this many further acknowledgements, and returns the number of all.
    pub(super) fn wait_for(&self, further: u32) -> Result<u32> {
        let enough = self.acknowledged() + further;
        wait::until(&format!("{further} writes"), TIMEOUT, || {
            let acknowledged = self.acknowledged();
            ensure!(acknowledged >= enough, "{acknowledged} of {enough} are acknowledged");
            Ok(())
        })?;
        Ok(self.acknowledged())
    }

    /// Returns the number of acknowledged movies.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Returns the number of movies whose creation has begun.
    pub(super) fn begun(&self) -> u32 {
        self.next.load(Ordering::SeqCst)
    }
}

/// Reads all movies of a service.
pub(super) fn movies(address: SocketAddr) -> Result<Movies> {
    let (mut connection, mut movies, mut token) = (Connection::open(address)?, Movies::new(), String::new());
    loop {
        let request = format!("GET /v1/movies?pageSize=1000&pageToken={token}");
        let (status, page) = connection.call(&request, "")?;
        ensure!(status == 200, "{request}: {status}: {page}");
        for movie in page["movies"].as_array().into_iter().flatten() {
            let text = |field: &str| movie[field].as_str().with_context(|| format!("{field} of {movie}"));
            movies.insert(text("id")?.to_owned(), text("overview")?.parse()?);
        }
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return Ok(movies),
        }
    }
}

/// Checks what a restored service has: each movie with a number below `from`, none with one from `to` on, none that nobody created, and of
/// those between a prefix, because each was acknowledged before the next began. Returns how many it has.
pub(super) fn check(restored: &Movies, created: &Movies, from: u32, to: u32) -> Result<u32> {
    for (id, number) in restored {
        // The creation that ran last may have had no response.
        ensure!(created.get(id).is_none_or(|created| created == number), "{id} has the number {number}");
        ensure!(*number < to, "the movie {number} is there, which was created after the backup");
    }
    let mut numbers: Vec<u32> = restored.values().copied().collect();
    numbers.sort_unstable();
    let count = u32::try_from(numbers.len())?;
    ensure!(count >= from, "{from} movies were acknowledged before the backup, {count} are there");
    ensure!(numbers.into_iter().eq(0..count), "a movie is missing between others");
    Ok(count)
}

/// What callers keep of a history: they present it again after the restore.
pub(super) struct Tokens {
    resume: String,
    page: String,
}

impl Tokens {
    /// Takes the tokens of the latest revision.
    pub(super) fn take(build: &Build, address: SocketAddr) -> Result<Self> {
        let mut watch = Command::new(build.client());
        watch.args(["watch", "--copy", "--until-caught-up", "-o", "ndjson"]);
        watch.args(["--address", &address.to_string()]);
        let printed = program::run(&mut watch, TIMEOUT)?;
        let line: Value = serde_json::from_str(printed.lines().last().context("the watch printed nothing")?)?;
        let resume = line["resume_token"].as_str().context("a line without a resume token")?.to_owned();
        let (_, page) = Connection::open(address)?.call("GET /v1/movies?pageSize=10", "")?;
        let page = page["nextPageToken"].as_str().context("a page without a token")?.to_owned();
        Ok(Self { resume, page })
    }

    fn watch(&self, build: &Build, address: SocketAddr) -> Command {
        let mut watch = Command::new(build.client());
        watch.args(["watch", "--from", &self.resume, "--until-caught-up", "--tries", "1"]);
        watch.args(["--address", &address.to_string()]);
        watch
    }

    /// Resumes a watch, and returns how it ended.
    fn resume(&self, build: &Build, address: SocketAddr) -> Result<Output> {
        Program::start(&mut self.watch(build, address))?.finish(TIMEOUT)
    }

    /// Checks that a service of another history refuses them.
    pub(super) fn check_refused(&self, build: &Build, address: SocketAddr) -> Result<()> {
        // At the same time: both may wait for the revision.
        let watch = Program::start(&mut self.watch(build, address))?;
        let request = format!("GET /v1/movies?pageSize=10&pageToken={}", self.page);
        let (status, page) = Connection::open(address)?.call(&request, "")?;
        let is_expired = page.to_string().contains("PAGE_TOKEN_EXPIRED");
        ensure!(status == 400 && is_expired, "a page of the lost history: {status}: {page}");
        let watched = watch.finish(TIMEOUT)?;
        ensure!(watched.status.code() == Some(CANNOT_RESUME), "a watch of the lost history: {watched:?}");
        ensure!(watched.stdout.is_empty(), "a watch of the lost history printed {}", watched.stdout);
        Ok(())
    }
}

/// What callers present to a restored service.
pub(super) struct Presented<'a> {
    /// Tokens of a revision that the backup has.
    pub(super) early: &'a Tokens,
    /// Whether the restored store has that history, which an imported one has not.
    pub(super) continues: bool,
    /// Tokens of a revision that the backup lacks.
    pub(super) lost: &'a Tokens,
    /// Whether those are also presented before their revisions are assigned again: the service then waits for one that does not come.
    pub(super) before: bool,
}

/// Starts a service on a restored store, and checks it: the movies, tokens of the lost history, and that it can be written. Returns how many of the created movies it has.
pub(super) fn check_restored(
    build: &Build,
    database: &str,
    created: &Movies,
    [from, to]: [u32; 2],
    presented: &Presented,
) -> Result<u32> {
    let service = serve(build, database)?;
    let restored = check(&movies(service.address)?, created, from, to)?;
    let Presented { early, continues, lost, before } = presented;
    if *before {
        lost.check_refused(build, service.address)?;
    }
    let mut connection = Connection::open(service.address)?;
    for number in restored..u32::try_from(created.len())? + 10 {
        connection.create(&number.to_string())?;
    }
    lost.check_refused(build, service.address)?;
    let resumed = early.resume(build, service.address)?.status;
    ensure!(resumed.success() == *continues, "a watch that begins before the backup ended with {resumed}");
    drop(connection);
    let log = service.stop()?;
    if log.contains("ERROR") {
        bail!("the restored service logged an error\n{log}");
    }
    Ok(restored)
}

/// Runs a program of the drill.
pub(super) fn run(command: &mut Command) -> Result<String> {
    program::run(command, TIMEOUT)
}

/// Returns a command of the service that reads or writes a store.
pub(super) fn transfer(build: &Build, command: &str, file: Option<&Path>, database: &str) -> Command {
    let mut transfer = Command::new(build.service());
    transfer.arg(command).args(file).args(["--database", database]);
    transfer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movies(numbers: impl IntoIterator<Item = u32>) -> Movies {
        numbers.into_iter().map(|number| (format!("id{number}"), number)).collect()
    }

    #[test]
    fn a_restored_store_has_all_before_the_backup_and_none_after_it() {
        let created = movies(0..10);
        assert_eq!(check(&movies(0..5), &created, 3, 7).unwrap(), 5);
        let error = |restored: &Movies| check(restored, &created, 3, 7).unwrap_err().to_string();
        assert!(error(&movies(0..2)).contains("3 movies were acknowledged"));
        assert!(error(&movies(0..8)).contains("the movie 7 is there"));
        assert!(error(&movies([0, 1, 2, 4])).contains("a movie is missing"));
        assert!(error(&Movies::from([("id1".to_owned(), 3)])).contains("id1 has the number 3"));
    }
}
