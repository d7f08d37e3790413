//! Metrics of files that are reloaded.

use metrics::{Counter, Gauge};
use metrics::{counter, describe_counter, describe_gauge, gauge};

const RELOADS: &str = "movie_service_reloads_total";
const LAST_SUCCESSFUL: &str = "movie_service_last_reload_successful";

/// A group of files that is reloaded when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The JSON database.
    Database,
    /// The certificate, its key and the certificate authorities.
    Tls,
    /// The tokens file.
    Tokens,
}

/// The metrics of one group of files.
#[derive(Debug)]
struct FileMetrics {
    taken: Counter,
    refused: Counter,
    last_successful: Gauge,
}

/// The metrics of files that are reloaded: for each [`Reload`].
#[derive(Debug)]
pub(super) struct ReloadMetrics([FileMetrics; 3]);

impl ReloadMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_counter!(RELOADS, "Reloads of files, by whether the new version was taken");
        describe_gauge!(LAST_SUCCESSFUL, "1 if the latest version of the files is in use, else 0");
        Self(["database", "tls", "tokens"].map(|what| {
            let last_successful = gauge!(LAST_SUCCESSFUL, "what" => what);
            last_successful.set(1.0);
            FileMetrics {
                taken: counter!(RELOADS, "what" => what, "outcome" => "taken"),
                refused: counter!(RELOADS, "what" => what, "outcome" => "refused"),
                last_successful,
            }
        }))
    }

    /// Counts a reload; `taken` is true if the new version is in use.
    pub(super) fn reloaded(&self, reload: Reload, taken: bool) {
        let files = &self.0[reload as usize];
        let counter = if taken { &files.taken } else { &files.refused };
        counter.increment(1);
        files.last_successful.set(f64::from(u8::from(taken)));
    }
}
