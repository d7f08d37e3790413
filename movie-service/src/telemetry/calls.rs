//! Observation of each call: log line, metrics, span.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::{MissedTickBehavior, interval};
use tonic::Code;
use tracing::{Level, enabled, event, warn};

use crate::rpc::{Kind, Rpc, Service};
use crate::telemetry::log::Throttle;
use crate::telemetry::metrics::{CODES, Metrics, UNKNOWN_METHOD, code_name};
use crate::telemetry::trace::{CallSpan, Tracer};

/// Maximum number of log lines a second about failed calls, for each code, so that many client errors do not hide a
/// server error.
const MAX_LINES_PER_SECOND: u32 = 10;

/// Logged reason of a call that was dropped before its end.
const CALLER_GONE: &str = "the caller went away";

/// Observes the calls of a connection. Clones observe the same connection and are cheap.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Connection>);

/// One `Arc` per connection: a shared reference count would move between cores with each call.
#[derive(Debug)]
struct Connection {
    sinks: Arc<Sinks>,
    peer: Option<SocketAddr>,
}

/// The destinations of all observations, shared by all connections.
#[derive(Debug)]
struct Sinks {
    metrics: Metrics,
    tracer: Option<Tracer>,
    /// One throttle for each code.
    throttles: [Throttle; CODES],
}

impl Observer {
    /// Observes calls with the metrics and the tracer that are turned on.
    ///
    /// [`Observer::upkeep`] must be polled for as long as calls are observed.
    #[must_use]
    pub fn new(metrics: Metrics, tracer: Option<Tracer>) -> Self {
        let throttles = std::array::from_fn(|_| Throttle::new(MAX_LINES_PER_SECOND));
        let sinks = Arc::new(Sinks { metrics, tracer, throttles });
        Self(Arc::new(Connection { sinks, peer: None }))
    }

    /// Returns the observer of a connection from `peer`, which is `None` if it has no address.
    #[must_use]
    pub fn connection(&self, peer: Option<SocketAddr>) -> Self {
        Self(Arc::new(Connection { sinks: self.0.sinks.clone(), peer }))
    }

    /// Begins the observation of a call whose headers arrived at `now`. `rpc` is `None` if the RPC does not exist.
    #[must_use]
    pub fn begin(&self, rpc: Option<Rpc>, headers: &HeaderMap, now: Instant) -> CallObservation {
        let Sinks { metrics, tracer, .. } = &*self.0.sinks;
        metrics.call_began();
        let span = match tracer {
            // Health checks are not traced: every load balancer sends one every few seconds.
            Some(tracer) if rpc.is_none_or(|rpc| rpc.service != Service::Health) => {
                tracer.start(name(rpc), headers, self.0.peer)
            }
            Some(_) | None => None,
        };
        CallObservation {
            observer: Some(self.clone()),
            rpc,
            began: now,
            caller: None,
            span,
            is_callers_fault: false,
            unknown_path: None,
        }
    }

    /// Runs deferred work once a second: sorts call durations into buckets, and logs how many lines were suppressed.
    /// Never completes.
    pub async fn upkeep(&self) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.0.sinks.metrics.upkeep();
            self.0.sinks.log_suppressed(Instant::now());
        }
    }
}

impl Sinks {
    /// Logs how many lines were suppressed in the second that has ended.
    fn log_suppressed(&self, now: Instant) {
        for (code, throttle) in (0..).map(Code::from_i32).zip(&self.throttles) {
            log_suppressed(code, throttle.take_suppressed(now));
        }
    }
}

/// Observation of one call. A call that is dropped before [`CallObservation::end`] was cancelled by its caller.
#[derive(Debug)]
pub struct CallObservation {
    /// `None` after the end of the call.
    observer: Option<Observer>,
    rpc: Option<Rpc>,
    began: Instant,
    caller: Option<Arc<str>>,
    span: Option<CallSpan>,
    is_callers_fault: bool,
    /// The path of a call whose RPC does not exist.
    unknown_path: Option<String>,
}

impl CallObservation {
    /// Sets the path of a call whose RPC does not exist, for the log: escaped and of limited length.
    pub fn set_unknown_path(&mut self, path: String) {
        self.unknown_path = Some(path);
    }

    /// Marks a failure of the call as the caller's fault, whatever its code.
    pub fn blame_caller(&mut self) {
        self.is_callers_fault = true;
    }

    /// Sets the name of the authenticated caller.
    pub fn set_caller(&mut self, name: Arc<str>) {
        self.caller = Some(name);
    }

    /// Ends the call: its response is complete, trailers included. `message` is the status message that the caller gets;
    /// it must not contain data of a message body or a token.
    pub fn end(mut self, code: Code, message: &str) {
        self.finish(code, message);
    }

    fn finish(&mut self, code: Code, message: &str) {
        let Some(observer) = self.observer.take() else { return };
        let Connection { sinks, peer } = &*observer.0;
        if let Some(span) = self.span.take() {
            span.end(code, message);
        }
        // The clock is read only if the duration is counted or logged.
        let is_timed = sinks.metrics.is_on() || code != Code::Ok || enabled!(Level::DEBUG);
        let latency = is_timed.then(|| self.began.elapsed());
        let is_fault = is_server_error(self.rpc, code) && !self.is_callers_fault;
        sinks.metrics.call_ended(self.rpc, code, latency.unwrap_or_default(), is_fault);

        // Names what is missing for a new RPC of a contract.
        let unknown = self.unknown_path.as_ref().filter(|_| code == Code::Unimplemented);
        let unknown =
            unknown.map(|path| format!("no entry of the RPC table in rpc.rs has the path `{path}`"));
        let reason = unknown.as_deref().unwrap_or(message);

        macro_rules! line {
            ($level:expr, $text:literal) => {
                event!(
                    $level,
                    method = name(self.rpc),
                    code = code_name(code),
                    latency_ms = latency.map(milliseconds),
                    peer = peer.map(tracing::field::display),
                    caller = self.caller.as_deref(),
                    reason = (code != Code::Ok).then_some(reason),
                    $text
                )
            };
        }
        if code == Code::Ok {
            return line!(Level::DEBUG, "call ended");
        }
        let Some(suppressed) = sinks.throttles[code as usize].admit(Instant::now()) else { return };
        log_suppressed(code, suppressed);
        if is_fault {
            line!(Level::ERROR, "call failed");
        } else {
            line!(Level::INFO, "call ended");
        }
    }
}

impl Drop for CallObservation {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.0.sinks.metrics.stream_reset();
        }
        self.finish(Code::Cancelled, CALLER_GONE);
    }
}

/// Returns the name of an RPC.
fn name(rpc: Option<Rpc>) -> &'static str {
    rpc.map_or(UNKNOWN_METHOD, Rpc::name)
}

/// Returns whether a code of an RPC means an error of the service: neither one of the caller, nor a planned stop.
fn is_server_error(rpc: Option<Rpc>, code: Code) -> bool {
    // A planned stop ends watches and probes with UNAVAILABLE.
    let may_outlast_service = rpc.is_some_and(|rpc| matches!(rpc.kind, Kind::Watch | Kind::Probe));
    matches!(code, Code::Unknown | Code::Internal | Code::DataLoss)
        || (code == Code::Unavailable && !may_outlast_service)
}

/// Returns a duration in milliseconds, rounded to microseconds.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn log_suppressed(code: Code, suppressed: u64) {
    if suppressed > 0 {
        warn!(code = code_name(code), suppressed, "suppressed log lines of calls that ended with this code");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::MakeWriter;

    use super::super::trace::tests::ExportedSpans;
    use super::*;

    /// Collects log lines.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Returns the lines that `calls` logs, without times.
    fn logged(level: Level, calls: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_max_level(level)
            .finish();
        with_default(subscriber, calls);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn observer() -> Observer {
        Observer::new(Metrics::on(), None)
    }

    fn begin(observer: &Observer) -> CallObservation {
        observer.begin(Rpc::find("/Movie/GetMovieByID"), &HeaderMap::new(), Instant::now())
    }

    #[test]
    fn a_call_is_logged_at_its_end_at_the_level_of_its_code() {
        let observer = observer();
        for (code, start) in [
            (Code::Ok, "DEBUG call ended method=\"Movie/GetMovieByID\" code=\"OK\" latency_ms="),
            (Code::NotFound, "INFO call ended method=\"Movie/GetMovieByID\" code=\"NOT_FOUND\" latency_ms="),
            (Code::Internal, "ERROR call failed method=\"Movie/GetMovieByID\" code=\"INTERNAL\" latency_ms="),
        ] {
            let lines = logged(Level::DEBUG, || begin(&observer).end(code, "why"));
            assert!(lines.len() == 1 && lines[0].starts_with(start), "{lines:?}");
            assert_eq!(lines[0].ends_with("reason=\"why\""), code != Code::Ok, "{lines:?}");
        }
    }

    #[test]
    fn a_watch_that_a_stop_ends_is_not_logged_as_an_error() {
        for (path, start) in [
            ("/movie.catalog.v1.MovieCatalog/WatchMovies", "INFO call ended"),
            ("/grpc.health.v1.Health/Watch", "INFO call ended"),
            ("/Movie/GetMovieByID", "ERROR call failed"),
        ] {
            let call = observer().begin(Rpc::find(path), &HeaderMap::new(), Instant::now());
            let lines = logged(Level::INFO, || call.end(Code::Unavailable, "stopping"));
            assert!(lines.len() == 1 && lines[0].starts_with(start), "{path}: {lines:?}");
        }
    }

    #[test]
    fn the_faults_that_are_counted_are_those_that_are_logged_as_errors() {
        let observer = observer();
        for code in [Code::Ok, Code::NotFound, Code::Internal, Code::DeadlineExceeded, Code::Unavailable] {
            begin(&observer).end(code, "");
        }
        let mut blamed = begin(&observer);
        blamed.blame_caller();
        blamed.end(Code::Internal, "");
        let page = observer.0.sinks.metrics.render();
        let faults = r#"movie_service_call_faults_total{method="Movie/GetMovieByID"} 2"#;
        assert!(page.lines().any(|line| line == faults), "{page}");
    }

    #[test]
    fn a_fault_of_the_caller_is_not_logged_as_an_error_whatever_its_code() {
        let lines = logged(Level::INFO, || {
            let mut call = begin(&observer());
            call.blame_caller();
            call.end(Code::Internal, "cannot be read");
        });
        assert!(lines.len() == 1 && lines[0].starts_with("INFO call ended"), "{lines:?}");
    }

    #[test]
    fn a_line_names_the_peer_and_the_caller_if_they_are_known() {
        let observer = observer().connection(Some("192.0.2.1:4000".parse().unwrap()));
        let lines = logged(Level::INFO, || {
            let mut call = begin(&observer);
            call.set_caller("anna".into());
            call.end(Code::PermissionDenied, "no");
        });
        assert!(lines[0].contains("peer=192.0.2.1:4000 caller=\"anna\""), "{lines:?}");
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let lines = logged(Level::INFO, || begin(&observer()).end(Code::NotFound, "a\nERROR b\x1b[2J"));
        assert!(lines.len() == 1 && !lines[0].contains('\x1b'), "{lines:?}");
    }

    #[test]
    fn a_successful_call_is_not_logged_at_info() {
        assert_eq!(logged(Level::INFO, || begin(&observer()).end(Code::Ok, "")), [""; 0]);
    }

    #[test]
    fn a_dropped_call_counts_once_as_cancelled() {
        let observer = observer();
        let lines = logged(Level::INFO, || drop(begin(&observer)));
        assert!(lines.len() == 1 && lines[0].contains("CANCELLED"), "{lines:?}");
        let page = observer.0.sinks.metrics.render();
        assert!(page.contains(r#"{method="Movie/GetMovieByID",code="CANCELLED"} 1"#), "{page}");
        assert!(page.contains("movie_service_streams_open 0"), "{page}");
    }

    #[test]
    fn a_flood_of_client_errors_does_not_suppress_a_server_error() {
        let observer = observer();
        let lines = logged(Level::INFO, || {
            for _ in 0..1000 {
                observer
                    .begin(None, &HeaderMap::new(), Instant::now())
                    .end(Code::Unimplemented, "no such method");
            }
            begin(&observer).end(Code::Internal, "disk on fire");
        });
        let bad = lines.iter().filter(|line| line.contains("method=\"other\"")).count();
        // The calls may extend into the next second, in which more lines are logged.
        assert!((MAX_LINES_PER_SECOND as usize..1000).contains(&bad), "{bad} lines");
        assert!(lines.iter().any(|line| line.contains("disk on fire")));
    }

    #[test]
    fn the_number_of_suppressed_lines_is_logged_after_a_flood() {
        let observer = observer();
        let lines = logged(Level::INFO, || {
            for _ in 0..MAX_LINES_PER_SECOND + 5 {
                begin(&observer).end(Code::NotFound, "");
            }
            observer.0.sinks.log_suppressed(Instant::now() + Duration::from_secs(1));
        });
        let count = lines.iter().filter(|line| line.contains("suppressed=5")).count();
        assert_eq!(count, 1, "{lines:?}");
    }

    #[test]
    fn all_calls_except_health_checks_are_traced() {
        let exported = ExportedSpans::default();
        let observer = Observer::new(Metrics::off(), Some(exported.tracer()));
        for path in ["/Movie/GetMovieByID", "/grpc.health.v1.Health/Check", "/no/such"] {
            observer.begin(Rpc::find(path), &HeaderMap::new(), Instant::now()).end(Code::Ok, "");
        }
        let names: Vec<_> = exported.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["Movie/GetMovieByID", "other"]);
    }
}
