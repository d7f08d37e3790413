//! The spans that the service sends to a collector.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use movie_proto::MovieId;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::databases::database;
use crate::support::process::{Service, command};

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than any test runs, in milliseconds.
const NEVER: &str = "3600000";

/// Receives spans and hands them to the test.
struct Collector {
    address: SocketAddr,
    received: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

struct Receiver(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(Receiver(sender)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self { address, received }
    }

    /// Returns the attributes of the service and the next spans that arrive.
    async fn next(&mut self) -> (Vec<KeyValue>, Vec<Span>) {
        let request = tokio::time::timeout(TIMEOUT, self.received.recv()).await.unwrap().unwrap();
        let resource = request.resource_spans[0].resource.clone().unwrap().attributes;
        let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        (resource, scopes.flat_map(|scope| scope.spans).collect())
    }
}

/// Returns the command that runs the service with a collector.
fn with_collector(address: SocketAddr) -> Command {
    let mut command = command(&database("movies.json"));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
    command
}

/// Returns a request for a movie.
fn movie() -> Request<MovieId> {
    Request::new(MovieId { id: "1".into() })
}

/// Returns the value of an attribute.
fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.into())
}

#[tokio::test]
async fn a_call_is_a_span_in_the_trace_of_its_caller() {
    let mut collector = Collector::start().await;
    let service = Service::run(with_collector(collector.address).env("OTEL_BSP_SCHEDULE_DELAY", "50"));
    let mut request = movie();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    service.stub().await.get_movie_by_id(request).await.unwrap();

    let (resource, spans) = collector.next().await;
    assert_eq!(attribute(&resource, "service.name"), Some(&text("movie-service")));
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!((span.name.as_str(), span.kind()), ("Movie/GetMovieByID", SpanKind::Server));
    assert_eq!(attribute(&span.attributes, "rpc.system"), Some(&text("grpc")));
    assert_eq!(attribute(&span.attributes, "rpc.service"), Some(&text("Movie")));
    assert_eq!(attribute(&span.attributes, "rpc.method"), Some(&text("GetMovieByID")));
    assert_eq!(attribute(&span.attributes, "rpc.grpc.status_code"), Some(&Value::IntValue(0)));
}

#[cfg(unix)]
#[tokio::test]
async fn the_last_spans_are_sent_at_shutdown_without_health_checks() {
    let mut collector = Collector::start().await;
    let mut command = with_collector(collector.address);
    let mut service =
        Service::run(command.env("OTEL_BSP_SCHEDULE_DELAY", NEVER).env("OTEL_SERVICE_NAME", "films"));
    let channel = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    health.check(HealthCheckRequest::default()).await.unwrap();
    service.stub().await.get_movie_by_id(movie()).await.unwrap();
    service.signal("TERM");
    assert!(service.wait().await.success());

    let (resource, spans) = collector.next().await;
    assert_eq!(attribute(&resource, "service.name"), Some(&text("films")));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["Movie/GetMovieByID"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_collector_that_never_responds_delays_neither_calls_nor_shutdown() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut command = with_collector(silent.local_addr().unwrap());
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", NEVER).env("OTEL_BSP_SCHEDULE_DELAY", "10");
    let mut service = Service::run(&mut command);
    let mut stub = service.stub().await;
    stub.get_movie_by_id(movie()).await.unwrap();
    // Now the service waits for a response of the collector.
    let _connection = silent.accept().await.unwrap();
    stub.get_movie_by_id(movie()).await.unwrap();
    service.signal("TERM");
    assert!(service.wait().await.success());
}

#[cfg(unix)]
#[tokio::test]
async fn no_spans_are_sent_if_tracing_is_disabled() {
    let mut collector = Collector::start().await;
    let mut service = Service::run(with_collector(collector.address).env("OTEL_SDK_DISABLED", "true"));
    service.stub().await.get_movie_by_id(movie()).await.unwrap();
    service.signal("TERM");
    assert!(service.wait().await.success());
    assert!(collector.received.try_recv().is_err());
}

#[test]
fn an_unsupported_protocol_is_warned_of_by_the_name_of_its_variable() {
    let mut command = with_collector("127.0.0.1:4318".parse().unwrap());
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let early = Service::run(&mut command).early_lines.concat();
    assert!(early.contains("WARN"), "{early}");
    assert!(early.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `http/protobuf`"), "{early}");
}
