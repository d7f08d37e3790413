//! Spans of calls, exported to an OpenTelemetry collector.
//!
//! Configured by the environment variables of the
//! [OpenTelemetry specification](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/);
//! spans have the attributes of the
//! [conventions for gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).

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

/// Service name if `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` give none.
const SERVICE: &str = "movie-service";

const SERVICE_NAME: Key = Key::from_static_str("service.name");

/// Maximum time that [`Traces::flush`] waits. An unreachable collector must not delay a stop.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Error of setting up the export of spans.
#[derive(Debug, Error)]
pub enum TraceError {
    /// A variable has a value that is not supported.
    #[error("{variable} is `{value}`, but {expected}")]
    Unsupported {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is supported.
        expected: &'static str,
    },
    /// Another variable is invalid.
    #[error("cannot send traces; see the variables OTEL_EXPORTER_OTLP_*")]
    Exporter(#[source] ExporterBuildError),
    /// The thread could not be started.
    #[error("cannot start the thread that sends traces")]
    Thread(#[source] io::Error),
}

/// Exports spans to the collector, on separate threads.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    /// Dropping it ends the thread that holds the connection to the collector.
    _stop: oneshot::Sender<()>,
}

impl Traces {
    /// Starts exporting spans if the `OTEL_*` variables name an endpoint.
    ///
    /// # Errors
    ///
    /// [`TraceError`] if a variable has an unsupported value or the export cannot be set up.
    pub fn from_env() -> Result<Option<Self>, TraceError> {
        let var = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if is_wanted(var)? { Self::start().map(Some) } else { Ok(None) }
    }

    fn start() -> Result<Self, TraceError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, built) = mpsc::channel();
        // The connection needs its own runtime: the runtimes of the workers serve calls, and the runtime of `main` is
        // blocked in `flush`.
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
                    // Ends when `stop` is dropped.
                    let _ = runtime.block_on(stopped);
                }
            })
            .map_err(TraceError::Thread)?;
        let ended = |_| TraceError::Thread(io::Error::other("the thread ended at once"));
        Ok(Self { provider: built.recv().map_err(ended)??, _stop: stop })
    }

    /// Returns a tracer, which creates spans.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        Tracer(self.provider.tracer(SERVICE))
    }

    /// Exports the last spans, for at most half a second. Blocks; to be called at the end of the process.
    pub fn flush(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            warn!(%error, "the last traces may be lost");
        }
    }
}

/// Returns whether the variables, which `var` reads, turn the export of spans on.
fn is_wanted(var: impl Fn(&str) -> Option<String>) -> Result<bool, TraceError> {
    // By the specification, an empty variable counts as unset.
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

/// Builds the provider, which batches spans and exports the batches. Must be called in the context of the runtime
/// that will have the connection.
fn provider() -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let mut resource = Resource::builder().build();
    if resource.get(&SERVICE_NAME).is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        resource = Resource::builder().with_service_name(SERVICE).build();
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(LoggingExporter { exporter, is_failing: AtomicBool::new(false) })
        .with_resource(resource)
        .build())
}

/// Logs when exporting spans begins to fail, and when it succeeds again.
#[derive(Debug)]
struct LoggingExporter<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter
    for LoggingExporter<E>
{
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match (&sent, self.is_failing.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => warn!(%error, "cannot export traces; trying again with the next spans"),
            (Ok(()), true) => info!("traces are exported again"),
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

/// Creates the spans of calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer(SdkTracer);

/// The span of a call.
pub(super) struct CallSpan(Box<opentelemetry_sdk::trace::Span>);

impl Tracer {
    /// Starts the span of a call to `method`, such as `Movie/GetMovieByID`. It continues the caller's trace if the headers
    /// have one (W3C Trace Context). Returns `None` if the trace is not recorded.
    pub(super) fn start(
        &self,
        method: &'static str,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Option<CallSpan> {
        // Not the context of this thread, because many calls share the thread.
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
        if is_span_error(code) {
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

/// Returns whether a server span with this code is an error by the conventions for gRPC.
fn is_span_error(code: Code) -> bool {
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

    /// Collects exported spans.
    #[derive(Clone, Debug, Default)]
    pub(in crate::telemetry) struct ExportedSpans(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for ExportedSpans {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl ExportedSpans {
        /// Returns a tracer that exports to this collection.
        pub(in crate::telemetry) fn tracer(&self) -> Tracer {
            let provider = SdkTracerProvider::builder().with_simple_exporter(self.clone()).build();
            Tracer(provider.tracer(SERVICE))
        }

        /// Returns the spans in the order of their ends.
        pub(in crate::telemetry) fn spans(&self) -> Vec<SpanData> {
            self.0.lock().unwrap().clone()
        }
    }

    /// Calls `is_wanted` with these variables.
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
    fn spans_are_exported_only_if_an_endpoint_is_set_and_tracing_is_not_disabled() {
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
    fn an_unsupported_value_is_refused_with_the_name_of_its_variable() {
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
    fn a_span_continues_the_caller_s_trace_and_has_the_conventional_attributes() {
        let exported = ExportedSpans::default();
        let headers = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
        let peer = "192.0.2.1:4000".parse().unwrap();
        let span = exported.tracer().start("Movie/GetMovieByID", &headers, Some(peer)).unwrap();
        span.end(Code::Internal, "disk on fire");

        let spans = exported.spans();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.name, "Movie/GetMovieByID");
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(
            span.span_context.trace_id(),
            TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap()
        );
        assert_eq!(span.parent_span_id, SpanId::from_hex("00f067aa0ba902b7").unwrap());
        assert_eq!(span.status, Status::error("disk on fire"));
        let attribute = |key: &str| {
            span.attributes
                .iter()
                .find(|attribute| attribute.key.as_str() == key)
                .map(|found| found.value.clone())
        };
        assert_eq!(attribute("rpc.system"), Some("grpc".into()));
        assert_eq!(attribute("rpc.service"), Some("Movie".into()));
        assert_eq!(attribute("rpc.method"), Some("GetMovieByID".into()));
        assert_eq!(attribute("rpc.grpc.status_code"), Some(Value::I64(13)));
        assert_eq!(attribute("network.peer.address"), Some("192.0.2.1".into()));
    }

    #[test]
    fn a_client_error_is_not_an_error_of_the_span() {
        let exported = ExportedSpans::default();
        let span = exported.tracer().start("Movie/GetMovieByID", &HeaderMap::new(), None).unwrap();
        span.end(Code::InvalidArgument, "no such thing");
        assert_eq!(exported.spans()[0].status, Status::Unset);
    }

    #[test]
    fn an_unsampled_trace_is_not_recorded() {
        let headers = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
        assert!(ExportedSpans::default().tracer().start("Movie/GetMovieByID", &headers, None).is_none());
    }

    #[test]
    fn an_invalid_trace_header_starts_a_new_trace() {
        for bad in ["", "00-zz-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736"] {
            let exported = ExportedSpans::default();
            let span = exported.tracer().start("Movie/GetMovieByID", &headers(&[("traceparent", bad)]), None);
            span.unwrap().end(Code::Ok, "");
            let spans = exported.spans();
            assert_eq!(spans[0].parent_span_id, SpanId::INVALID, "{bad:?}");
            assert_ne!(spans[0].span_context.trace_id(), TraceId::INVALID, "{bad:?}");
        }
    }
}
