//! Prometheus metrics.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tonic::Code;

use crate::rpc::Rpc;
use crate::telemetry::http_metrics::HttpMetrics;
pub use crate::telemetry::http_metrics::HttpRequest;
use crate::telemetry::process_metrics::ProcessMetrics;
pub use crate::telemetry::reload_metrics::Reload;
use crate::telemetry::reload_metrics::ReloadMetrics;
use crate::telemetry::search_metrics::{IndexMetrics, SearchMetrics};
use crate::telemetry::store_metrics::{COMMIT_CHANGES, COMMIT_CHANGES_BUCKETS, StoreMetrics};
use crate::telemetry::watch_metrics::WatchMetrics;

/// Method label of calls of RPCs that do not exist. A path made up by a caller must not become a label.
pub(super) const UNKNOWN_METHOD: &str = "other";

/// Bucket bounds of call durations in seconds. A unary call takes some microseconds; the duration of a list depends on
/// its caller.
const DURATION_BUCKETS: [f64; 14] =
    [10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

const CALLS: &str = "movie_service_calls_total";
const FAULTS: &str = "movie_service_call_faults_total";
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
const CERTIFICATE_EXPIRY: &str = "movie_service_tls_certificate_expiry_timestamp_seconds";
const BUILD: &str = "movie_service_build_info";

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

/// The metrics. Records nothing if metrics are off. Clones share the metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Option<Arc<Registered>>);

/// All metrics, registered once, so that counting is an atomic addition.
#[derive(Debug)]
struct Registered {
    /// Registers what depends on the options of the service.
    recorder: Arc<PrometheusRecorder>,
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
    http: HttpMetrics,
    resets: Counter,
    drains: [Counter; 2],
    movies: Gauge,
    revision: Gauge,
    reloads: ReloadMetrics,
    watches: WatchMetrics,
    searches: SearchMetrics,
    /// Set if the service searches.
    index: OnceLock<IndexMetrics>,
    /// Set if the service has a certificate.
    certificate_expiry: OnceLock<Gauge>,
}

/// The metrics of one method.
#[derive(Debug)]
struct MethodMetrics {
    /// Ended calls by code.
    ended: [Counter; CODES],
    /// Ended calls that failed by the service's fault.
    faults: Counter,
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
        Self(Some(Arc::new(Registered::new(recorder))))
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

    /// Returns the metrics of watches.
    #[must_use]
    pub fn watches(&self) -> WatchMetrics {
        self.0.as_ref().map(|registered| registered.watches.clone()).unwrap_or_default()
    }

    /// Returns the metrics of searches.
    #[must_use]
    pub fn searches(&self) -> SearchMetrics {
        self.0.as_ref().map(|registered| registered.searches.clone()).unwrap_or_default()
    }

    /// Returns the metrics of the store.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.0.as_ref().map(|registered| registered.store.clone()).unwrap_or_default()
    }

    /// Sorts recorded durations into their buckets. Until then, each takes 8 bytes, even if metrics are never
    /// scraped.
    pub fn upkeep(&self) {
        self.record(|to| to.page.run_upkeep());
    }

    /// Counts a call that began.
    pub(super) fn call_began(&self) {
        self.record(|to| to.streams.increment(1.0));
    }

    /// Counts a call that ended; `rpc` is `None` if there is no such RPC. `is_fault` tells whether the service is at fault.
    pub(super) fn call_ended(&self, rpc: Option<Rpc>, code: Code, duration: Duration, is_fault: bool) {
        self.record(|to| {
            to.streams.decrement(1.0);
            if let Some(calls) = to.calls.get(rpc.map_or(Rpc::COUNT, Rpc::index)) {
                calls.ended[code as usize].increment(1);
                if is_fault {
                    calls.faults.increment(1);
                }
                calls.duration.record(duration);
            }
        });
    }

    /// Counts an accepted connection.
    pub fn connection_opened(&self) {
        self.record(|to| to.connections.increment(1.0));
    }

    /// Counts a closed connection.
    pub fn connection_closed(&self) {
        self.record(|to| to.connections.decrement(1.0));
    }

    /// Adds bytes sent to a peer.
    pub fn sent(&self, bytes: u64) {
        self.record(|to| to.sent.increment(bytes));
    }

    /// Adds bytes received from a peer.
    pub fn received(&self, bytes: u64) {
        self.record(|to| to.received.increment(bytes));
    }

    /// Counts a connection or a call that was shed.
    pub fn shed(&self, reason: ShedReason) {
        self.record(|to| to.sheds[reason as usize].increment(1));
    }

    /// Counts a request that is not in gRPC, when its response begins.
    pub(crate) fn http_responded(&self, request: HttpRequest, status: StatusCode) {
        self.record(|to| to.http.responded(request, status));
    }

    /// Counts a request that ended before a call began, with this status.
    pub(crate) fn http_refused(&self, status: StatusCode) {
        self.record(|to| to.http.refused(status));
    }

    /// Counts a stream that its peer reset.
    pub fn stream_reset(&self) {
        self.record(|to| to.resets.increment(1));
    }

    /// Counts a drained connection.
    pub fn drained(&self, drain: Drain) {
        self.record(|to| to.drains[drain as usize].increment(1));
    }

    /// Sets the number of movies and the revision of the catalogue.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub fn set_catalogue(&self, movies: usize, revision: u64) {
        self.record(|to| {
            to.movies.set(movies as f64);
            to.revision.set(revision as f64);
        });
    }

    /// Counts a reload; `taken` is true if the new version is in use.
    pub fn reloaded(&self, reload: Reload, taken: bool) {
        self.record(|to| to.reloads.reloaded(reload, taken));
    }

    /// Sets the number of movies in the search index; `None` until it is built. Not to be called if the service does not
    /// search.
    pub fn search_index(&self, documents: Option<usize>) {
        self.record(|to| to.index().set(documents));
    }

    /// Sets the time in which the search index was built.
    pub fn search_index_built(&self, duration: Duration) {
        self.record(|to| to.index().built(duration));
    }

    /// Sets when the certificate of the service expires, in seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub fn certificate_expiry(&self, seconds: i64) {
        self.record(|to| {
            let gauge = to.certificate_expiry.get_or_init(|| to.register(|| gauge!(CERTIFICATE_EXPIRY)));
            gauge.set(seconds as f64);
        });
    }

    fn record(&self, record: impl FnOnce(&Registered)) {
        if let Some(registered) = &self.0 {
            record(registered);
        }
    }
}

impl Registered {
    fn new(recorder: PrometheusRecorder) -> Self {
        let page = recorder.handle();
        let with = |recorder| Self {
            recorder,
            page,
            process: ProcessMetrics::registered(),
            store: StoreMetrics::registered(),
            calls: Rpc::all().map(Rpc::name).chain([UNKNOWN_METHOD]).map(MethodMetrics::new).collect(),
            streams: gauge!(STREAMS),
            connections: gauge!(CONNECTIONS),
            sent: counter!(SENT),
            received: counter!(RECEIVED),
            sheds: ["connections", "address", "lists", "calls", "lists_per_address", "calls_per_address"]
                .map(|reason| counter!(SHEDS, "reason" => reason)),
            http: HttpMetrics::registered(),
            resets: counter!(RESETS),
            drains: ["finished", "forced"].map(|outcome| counter!(DRAINS, "outcome" => outcome)),
            movies: gauge!(MOVIES),
            revision: gauge!(REVISION),
            reloads: ReloadMetrics::registered(),
            watches: WatchMetrics::registered(),
            searches: SearchMetrics::registered(),
            index: OnceLock::new(),
            certificate_expiry: OnceLock::new(),
        };
        let recorder = Arc::new(recorder);
        metrics::with_local_recorder(&*recorder.clone(), || {
            describe();
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            with(recorder)
        })
    }

    /// Registers a metric that only some services have.
    fn register<T>(&self, register: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.recorder, register)
    }

    fn index(&self) -> &IndexMetrics {
        self.index.get_or_init(|| self.register(IndexMetrics::registered))
    }
}

impl MethodMetrics {
    fn new(method: &'static str) -> Self {
        let codes = std::array::from_fn::<_, CODES, _>(|code| {
            i32::try_from(code).map_or(Code::Unknown, Code::from_i32)
        });
        Self {
            ended: codes.map(|code| counter!(CALLS, "method" => method, "code" => code_name(code))),
            faults: counter!(FAULTS, "method" => method),
            duration: histogram!(DURATION, "method" => method),
        }
    }
}

/// Registers the help texts of the page.
fn describe() {
    describe_counter!(CALLS, "Calls that ended, by method and code");
    describe_counter!(FAULTS, "Calls that failed by the fault of the service, by method");
    describe_histogram!(DURATION, Unit::Seconds, "Time from the headers of a call to its end, by method");
    describe_gauge!(STREAMS, "Calls in flight");
    describe_gauge!(CONNECTIONS, "Connections open");
    describe_counter!(SENT, Unit::Bytes, "Bytes sent to callers");
    describe_counter!(RECEIVED, Unit::Bytes, "Bytes received from callers");
    describe_counter!(SHEDS, "Connections and calls that were shed, by reason");
    describe_counter!(RESETS, "Streams that peers reset");
    describe_counter!(DRAINS, "Drained connections, by outcome");
    describe_gauge!(MOVIES, "Movies in the catalogue");
    describe_gauge!(REVISION, "Revision of the catalogue");
    describe_gauge!(CERTIFICATE_EXPIRY, Unit::Seconds, "Expiry of the certificate, in seconds since 1970");
    describe_gauge!(BUILD, "1, with the version as label");
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
mod tests;
