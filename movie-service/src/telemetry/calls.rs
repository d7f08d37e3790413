//! Observes each call: its log line, its numbers and its span.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::{MissedTickBehavior, interval};
use tonic::Code;
use tracing::{Level, enabled, event, warn};

use crate::rpc::{Rpc, Service};
use crate::telemetry::log::Throttle;
use crate::telemetry::metrics::{CODES, Metrics, OTHER, code_name};
use crate::telemetry::trace::{CallSpan, Tracer};

/// The most lines a second about calls that failed with one code. The code of each is its own kind, so that many
/// mistakes of callers do not hide a fault of ours.
const LINES: u32 = 10;

/// Why a call ended that was dropped.
const GONE: &str = "the caller went away";

/// Observes the calls of a connection. Clones observe the same connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Connection>);

/// One `Arc` per connection: a shared reference count would move between cores with each call.
#[derive(Debug)]
struct Connection {
    shared: Arc<Shared>,
    peer: Option<SocketAddr>,
}

/// What is the same for all connections.
#[derive(Debug)]
struct Shared {
    metrics: Metrics,
    tracer: Option<Tracer>,
    /// For each code.
    throttles: [Throttle; CODES],
}

impl Observer {
    /// Observes with what is on.
    ///
    /// [`Observer::upkeep`] must be polled for as long as calls are observed.
    #[must_use]
    pub fn new(metrics: Metrics, tracer: Option<Tracer>) -> Self {
        let throttles = std::array::from_fn(|_| Throttle::new(LINES));
        let shared = Arc::new(Shared { metrics, tracer, throttles });
        Self(Arc::new(Connection { shared, peer: None }))
    }

    /// Returns what observes the calls of a connection from `peer`, if it has an address.
    #[must_use]
    pub fn connection(&self, peer: Option<SocketAddr>) -> Self {
        Self(Arc::new(Connection { shared: self.0.shared.clone(), peer }))
    }

    /// A call begins, now: its headers have arrived. `rpc` is `None` if there is no such RPC.
    #[must_use]
    pub fn begin(&self, rpc: Option<Rpc>, headers: &HeaderMap, now: Instant) -> Observed {
        let Shared { metrics, tracer, .. } = &*self.0.shared;
        metrics.call_began();
        let span = match tracer {
            // Each load balancer checks the health every few seconds, and nobody wants that traced.
            Some(tracer) if rpc.is_none_or(|rpc| rpc.service != Service::Health) => {
                tracer.start(name(rpc), headers, self.0.peer)
            }
            Some(_) | None => None,
        };
        Observed { observer: Some(self.clone()), rpc, began: now, caller: None, span, callers_fault: false }
    }

    /// Runs deferred work once a second: sorts their durations into buckets, and tells how
    /// many lines were left out of the log. Never completes.
    pub async fn upkeep(&self) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.0.shared.metrics.upkeep();
            self.0.shared.tell_left_out(Instant::now());
        }
    }
}

impl Shared {
    /// Tells how many lines were left out in a second that is over.
    fn tell_left_out(&self, now: Instant) {
        for (code, throttle) in (0..).map(Code::from_i32).zip(&self.throttles) {
            tell_left_out(code, throttle.left_out(now));
        }
    }
}

/// A call that is being observed. Dropped before its end is told, it was given up by its caller: CANCELLED.
#[derive(Debug)]
pub struct Observed {
    /// `None` once the end was told.
    observer: Option<Observer>,
    rpc: Option<Rpc>,
    began: Instant,
    caller: Option<Arc<str>>,
    span: Option<CallSpan>,
    callers_fault: bool,
}

impl Observed {
    /// Whatever comes of the call is the caller's fault, though its code may say otherwise.
    pub fn blame_caller(&mut self) {
        self.callers_fault = true;
    }

    /// The caller proved to be `name`.
    pub fn caller(&mut self, name: Arc<str>) {
        self.caller = Some(name);
    }

    /// The call ends: its response is complete, trailers included. `message` is what the caller is told, and must
    /// hold nothing of a body or a token.
    pub fn end(mut self, code: Code, message: &str) {
        self.finish(code, message);
    }

    fn finish(&mut self, code: Code, message: &str) {
        let Some(observer) = self.observer.take() else { return };
        let Connection { shared, peer } = &*observer.0;
        if let Some(span) = self.span.take() {
            span.end(code, message);
        }
        // What is neither counted nor logged is not timed to its end.
        let is_seen = shared.metrics.is_on() || code != Code::Ok || enabled!(Level::DEBUG);
        let took = is_seen.then(|| self.began.elapsed());
        shared.metrics.call_ended(self.rpc, code, took.unwrap_or_default());

        macro_rules! line {
            ($level:expr, $text:literal) => {
                event!(
                    $level,
                    method = name(self.rpc),
                    code = code_name(code),
                    latency_ms = took.map(milliseconds),
                    peer = peer.map(tracing::field::display),
                    caller = self.caller.as_deref(),
                    reason = (code != Code::Ok).then_some(message),
                    $text
                )
            };
        }
        if code == Code::Ok {
            return line!(Level::DEBUG, "call ended");
        }
        let Some(left_out) = shared.throttles[code as usize].admit(Instant::now()) else { return };
        tell_left_out(code, left_out);
        if is_ours(code) && !self.callers_fault {
            line!(Level::ERROR, "call failed");
        } else {
            line!(Level::INFO, "call ended");
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.0.shared.metrics.reset();
        }
        self.finish(Code::Cancelled, GONE);
    }
}

/// Returns the name of an RPC.
fn name(rpc: Option<Rpc>) -> &'static str {
    rpc.map_or(OTHER, Rpc::name)
}

/// Returns whether a code says that the fault is ours, not the caller's.
fn is_ours(code: Code) -> bool {
    matches!(code, Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss)
}

/// Returns a duration in milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn tell_left_out(code: Code, left_out: u64) {
    if left_out > 0 {
        warn!(code = code_name(code), left_out, "too many calls ended like this to log each");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::MakeWriter;

    use super::super::trace::tests::Kept;
    use super::*;

    /// Keeps what is logged.
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

    /// Returns the lines that are logged while `calls` runs, without times.
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

    fn begin(observer: &Observer) -> Observed {
        observer.begin(Rpc::find("/Movie/GetMovieByID"), &HeaderMap::new(), Instant::now())
    }

    #[test]
    fn a_call_is_logged_where_it_ends_at_the_level_that_its_code_deserves() {
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
    fn what_is_the_caller_s_fault_is_no_error_of_ours_whatever_its_code() {
        let lines = logged(Level::INFO, || {
            let mut call = begin(&observer());
            call.blame_caller();
            call.end(Code::Internal, "cannot be read");
        });
        assert!(lines.len() == 1 && lines[0].starts_with("INFO call ended"), "{lines:?}");
    }

    #[test]
    fn a_line_says_from_where_and_from_whom_if_that_is_known() {
        let observer = observer().connection(Some("192.0.2.1:4000".parse().unwrap()));
        let lines = logged(Level::INFO, || {
            let mut call = begin(&observer);
            call.caller("anna".into());
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
    fn success_is_not_logged_at_info() {
        assert_eq!(logged(Level::INFO, || begin(&observer()).end(Code::Ok, "")), [""; 0]);
    }

    #[test]
    fn a_call_that_is_dropped_was_cancelled_and_counts_once() {
        let observer = observer();
        let lines = logged(Level::INFO, || drop(begin(&observer)));
        assert!(lines.len() == 1 && lines[0].contains("CANCELLED"), "{lines:?}");
        let page = observer.0.shared.metrics.render();
        assert!(page.contains(r#"{method="Movie/GetMovieByID",code="CANCELLED"} 1"#), "{page}");
        assert!(page.contains("movie_service_streams_open 0"), "{page}");
    }

    #[test]
    fn a_flood_of_bad_calls_leaves_room_for_a_fault_of_ours() {
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
        // The thousand take a moment, and may meet the next second.
        assert!((LINES as usize..1000).contains(&bad), "{bad} lines");
        assert!(lines.iter().any(|line| line.contains("disk on fire")));
    }

    #[test]
    fn what_a_flood_left_out_is_told_when_it_is_over() {
        let observer = observer();
        let lines = logged(Level::INFO, || {
            for _ in 0..LINES + 5 {
                begin(&observer).end(Code::NotFound, "");
            }
            observer.0.shared.tell_left_out(Instant::now() + Duration::from_secs(1));
        });
        let told = lines.iter().filter(|line| line.contains("left_out=5")).count();
        assert_eq!(told, 1, "{lines:?}");
    }

    #[test]
    fn calls_are_traced_but_for_health_checks() {
        let kept = Kept::default();
        let observer = Observer::new(Metrics::off(), Some(kept.tracer()));
        for path in ["/Movie/GetMovieByID", "/grpc.health.v1.Health/Check", "/no/such"] {
            observer.begin(Rpc::find(path), &HeaderMap::new(), Instant::now()).end(Code::Ok, "");
        }
        let names: Vec<_> = kept.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["Movie/GetMovieByID", "other"]);
    }
}
