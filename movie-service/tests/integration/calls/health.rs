//! `grpc.health.v1`.

use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::databases::database;
use crate::support::process::{Service, command};

async fn client(service: &Service) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn the_server_and_each_service_are_serving_once_the_start_line_is_logged() {
    let service = Service::start("movies.json");
    let mut client = client(&service).await;
    for name in ["", "Movie"] {
        assert_eq!(
            client.check(of(name)).await.unwrap().into_inner().status(),
            ServingStatus::Serving,
            "{name}"
        );
    }
    assert_eq!(client.check(of("Nope")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_watch_reports_the_shutdown_and_does_not_delay_it() {
    let mut service = Service::start("movies.json");
    let mut client = client(&service).await;
    let mut watch = client.watch(of("Movie")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    service.signal("TERM");
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    assert!(service.wait().await.success());
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let service = Service::run(command(&database("movies.json")).args(["--health", "off"]));
    let error = client(&service).await.check(of("")).await.unwrap_err();
    // The same status as for an RPC that does not exist.
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unimplemented, "this service has no RPC with the path `/grpc.health.v1.Health/Check`")
    );
}
