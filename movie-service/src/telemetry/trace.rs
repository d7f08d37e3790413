//! Spans, sent to an OpenTelemetry collector.
//!
//! Set up by the environment variables of the
//! [OpenTelemetry specification](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/);
//! a span says what the
//! [conventions for gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/) have it say.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer as _, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData};
use thiserror::Error;
use tokio::runtime;
use tokio::sync::oneshot;
use tonic::Code;
use tracing::{info, warn};

/// The name of the service if `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` give none.
const SERVICE: &str = "movie-service";

const SERVICE_NAME: Key = Key::from_static_str("service.name");

/// How long [`Traces::flush`] waits for the collector. A stop must not take long because the collector is away.
const FLUSH: Duration = Duration::from_millis(500);

/// Why spans cannot be sent.
#[derive(Debug, Error)]
pub enum TraceError {
    /// A variable asks for what is not built in.
    #[error("{variable} is `{value}`, but {expected}")]
    Unsupported {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        expected: &'static str,
    },
    /// Another of the variables cannot be understood.
    #[error("cannot send traces; see the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[source] ExporterBuildError),
    /// The operating system refused a thread.
    #[error("cannot start the thread that sends traces")]
    Thread(#[source] io::Error),
}

/// Sends spans to the collector, on threads of its own.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    /// Dropped, it ends the thread that has the connection to the collector.
    _sending: oneshot::Sender<()>,
}

impl Traces {
    /// Starts to send spans if the `OTEL_*` variables say where to.
    ///
    /// # Errors
    ///
    /// If they say what cannot be done.
    pub fn from_env() -> Result<Option<Self>, TraceError> {
        let var = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if is_wanted(var)? { Self::start().map(Some) } else { Ok(None) }
    }

    fn start() -> Result<Self, TraceError> {
        let (sending, stopped) = oneshot::channel::<()>();
        let (ready, built) = mpsc::channel();
        // The connection needs a runtime, and the threads that serve calls are to be left alone. Not that of `main`
        // either: it waits in `flush`.
        thread::Builder::new()
            .name("traces".into())
            .spawn(move || {
                let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(TraceError::Thread(error)))),
                };
                let provider = {
                    let _entered = runtime.enter();
                    provider()
                };
                if ready.send(provider.map_err(TraceError::Exporter)).is_ok() {
                    // It ends when the sender is dropped: nothing is ever sent.
                    let _ = runtime.block_on(stopped);
                }
            })
            .map_err(TraceError::Thread)?;
        let ended = |_| TraceError::Thread(io::Error::other("it ended at once"));
        Ok(Self { provider: built.recv().map_err(ended)??, _sending: sending })
    }

    /// Returns what makes spans.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        Tracer(self.provider.tracer(SERVICE))
    }

    /// Sends the last spans, for at most half a second. Blocks; for the end of the process.
    pub fn flush(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            warn!(%error, "the last traces may be lost");
        }
    }
}

/// Returns whether spans are to be sent, as the variables that `var` reads have it.
fn is_wanted(var: impl Fn(&str) -> Option<String>) -> Result<bool, TraceError> {
    // The specification has an empty variable stand for one that is not set.
    let var = |name: &'static str| var(name).filter(|value| !value.is_empty()).map(|value| (name, value));
    let first = |names: [&'static str; 2]| names.into_iter().find_map(var);
    let unsupported =
        |(variable, value), expected| Err(TraceError::Unsupported { variable, value, expected });

    let endpoint = first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let disabled = var("OTEL_SDK_DISABLED").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    let (Some(endpoint), false) = (endpoint, disabled) else { return Ok(false) };
    match var("OTEL_TRACES_EXPORTER") {
        Some((_, value)) if value == "none" => return Ok(false),
        Some(other) if other.1 != "otlp" => return unsupported(other, "expected `otlp` or `none`"),
        Some(_) | None => {}
    }
    match first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
        Some(other) if other.1 != "grpc" => unsupported(other, "only `grpc` is built in"),
        _ if endpoint.1.starts_with("https:") => unsupported(
            endpoint,
            "TLS to the collector is not built in: give the http:// address of a collector near the service",
        ),
        _ => Ok(true),
    }
}

/// Builds what takes spans, batches them and sends the batches. Must be called in the context of the runtime that
/// is to have the connection.
fn provider() -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder().build();
    if resource.get(&SERVICE_NAME).is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        resource = Resource::builder().with_service_name(SERVICE).build();
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(Reporting { exporter, failing: AtomicBool::new(false) })
        .with_resource(resource)
        .build())
}

/// Says in the log when spans cannot be sent, once, and when they can again.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match (&sent, self.failing.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => warn!(%error, "cannot send traces for now"),
            (Ok(()), true) => info!("traces are sent again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Makes the spans of calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer(SdkTracer);

/// The span of a call.
pub(super) struct CallSpan(Box<opentelemetry_sdk::trace::Span>);

impl Tracer {
    /// Starts the span of a call to `method`, such as `Movie/GetMovieByID`, in the trace of its caller if its
    /// headers name one as W3C's "Trace Context" has it. `None` if this trace is not to be recorded.
    pub(super) fn start(
        &self,
        method: &'static str,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Option<CallSpan> {
        // Not from the context of this thread: calls take turns on it.
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let mut attributes = vec![KeyValue::new("rpc.system", "grpc")];
        if let Some((service, method)) = method.rsplit_once('/') {
            attributes.push(KeyValue::new("rpc.service", service));
            attributes.push(KeyValue::new("rpc.method", method));
        }
        if let Some(peer) = peer {
            attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
            attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
        }
        let builder = self.0.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.0.build_with_context(builder, &parent);
        span.is_recording().then(|| CallSpan(Box::new(span)))
    }
}

impl CallSpan {
    /// Ends the span.
    pub(super) fn end(mut self, code: Code, message: &str) {
        self.0.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code as i32)));
        if is_server_error(code) {
            self.0.set_status(Status::error(message.to_owned()));
        }
        self.0.end();
    }
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallSpan").field(self.0.span_context()).finish()
    }
}

/// Returns whether the conventions have a server's span of this code be an error.
fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The headers of a call, for the propagator.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::Value;
    use opentelemetry::trace::{SpanId, TraceId};

    use super::*;

    /// Keeps the spans that end.
    #[derive(Clone, Debug, Default)]
    pub(in crate::telemetry) struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl Kept {
        /// Returns a tracer whose spans are kept.
        pub(in crate::telemetry) fn tracer(&self) -> Tracer {
            let provider = SdkTracerProvider::builder().with_simple_exporter(self.clone()).build();
            Tracer(provider.tracer(SERVICE))
        }

        /// Returns the spans that ended, oldest first.
        pub(in crate::telemetry) fn spans(&self) -> Vec<SpanData> {
            self.0.lock().unwrap().clone()
        }
    }

    /// Returns what `is_wanted` makes of variables.
    fn wanted(variables: &[(&str, &str)]) -> Result<bool, String> {
        is_wanted(|name| {
            variables.iter().find(|variable| variable.0 == name).map(|variable| variable.1.to_owned())
        })
        .map_err(|error| error.to_string())
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn spans_are_sent_only_if_an_endpoint_is_named_and_nothing_switches_them_off() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        assert_eq!(wanted(&[]), Ok(false));
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(false));
        assert_eq!(wanted(&[endpoint]), Ok(true));
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.1)]), Ok(true));
        assert_eq!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "True")]), Ok(false));
        assert_eq!(wanted(&[endpoint, ("OTEL_SDK_DISABLED", "false")]), Ok(true));
        assert_eq!(wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
        assert_eq!(wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "otlp")]), Ok(true));
        assert_eq!(wanted(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), Ok(true));
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_the_name_of_its_variable() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        for variables in [
            &[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")],
            &[("", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317")],
        ] {
            let (variable, value) = variables[1];
            let error = wanted(variables).unwrap_err();
            assert!(error.starts_with(&format!("{variable} is `{value}`, but ")), "{error}");
        }
    }

    #[test]
    fn a_call_continues_its_caller_s_trace_and_says_what_the_conventions_ask() {
        let kept = Kept::default();
        let headers = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
        let peer = "192.0.2.1:4000".parse().unwrap();
        let span = kept.tracer().start("Movie/GetMovieByID", &headers, Some(peer)).unwrap();
        span.end(Code::Internal, "disk on fire");

        let spans = kept.spans();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.name, "Movie/GetMovieByID");
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(
            span.span_context.trace_id(),
            TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap()
        );
        assert_eq!(span.parent_span_id, SpanId::from_hex("00f067aa0ba902b7").unwrap());
        assert_eq!(span.status, Status::error("disk on fire"));
        let said = |key: &str| {
            span.attributes.iter().find(|said| said.key.as_str() == key).map(|said| said.value.clone())
        };
        assert_eq!(said("rpc.system"), Some("grpc".into()));
        assert_eq!(said("rpc.service"), Some("Movie".into()));
        assert_eq!(said("rpc.method"), Some("GetMovieByID".into()));
        assert_eq!(said("rpc.grpc.status_code"), Some(Value::I64(13)));
        assert_eq!(said("network.peer.address"), Some("192.0.2.1".into()));
    }

    #[test]
    fn a_caller_s_mistake_is_no_error_of_the_span() {
        let kept = Kept::default();
        let span = kept.tracer().start("Movie/GetMovieByID", &HeaderMap::new(), None).unwrap();
        span.end(Code::InvalidArgument, "no such thing");
        assert_eq!(kept.spans()[0].status, Status::Unset);
    }

    #[test]
    fn a_trace_that_its_caller_does_not_record_is_not_recorded() {
        let headers = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
        assert!(Kept::default().tracer().start("Movie/GetMovieByID", &headers, None).is_none());
    }

    #[test]
    fn a_header_that_is_no_trace_starts_a_new_one() {
        for bad in ["", "00-zz-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736"] {
            let kept = Kept::default();
            let span = kept.tracer().start("Movie/GetMovieByID", &headers(&[("traceparent", bad)]), None);
            span.unwrap().end(Code::Ok, "");
            let spans = kept.spans();
            assert_eq!(spans[0].parent_span_id, SpanId::INVALID, "{bad:?}");
            assert_ne!(spans[0].span_context.trace_id(), TraceId::INVALID, "{bad:?}");
        }
    }
}
