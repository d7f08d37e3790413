//! Prometheus metrics.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tonic::Code;

use crate::rpc::Rpc;
use crate::telemetry::process_metrics::ProcessMetrics;
use crate::telemetry::store_metrics::{COMMIT_CHANGES, COMMIT_CHANGES_BUCKETS, StoreMetrics};

/// Method label of calls of RPCs that do not exist. A path made up by a caller must not become a label.
pub(super) const UNKNOWN_METHOD: &str = "other";

/// Bucket bounds of call durations in seconds. A unary call takes some microseconds; the duration of a list depends on
/// its caller.
const DURATION_BUCKETS: [f64; 14] =
    [10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

const CALLS: &str = "movie_service_calls_total";
const DURATION: &str = "movie_service_call_duration_seconds";
const STREAMS: &str = "movie_service_streams_open";
const CONNECTIONS: &str = "movie_service_connections_open";
const SENT: &str = "movie_service_sent_bytes_total";
const RECEIVED: &str = "movie_service_received_bytes_total";
const SHEDS: &str = "movie_service_sheds_total";
const HTTP_REFUSALS: &str = "movie_service_http_refusals_total";
const RESETS: &str = "movie_service_resets_total";
const DRAINS: &str = "movie_service_drains_total";
const MOVIES: &str = "movie_service_catalogue_movies";
const REVISION: &str = "movie_service_catalogue_revision";
const RELOADS: &str = "movie_service_reloads_total";
const BUILD: &str = "movie_service_build_info";

/// The HTTP statuses of requests that are for no call.
const HTTP_REFUSAL_STATUSES: [(StatusCode, &str); 8] = [
    (StatusCode::BAD_REQUEST, "400"),
    (StatusCode::FORBIDDEN, "403"),
    (StatusCode::NOT_FOUND, "404"),
    (StatusCode::METHOD_NOT_ALLOWED, "405"),
    (StatusCode::PRECONDITION_FAILED, "412"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "415"),
    (StatusCode::MISDIRECTED_REQUEST, "421"),
    (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "505"),
];

/// Reason for shedding a connection or a call. The limits are described in `docs/operations/limits.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// The limit `connections` was reached.
    Connections,
    /// The limit `connections_per_address` was reached.
    ConnectionsPerAddress,
    /// The limit `lists` was reached.
    Lists,
    /// The limit `calls` was reached.
    Calls,
    /// The limit `lists_per_address` was reached.
    ListsPerAddress,
    /// The limit `calls_per_address` was reached.
    CallsPerAddress,
}

/// Outcome of draining a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// All calls ended.
    Finished,
    /// The connection was force-closed: the grace period ended, or the peer did not read.
    Forced,
}

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

/// The metrics. Records nothing if metrics are off. Clones share the metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Option<Arc<Registered>>);

/// All metrics, registered once, so that counting is an atomic addition.
#[derive(Debug)]
struct Registered {
    page: PrometheusHandle,
    /// Updated when the page is rendered.
    process: ProcessMetrics,
    store: StoreMetrics,
    /// One for each RPC; the last is for RPCs that do not exist.
    calls: Vec<MethodMetrics>,
    streams: Gauge,
    connections: Gauge,
    sent: Counter,
    received: Counter,
    sheds: [Counter; 6],
    /// For each of [`HTTP_REFUSAL_STATUSES`].
    http_refusals: [Counter; HTTP_REFUSAL_STATUSES.len()],
    resets: Counter,
    drains: [Counter; 2],
    movies: Gauge,
    revision: Gauge,
    /// For each [`Reload`]: taken, refused.
    reloads: [[Counter; 2]; 3],
}

/// The metrics of one method.
#[derive(Debug)]
struct MethodMetrics {
    /// Ended calls by code.
    ended: [Counter; CODES],
    duration: Histogram,
}

/// Number of gRPC status codes.
pub(super) const CODES: usize = 17;

impl Metrics {
    /// Returns metrics that record nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Returns metrics that start at zero.
    ///
    /// [`Metrics::upkeep`] must be called every few seconds.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does: there are buckets")]
    pub fn on() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&DURATION_BUCKETS).expect("there are buckets");
        let changes = Matcher::Full(COMMIT_CHANGES.to_owned());
        let builder =
            builder.set_buckets_for_metric(changes, &COMMIT_CHANGES_BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        let page = recorder.handle();
        Self(Some(Arc::new(metrics::with_local_recorder(&recorder, || {
            describe();
            Registered::new(page)
        }))))
    }

    /// Returns whether metrics are recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns all metrics in Prometheus's text format; empty if metrics are off.
    #[must_use]
    pub fn render(&self) -> String {
        let render = |registered: &Arc<Registered>| {
            registered.process.update();
            registered.page.render()
        };
        self.0.as_ref().map(render).unwrap_or_default()
    }

    /// Returns the metrics of the store.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.0.as_ref().map(|registered| registered.store.clone()).unwrap_or_default()
    }

    /// Sorts recorded durations into their buckets. Until then, each takes 8 bytes, even if metrics are never
    /// scraped.
    pub fn upkeep(&self) {
        self.count(|to| to.page.run_upkeep());
    }

    /// Counts a call that began.
    pub(super) fn call_began(&self) {
        self.count(|to| to.streams.increment(1.0));
    }

    /// Counts a call that ended; `rpc` is `None` if there is no such RPC.
    pub(super) fn call_ended(&self, rpc: Option<Rpc>, code: Code, duration: Duration) {
        self.count(|to| {
            to.streams.decrement(1.0);
            if let Some(calls) = to.calls.get(rpc.map_or(Rpc::COUNT, Rpc::index)) {
                calls.ended[code as usize].increment(1);
                calls.duration.record(duration);
            }
        });
    }

    /// Counts an accepted connection.
    pub fn connection_opened(&self) {
        self.count(|to| to.connections.increment(1.0));
    }

    /// Counts a closed connection.
    pub fn connection_closed(&self) {
        self.count(|to| to.connections.decrement(1.0));
    }

    /// Adds bytes sent to a peer.
    pub fn sent(&self, bytes: u64) {
        self.count(|to| to.sent.increment(bytes));
    }

    /// Adds bytes received from a peer.
    pub fn received(&self, bytes: u64) {
        self.count(|to| to.received.increment(bytes));
    }

    /// Counts a connection or a call that was shed.
    pub fn shed(&self, reason: ShedReason) {
        self.count(|to| to.sheds[reason as usize].increment(1));
    }

    /// Counts a request that ended before a call began, with this status.
    pub(crate) fn http_refused(&self, status: StatusCode) {
        let index = HTTP_REFUSAL_STATUSES.iter().position(|(known, _)| *known == status);
        debug_assert!(index.is_some(), "{status} has no counter");
        if let Some(index) = index {
            self.count(|to| to.http_refusals[index].increment(1));
        }
    }

    /// Counts a stream that its peer reset.
    pub fn reset(&self) {
        self.count(|to| to.resets.increment(1));
    }

    /// Counts a drained connection.
    pub fn drained(&self, drain: Drain) {
        self.count(|to| to.drains[drain as usize].increment(1));
    }

    /// Sets the number of movies and the revision of the catalogue.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub fn catalogue(&self, movies: usize, revision: u64) {
        self.count(|to| {
            to.movies.set(movies as f64);
            to.revision.set(revision as f64);
        });
    }

    /// Counts a reload; `taken` is true if the new version is in use.
    pub fn reloaded(&self, reload: Reload, taken: bool) {
        self.count(|to| to.reloads[reload as usize][usize::from(!taken)].increment(1));
    }

    fn count(&self, record: impl FnOnce(&Registered)) {
        if let Some(registered) = &self.0 {
            record(registered);
        }
    }
}

impl Registered {
    /// Registers with the recorder of this thread.
    fn new(page: PrometheusHandle) -> Self {
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let names = Rpc::all().map(Rpc::name).chain([UNKNOWN_METHOD]);
        Self {
            page,
            process: ProcessMetrics::registered(),
            store: StoreMetrics::registered(),
            calls: names.map(MethodMetrics::new).collect(),
            streams: gauge!(STREAMS),
            connections: gauge!(CONNECTIONS),
            sent: counter!(SENT),
            received: counter!(RECEIVED),
            sheds: ["connections", "address", "lists", "calls", "lists_per_address", "calls_per_address"]
                .map(|reason| counter!(SHEDS, "reason" => reason)),
            http_refusals: HTTP_REFUSAL_STATUSES
                .map(|(_, status)| counter!(HTTP_REFUSALS, "status" => status)),
            resets: counter!(RESETS),
            drains: ["finished", "forced"].map(|outcome| counter!(DRAINS, "outcome" => outcome)),
            movies: gauge!(MOVIES),
            revision: gauge!(REVISION),
            reloads: ["database", "tls", "tokens"].map(|what| {
                ["taken", "refused"].map(|outcome| counter!(RELOADS, "what" => what, "outcome" => outcome))
            }),
        }
    }
}

impl MethodMetrics {
    fn new(method: &'static str) -> Self {
        let codes = std::array::from_fn::<_, CODES, _>(|code| {
            i32::try_from(code).map_or(Code::Unknown, Code::from_i32)
        });
        Self {
            ended: codes.map(|code| counter!(CALLS, "method" => method, "code" => code_name(code))),
            duration: histogram!(DURATION, "method" => method),
        }
    }
}

/// Registers the help texts of the page.
fn describe() {
    describe_counter!(CALLS, "Calls that ended, by method and code.");
    describe_histogram!(DURATION, Unit::Seconds, "Time from the headers of a call to its end, by method.");
    describe_gauge!(STREAMS, "Calls in flight.");
    describe_gauge!(CONNECTIONS, "Connections open.");
    describe_counter!(SENT, Unit::Bytes, "Bytes sent to callers.");
    describe_counter!(RECEIVED, Unit::Bytes, "Bytes received from callers.");
    describe_counter!(SHEDS, "Connections and calls that were shed, by reason.");
    describe_counter!(HTTP_REFUSALS, "Requests over HTTP that were refused before a call began, by status.");
    describe_counter!(RESETS, "Streams that peers reset.");
    describe_counter!(DRAINS, "Drained connections, by outcome.");
    describe_gauge!(MOVIES, "Movies in the catalogue.");
    describe_gauge!(REVISION, "Revision of the catalogue.");
    describe_counter!(RELOADS, "Reloads of files, by whether the new version was taken.");
    describe_gauge!(BUILD, "1, with the version as label.");
}

/// Returns the name of a code as in gRPC's documentation.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the page has a line.
    fn assert_has(metrics: &Metrics, line: &str) {
        let page = metrics.render();
        assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
    }

    #[test]
    fn calls_are_counted_by_method_and_code_and_timed() {
        let metrics = Metrics::on();
        for code in [Code::Ok, Code::Ok, Code::Unauthenticated] {
            metrics.call_began();
            metrics.call_ended(Rpc::find("/Movie/GetMovieByID"), code, Duration::from_micros(20));
        }
        metrics.call_began();
        assert_has(&metrics, r#"movie_service_calls_total{method="Movie/GetMovieByID",code="OK"} 2"#);
        assert_has(
            &metrics,
            r#"movie_service_calls_total{method="Movie/GetMovieByID",code="UNAUTHENTICATED"} 1"#,
        );
        let bucket = "movie_service_call_duration_seconds_bucket";
        assert_has(&metrics, &format!(r#"{bucket}{{method="Movie/GetMovieByID",le="0.00001"}} 0"#));
        assert_has(&metrics, &format!(r#"{bucket}{{method="Movie/GetMovieByID",le="0.00005"}} 3"#));
        assert_has(&metrics, "movie_service_streams_open 1");
    }

    #[test]
    fn an_unknown_method_has_the_label_other() {
        let metrics = Metrics::on();
        metrics.call_began();
        metrics.call_ended(None, Code::Unimplemented, Duration::ZERO);
        assert_has(&metrics, r#"movie_service_calls_total{method="other",code="UNIMPLEMENTED"} 1"#);
    }

    #[test]
    fn the_page_has_every_metric() {
        let metrics = Metrics::on();
        metrics.connection_opened();
        metrics.connection_opened();
        metrics.connection_closed();
        metrics.sent(3);
        metrics.received(4);
        metrics.shed(ShedReason::Calls);
        metrics.http_refused(StatusCode::NOT_FOUND);
        metrics.reset();
        metrics.drained(Drain::Forced);
        metrics.catalogue(7, 2);
        metrics.reloaded(Reload::Database, true);
        metrics.reloaded(Reload::Tokens, false);
        for line in [
            "movie_service_connections_open 1",
            "movie_service_sent_bytes_total 3",
            "movie_service_received_bytes_total 4",
            r#"movie_service_sheds_total{reason="calls"} 1"#,
            r#"movie_service_sheds_total{reason="lists"} 0"#,
            r#"movie_service_http_refusals_total{status="404"} 1"#,
            r#"movie_service_http_refusals_total{status="415"} 0"#,
            "movie_service_resets_total 1",
            r#"movie_service_drains_total{outcome="forced"} 1"#,
            "movie_service_catalogue_movies 7",
            "movie_service_catalogue_revision 2",
            r#"movie_service_reloads_total{what="database",outcome="taken"} 1"#,
            r#"movie_service_reloads_total{what="tokens",outcome="refused"} 1"#,
            "# TYPE process_cpu_seconds_total counter",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_open_fds gauge",
            "# TYPE process_start_time_seconds gauge",
            "movie_service_store_retries_total 0",
            concat!(r#"movie_service_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
            "# HELP movie_service_calls_total Calls that ended, by method and code.",
            "# TYPE movie_service_calls_total counter",
            "# TYPE movie_service_call_duration_seconds histogram",
        ] {
            assert_has(&metrics, line);
        }
    }

    #[test]
    fn metrics_that_are_off_record_nothing() {
        let metrics = Metrics::off();
        metrics.connection_opened();
        assert!(!metrics.is_on() && metrics.render().is_empty());
    }

    #[test]
    fn upkeep_loses_no_duration() {
        let metrics = Metrics::on();
        for _ in 0..1000 {
            metrics.call_ended(Rpc::find("/Movie/GetListMovies"), Code::Ok, Duration::from_millis(2));
            metrics.upkeep();
        }
        assert_has(
            &metrics,
            r#"movie_service_call_duration_seconds_count{method="Movie/GetListMovies"} 1000"#,
        );
    }
}
