//! Metrics of searches and of their index.

use std::time::Duration;

use metrics::{Counter, Gauge, Unit};
use metrics::{counter, describe_counter, describe_gauge, gauge};

const SEARCHES: &str = "movie_service_searches_total";
const INDEX_READY: &str = "movie_service_search_index_ready";
const INDEX_DOCUMENTS: &str = "movie_service_search_index_documents";
const INDEX_BUILD: &str = "movie_service_search_index_build_duration_seconds";

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOutcome {
    /// It found a movie.
    Found,
    /// It found nothing.
    Empty,
    /// Too many searches ran or waited.
    Busy,
    /// The request is invalid, or its page token has expired.
    Refused,
}

/// The metrics of searches. Records nothing if metrics are off. Clones share the metrics.
#[derive(Clone, Debug, Default)]
pub struct SearchMetrics(Option<[Counter; 4]>);

/// The metrics of the search index. They are registered only if the service searches.
#[derive(Debug)]
pub(super) struct IndexMetrics {
    ready: Gauge,
    documents: Gauge,
    build: Gauge,
}

impl SearchMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_counter!(SEARCHES, "Searches, by outcome");
        let outcomes = ["found", "empty", "busy", "refused"];
        Self(Some(outcomes.map(|outcome| counter!(SEARCHES, "outcome" => outcome))))
    }

    /// Counts a search that ended.
    pub fn searched(&self, outcome: SearchOutcome) {
        if let Some(searches) = &self.0 {
            searches[outcome as usize].increment(1);
        }
    }
}

impl IndexMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_gauge!(INDEX_READY, "1 if the search index is built, else 0");
        describe_gauge!(INDEX_DOCUMENTS, "Movies in the search index");
        describe_gauge!(INDEX_BUILD, Unit::Seconds, "Time in which the search index was built, 0 until then");
        Self { ready: gauge!(INDEX_READY), documents: gauge!(INDEX_DOCUMENTS), build: gauge!(INDEX_BUILD) }
    }

    /// Sets the number of movies in the index; `None` until it is built.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub(super) fn set(&self, documents: Option<usize>) {
        self.ready.set(f64::from(u8::from(documents.is_some())));
        self.documents.set(documents.unwrap_or_default() as f64);
    }

    /// Sets the time in which the index was built.
    pub(super) fn built(&self, duration: Duration) {
        self.build.set(duration.as_secs_f64());
    }
}
