//! File watcher: reloads files when they change.
//!
//! It looks at the files a few times a second, instead of asking the operating system to be told: that works
//! alike for a file that is written in place or replaced, for links, and on every file system.

use std::error::Error;
use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime};

use tracing::{error, info};

use crate::telemetry::log::in_one_line;

/// How often to look at the files.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Maximum number of polls to wait for files to stop changing.
const MAX_UNSETTLED_POLLS: usize = 50;

/// Files that are read together, and the versions of them that were seen last.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<Version>,
}

/// What came of reading files again.
#[derive(Debug)]
pub enum Outcome {
    /// They are in use. What to log.
    Used(String),
    /// The old ones stay in use.
    Refused {
        /// What to log.
        why: String,
        /// Whether the same files may do later, so that it is worth trying again before they change.
        may_pass: bool,
    },
    /// Nobody needs them any more.
    Unneeded,
}

/// Asks for files to be read at once.
#[derive(Clone, Debug)]
pub struct Handle {
    asked: Arc<AtomicBool>,
    thread: Thread,
}

/// Calls `read` on a thread of its own, named `name`, whenever `files` have changed and nobody writes them any
/// more, and whenever it is asked to, until they are unneeded. Logs each outcome, and tells `told` whether the files
/// were taken; but a refusal that is repeated only when it was asked for.
///
/// # Errors
///
/// If the thread cannot be started.
pub fn follow(
    name: &str,
    mut files: Files,
    told: impl Fn(bool) + Send + 'static,
    mut read: impl FnMut() -> Outcome + Send + 'static,
) -> io::Result<Handle> {
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let mut last_refused = String::new();
        loop {
            let look = files.look(&asking);
            if look == Look::Same {
                continue;
            }
            match read() {
                Outcome::Used(what) => {
                    info!("{what}");
                    told(true);
                    last_refused.clear();
                }
                Outcome::Refused { why, may_pass } => {
                    if may_pass {
                        files.forget();
                    }
                    if why != last_refused || look == Look::Asked {
                        error!("{why}");
                        told(false);
                    }
                    last_refused = why;
                }
                Outcome::Unneeded => return,
            }
        }
    })?;
    Ok(Handle { asked, thread: thread.thread().clone() })
}

impl Handle {
    /// Has the files read now, whether they changed or not.
    pub fn reload_now(&self) {
        self.asked.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Outcome {
    /// Files that are refused for an error, which is written with its causes in one line after `what`.
    #[must_use]
    pub fn refused(what: &str, error: &dyn Error, may_pass: bool) -> Self {
        Self::Refused { why: format!("{what}: {}", in_one_line(error)), may_pass }
    }
}

/// What a look at files showed.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    Changed,
    Asked,
}

impl Files {
    /// The files as they are now. To be called before they are read: what is written meanwhile is a later version.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = versions(&paths);
        Self { paths, seen }
    }

    /// Waits for the next look, or until `asked`, and looks. If the files changed, waits until nobody writes.
    fn look(&mut self, asked: &AtomicBool) -> Look {
        let mut ask = wait(asked);
        let mut now = versions(&self.paths);
        if now == self.seen && !ask {
            return Look::Same;
        }
        for _ in 0..MAX_UNSETTLED_POLLS {
            if ask {
                break;
            }
            ask = wait(asked);
            let before = mem::replace(&mut now, versions(&self.paths));
            if now == before {
                break;
            }
        }
        self.seen = now;
        if ask { Look::Asked } else { Look::Changed }
    }

    /// Forgets the seen versions, so that the next poll reloads the files.
    fn forget(&mut self) {
        self.seen.fill(Version(None));
    }
}

/// Waits for the time between two looks, or until `asked`; returns whether that is so. To wake up for no reason
/// does no harm.
fn wait(asked: &AtomicBool) -> bool {
    if !asked.load(Ordering::Acquire) {
        thread::park_timeout(POLL_INTERVAL);
    }
    asked.swap(false, Ordering::AcqRel)
}

fn versions(paths: &[PathBuf]) -> Vec<Version> {
    paths.iter().map(|path| Version::of(path)).collect()
}

/// What tells one version of a file from the next without reading it; `None` if there is no file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(Option<(SystemTime, u64, u64)>);

impl Version {
    fn of(path: &Path) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino;
        #[cfg(not(unix))]
        let number = |_: &fs::Metadata| 0;
        let metadata = fs::metadata(path).ok();
        Self(
            metadata
                .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len(), number(&metadata)))),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    /// How long anything may take before a test gives up.
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

        /// Follows the files; what is returned gets a message each time that they are read.
        fn follow(&self, may_pass: bool) -> (Handle, Receiver<()>) {
            let (tell, told) = mpsc::channel();
            let read = move || match tell.send(()) {
                Ok(()) => Outcome::Refused { why: "as this test wants it".to_owned(), may_pass },
                Err(_) => Outcome::Unneeded,
            };
            (follow("test", self.files.clone(), |_| {}, read).unwrap(), told)
        }
    }

    #[test]
    fn files_that_stay_as_they_are_are_the_same() {
        let mut files = Fixture::new().files;
        // The folder is gone now, which is a change, and then none any more.
        assert_eq!(files.look(&AtomicBool::new(false)), Look::Changed);
        assert_eq!(files.look(&AtomicBool::new(false)), Look::Same);
    }

    #[test]
    fn a_change_of_any_of_the_files_is_one_change() {
        let Fixture { dir, mut files } = Fixture::new();
        for name in ["cert", "key"] {
            fs::write(dir.path().join(name), "new and longer").unwrap();
            assert_eq!(files.look(&AtomicBool::new(false)), Look::Changed);
            assert_eq!(files.look(&AtomicBool::new(false)), Look::Same);
        }
    }

    #[test]
    fn files_that_changed_since_they_were_seen_are_read() {
        let fixture = Fixture::new();
        fs::write(fixture.dir.path().join("key"), "new and longer").unwrap();
        let (_, read) = fixture.follow(false);
        read.recv_timeout(TIMEOUT).unwrap();
    }

    #[test]
    fn files_are_read_when_asked_without_a_change() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.follow(false);
        for _ in 0..2 {
            handle.reload_now();
            read.recv_timeout(TIMEOUT).unwrap();
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let fixture = Fixture::new();
        let (handle, read) = fixture.follow(true);
        handle.reload_now();
        read.recv_timeout(TIMEOUT).unwrap();
        read.recv_timeout(TIMEOUT).unwrap();
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let cause = io::Error::other("the disk is gone");
        let error = crate::store::json::LoadError::Read { path: "movies.json".into(), source: cause };
        let Outcome::Refused { why, .. } = Outcome::refused("still serving the old movies", &error, true)
        else {
            panic!("it is not refused");
        };
        assert_eq!(why, "still serving the old movies: read movies.json: the disk is gone");
    }
}
