//! File watcher: reloads files when they change.
//!
//! Polls the files a few times a second instead of using notifications of the operating system: polling works the same
//! for files that are written in place or replaced, for symbolic links, and on every file system.

use std::error::Error;
use std::fs;
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tracing::{error, info};

use crate::text::error_chain;

/// Time between two polls of the files.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Maximum number of polls to wait for files to stop changing.
const MAX_UNSETTLED_POLLS: usize = 50;

/// Files that are loaded together, and their versions at the last poll.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<Version>,
}

/// Outcome of a reload.
#[derive(Debug)]
pub enum ReloadOutcome {
    /// The new version is in use. Holds the line to log.
    Used(String),
    /// The previous version stays in use.
    Refused {
        /// The line to log.
        why: String,
        /// Whether the error is temporary, so that the unchanged files are tried again.
        is_transient: bool,
    },
    /// The files are no longer needed; the watcher stops.
    Unneeded,
}

/// Handle of a file watcher, to request a reload.
#[derive(Clone, Debug)]
pub struct WatcherHandle(Sender<oneshot::Sender<()>>);

/// Requested reloads.
#[derive(Debug)]
struct Requests {
    receiver: Receiver<oneshot::Sender<()>>,
    /// The requests that the next reload serves. Dropping one tells its sender that the reload is over.
    pending: Vec<oneshot::Sender<()>>,
}

/// Watches `files` on a thread named `name`. Calls `read` when the files have changed and are no longer being
/// written, and on [`WatcherHandle::reload_now`]. Stops when `read` returns [`ReloadOutcome::Unneeded`].
///
/// Logs each outcome, and calls `report` with true if the new version is in use. A refusal that repeats the previous
/// one is reported only if a reload was requested.
///
/// # Errors
///
/// If the thread cannot be started.
pub fn watch(
    name: &str,
    mut files: Files,
    report: impl Fn(bool) + Send + 'static,
    mut read: impl FnMut() -> ReloadOutcome + Send + 'static,
) -> io::Result<WatcherHandle> {
    let (handle, mut requests) = Requests::new();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let mut last_refused = String::new();
        loop {
            let poll = files.poll(&mut requests);
            if poll == Poll::Unchanged {
                continue;
            }
            match read() {
                ReloadOutcome::Used(line) => {
                    info!("{line}");
                    report(true);
                    last_refused.clear();
                }
                ReloadOutcome::Refused { why, is_transient } => {
                    if is_transient {
                        files.forget();
                    }
                    if why != last_refused || poll == Poll::Requested {
                        error!("{why}");
                        report(false);
                    }
                    last_refused = why;
                }
                ReloadOutcome::Unneeded => return,
            }
            requests.pending.clear();
        }
    })?;
    Ok(handle)
}

impl WatcherHandle {
    /// Requests a reload now, whether or not the files changed. The returned future completes when the reload is over,
    /// successful or not.
    pub fn reload_now(&self) -> impl Future<Output = ()> + Send + use<> {
        let (pending, over) = oneshot::channel();
        // If the watcher has stopped, this drops `pending`.
        let _ = self.0.send(pending);
        async {
            // An error is the expected result: `pending` was dropped.
            let _ = over.await;
        }
    }
}

impl Requests {
    fn new() -> (WatcherHandle, Self) {
        let (sender, receiver) = mpsc::channel();
        (WatcherHandle(sender), Self { receiver, pending: Vec::new() })
    }

    /// Waits for the poll interval, or until a reload is requested; returns whether it was requested.
    fn wait(&mut self) -> bool {
        match self.receiver.recv_timeout(POLL_INTERVAL) {
            Ok(request) => {
                self.pending.push(request);
                self.pending.extend(self.receiver.try_iter());
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                // Nobody can request a reload any more.
                thread::sleep(POLL_INTERVAL);
                false
            }
        }
    }
}

impl ReloadOutcome {
    /// Returns a refusal whose line consists of `what`, the error and its causes.
    #[must_use]
    pub fn refused(what: &str, error: &dyn Error, is_transient: bool) -> Self {
        Self::Refused { why: format!("{what}: {}", error_chain(error)), is_transient }
    }
}

/// Result of a poll.
#[derive(Debug, PartialEq, Eq)]
enum Poll {
    Unchanged,
    Changed,
    Requested,
}

impl Files {
    /// Notes the current versions of the files. Must be called before the files are read, so that a write in between
    /// counts as a change.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = versions(&paths);
        Self { paths, seen }
    }

    /// Waits for the next poll, or until a reload is requested. If the files changed, waits until they stop changing.
    fn poll(&mut self, requests: &mut Requests) -> Poll {
        let mut is_requested = requests.wait();
        let mut now = versions(&self.paths);
        if now == self.seen && !is_requested {
            return Poll::Unchanged;
        }
        for _ in 0..MAX_UNSETTLED_POLLS {
            if is_requested {
                break;
            }
            is_requested = requests.wait();
            let before = mem::replace(&mut now, versions(&self.paths));
            if now == before {
                break;
            }
        }
        self.seen = now;
        if is_requested { Poll::Requested } else { Poll::Changed }
    }

    /// Forgets the seen versions, so that the next poll reloads the files.
    fn forget(&mut self) {
        self.seen.fill(Version(None));
    }
}

fn versions(paths: &[PathBuf]) -> Vec<Version> {
    paths.iter().map(|path| Version::of(path)).collect()
}

/// Identifies a version of a file without reading it: modification time, length, inode number. `None` if the file is
/// not accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(Option<(SystemTime, u64, u64)>);

impl Version {
    fn of(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        Self(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time after which a test fails.
    const TIMEOUT: Duration = Duration::from_secs(30);

    struct Fixture {
        dir: tempfile::TempDir,
        files: Files,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let paths = vec![dir.path().join("cert"), dir.path().join("key")];
            for path in &paths {
                fs::write(path, "old").unwrap();
            }
            Self { files: Files::new(paths), dir }
        }

        /// Watches the files; the receiver gets a message each time that they are read.
        fn watch(&self, is_transient: bool) -> (WatcherHandle, Receiver<()>) {
            let (sender, receiver) = mpsc::channel();
            let read = move || match sender.send(()) {
                Ok(()) => ReloadOutcome::Refused { why: "refused by the test".to_owned(), is_transient },
                Err(_) => ReloadOutcome::Unneeded,
            };
            (watch("test", self.files.clone(), |_| {}, read).unwrap(), receiver)
        }
    }

    #[test]
    fn files_that_do_not_change_are_unchanged() {
        let mut files = Fixture::new().files;
        // The folder of the fixture is deleted by now, which is one change.
        let (_handle, mut requests) = Requests::new();
        assert_eq!(files.poll(&mut requests), Poll::Changed);
        assert_eq!(files.poll(&mut requests), Poll::Unchanged);
    }

    #[test]
    fn a_change_of_any_file_is_one_change() {
        let Fixture { dir, mut files } = Fixture::new();
        let (_handle, mut requests) = Requests::new();
        for name in ["cert", "key"] {
            fs::write(dir.path().join(name), "new and longer").unwrap();
            assert_eq!(files.poll(&mut requests), Poll::Changed);
            assert_eq!(files.poll(&mut requests), Poll::Unchanged);
        }
    }

    #[test]
    fn files_that_changed_before_the_watcher_started_are_read() {
        let fixture = Fixture::new();
        fs::write(fixture.dir.path().join("key"), "new and longer").unwrap();
        let (_, read) = fixture.watch(false);
        read.recv_timeout(TIMEOUT).unwrap();
    }

    #[test]
    fn a_reload_request_reads_unchanged_files() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.watch(false);
        for _ in 0..2 {
            let _over = handle.reload_now();
            read.recv_timeout(TIMEOUT).unwrap();
        }
    }

    #[tokio::test]
    async fn a_reload_request_is_over_after_the_files_were_read() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.watch(false);
        let all = [handle.reload_now(), handle.reload_now()];
        for over in all {
            tokio::time::timeout(TIMEOUT, over).await.unwrap();
        }
        read.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_reload_request_is_over_if_the_watcher_has_stopped() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.watch(false);
        drop(read);
        for _ in 0..2 {
            tokio::time::timeout(TIMEOUT, handle.reload_now()).await.unwrap();
        }
    }

    #[test]
    fn a_transient_error_is_tried_again() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.watch(true);
        let _over = handle.reload_now();
        read.recv_timeout(TIMEOUT).unwrap();
        read.recv_timeout(TIMEOUT).unwrap();
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("read movies.json")]
        struct ReadError(#[source] io::Error);

        let error = ReadError(io::Error::other("the disk is gone"));
        let ReloadOutcome::Refused { why, .. } =
            ReloadOutcome::refused("still serving the previous movies", &error, true)
        else {
            panic!("it is not refused");
        };
        assert_eq!(why, "still serving the previous movies: read movies.json: the disk is gone");
    }
}
