//! Prometheus metrics.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tonic::Code;

use crate::rpc::Rpc;
use crate::telemetry::process_metrics::ProcessMetrics;
use crate::telemetry::store_metrics::{CHANGES, COMMIT_CHANGES, StoreMetrics};

/// The label of calls of RPCs that do not exist: a path that a caller makes up must not become one.
pub(super) const OTHER: &str = "other";

/// The bounds of the buckets of a call's duration, in seconds. A call is answered in some microseconds; a list may
/// take as long as its caller.
const DURATIONS: [f64; 14] =
    [10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

const CALLS: &str = "movie_service_calls_total";
const DURATION: &str = "movie_service_call_duration_seconds";
const STREAMS: &str = "movie_service_streams_open";
const CONNECTIONS: &str = "movie_service_connections_open";
const SENT: &str = "movie_service_sent_bytes_total";
const RECEIVED: &str = "movie_service_received_bytes_total";
const SHEDS: &str = "movie_service_sheds_total";
const RESETS: &str = "movie_service_resets_total";
const DRAINS: &str = "movie_service_drains_total";
const MOVIES: &str = "movie_service_catalogue_movies";
const REVISION: &str = "movie_service_catalogue_revision";
const RELOADS: &str = "movie_service_reloads_total";
const BUILD: &str = "movie_service_build_info";

/// Why something was turned away to keep the rest going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// There were as many connections as there may be.
    Connections,
    /// There were as many connections of one address as there may be.
    Address,
    /// There were as many lists open as there may be.
    Lists,
    /// There were as many calls in flight as there may be.
    Calls,
    /// There were as many lists open to one address as there may be.
    ListsOfAddress,
    /// There were as many calls in flight from one address as there may be.
    CallsOfAddress,
}

/// How a connection that was asked to end did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Its calls ended.
    Finished,
    /// It was given up: at the limit, or because its peer did not read.
    Forced,
}

/// What is read again when its file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The movies.
    Database,
    /// The certificate, its key and the authorities.
    Tls,
    /// The tokens.
    Tokens,
}

/// Counts, or with metrics off does nothing. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Option<Arc<Registered>>);

/// What is counted. All of it is registered once, so that to count is to add to a number.
#[derive(Debug)]
struct Registered {
    page: PrometheusHandle,
    /// These are read when the page is.
    process: ProcessMetrics,
    store: StoreMetrics,
    /// For each RPC; the last counts calls of RPCs that do not exist.
    calls: Vec<Calls>,
    streams: Gauge,
    connections: Gauge,
    sent: Counter,
    received: Counter,
    sheds: [Counter; 6],
    resets: Counter,
    drains: [Counter; 2],
    movies: Gauge,
    revision: Gauge,
    /// For each kind: those that were taken, and those that were refused.
    reloads: [[Counter; 2]; 3],
}

/// The calls of one method.
#[derive(Debug)]
struct Calls {
    /// By code.
    ended: [Counter; CODES],
    duration: Histogram,
}

/// How many codes gRPC has.
pub(super) const CODES: usize = 17;

impl Metrics {
    /// Counts nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Counts from zero, each RPC by itself.
    ///
    /// [`Metrics::upkeep`] must be called every few seconds.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does: there are buckets")]
    pub fn on() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&DURATIONS).expect("there are buckets");
        let changes = Matcher::Full(COMMIT_CHANGES.to_owned());
        let builder = builder.set_buckets_for_metric(changes, &CHANGES).expect("there are buckets");
        let recorder = builder.build_recorder();
        let page = recorder.handle();
        Self(Some(Arc::new(metrics::with_local_recorder(&recorder, || {
            describe();
            Registered::new(page)
        }))))
    }

    /// Returns whether anything is counted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns all numbers in Prometheus's text format; nothing with metrics off.
    #[must_use]
    pub fn render(&self) -> String {
        let render = |registered: &Arc<Registered>| {
            registered.process.update();
            registered.page.render()
        };
        self.0.as_ref().map(render).unwrap_or_default()
    }

    /// Returns what counts for a store.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.0.as_ref().map(|registered| registered.store.clone()).unwrap_or_default()
    }

    /// Sorts the durations of calls into their buckets. Until then each takes 8 bytes, whether or not anybody
    /// reads the page.
    pub fn upkeep(&self) {
        self.count(|to| to.page.run_upkeep());
    }

    /// A call began.
    pub(super) fn call_began(&self) {
        self.count(|to| to.streams.increment(1.0));
    }

    /// A call ended; `rpc` is `None` if there is no such RPC.
    pub(super) fn call_ended(&self, rpc: Option<Rpc>, code: Code, duration: Duration) {
        self.count(|to| {
            to.streams.decrement(1.0);
            if let Some(calls) = to.calls.get(rpc.map_or(Rpc::COUNT, Rpc::index)) {
                calls.ended[code as usize].increment(1);
                calls.duration.record(duration);
            }
        });
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.count(|to| to.connections.increment(1.0));
    }

    /// A connection is gone.
    pub fn connection_closed(&self) {
        self.count(|to| to.connections.decrement(1.0));
    }

    /// This many bytes went out to a peer.
    pub fn sent(&self, bytes: u64) {
        self.count(|to| to.sent.increment(bytes));
    }

    /// This many bytes came in from a peer.
    pub fn received(&self, bytes: u64) {
        self.count(|to| to.received.increment(bytes));
    }

    /// Something was turned away.
    pub fn shed(&self, shed: Shed) {
        self.count(|to| to.sheds[shed as usize].increment(1));
    }

    /// A peer reset a stream.
    pub fn reset(&self) {
        self.count(|to| to.resets.increment(1));
    }

    /// A connection that was asked to end did.
    pub fn drained(&self, drain: Drain) {
        self.count(|to| to.drains[drain as usize].increment(1));
    }

    /// The catalogue has this many movies now, and is at this revision.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floating")]
    pub fn catalogue(&self, movies: usize, revision: u64) {
        self.count(|to| {
            to.movies.set(movies as f64);
            to.revision.set(revision as f64);
        });
    }

    /// A file was read again; its new version was taken, or refused.
    pub fn reloaded(&self, reload: Reload, taken: bool) {
        self.count(|to| to.reloads[reload as usize][usize::from(!taken)].increment(1));
    }

    fn count(&self, with: impl FnOnce(&Registered)) {
        if let Some(registered) = &self.0 {
            with(registered);
        }
    }
}

impl Registered {
    /// Registers with the recorder of this thread.
    fn new(page: PrometheusHandle) -> Self {
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let names = Rpc::all().map(Rpc::name).chain([OTHER]);
        Self {
            page,
            process: ProcessMetrics::registered(),
            store: StoreMetrics::registered(),
            calls: names.map(Calls::new).collect(),
            streams: gauge!(STREAMS),
            connections: gauge!(CONNECTIONS),
            sent: counter!(SENT),
            received: counter!(RECEIVED),
            sheds: ["connections", "address", "lists", "calls", "lists_per_address", "calls_per_address"]
                .map(|reason| counter!(SHEDS, "reason" => reason)),
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

impl Calls {
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

/// Says what each number is, for the page.
fn describe() {
    describe_counter!(CALLS, "Calls that ended, by method and code.");
    describe_histogram!(DURATION, Unit::Seconds, "Time from the head of a call to its end, by method.");
    describe_gauge!(STREAMS, "Calls in flight.");
    describe_gauge!(CONNECTIONS, "Connections open.");
    describe_counter!(SENT, Unit::Bytes, "Bytes sent to callers.");
    describe_counter!(RECEIVED, Unit::Bytes, "Bytes received from callers.");
    describe_counter!(SHEDS, "What was turned away to keep the rest going, by reason.");
    describe_counter!(RESETS, "Streams that peers reset.");
    describe_counter!(DRAINS, "Connections that were asked to end, by how they did.");
    describe_gauge!(MOVIES, "Movies in the catalogue.");
    describe_gauge!(REVISION, "Revision of the catalogue.");
    describe_counter!(RELOADS, "Files read again, by whether the new version was taken.");
    describe_gauge!(BUILD, "1, with the version as label.");
}

/// Returns a code's name as gRPC's documentation writes it.
pub(super) fn code_name(code: Code) -> &'static str {
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
    fn a_method_that_is_not_known_is_other() {
        let metrics = Metrics::on();
        metrics.call_began();
        metrics.call_ended(None, Code::Unimplemented, Duration::ZERO);
        assert_has(&metrics, r#"movie_service_calls_total{method="other",code="UNIMPLEMENTED"} 1"#);
    }

    #[test]
    fn each_number_has_its_place_on_the_page() {
        let metrics = Metrics::on();
        metrics.connection_opened();
        metrics.connection_opened();
        metrics.connection_closed();
        metrics.sent(3);
        metrics.received(4);
        metrics.shed(Shed::Calls);
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
    fn with_metrics_off_nothing_is_counted() {
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
