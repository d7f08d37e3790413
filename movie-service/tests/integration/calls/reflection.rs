//! gRPC server reflection.

use tokio_stream::{iter, once};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_reflection::pb;

use crate::support::databases::database;
use crate::support::process::{Service, command};

/// The reflection services of both versions of the protocol.
const OWN: [&str; 2] = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

async fn connect(service: &Service) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    endpoint.connect().await.unwrap()
}

/// Defines a function that lists the services, with one version of the protocol.
macro_rules! lists {
    ($name:ident, $version:ident) => {
        async fn $name(channel: Channel) -> Result<Vec<String>, Status> {
            use pb::$version::ServerReflectionRequest;
            use pb::$version::server_reflection_client::ServerReflectionClient;
            use pb::$version::server_reflection_request::MessageRequest;
            use pb::$version::server_reflection_response::MessageResponse;

            let message_request = Some(MessageRequest::ListServices(String::new()));
            let request = ServerReflectionRequest { host: String::new(), message_request };
            let mut client = ServerReflectionClient::new(channel);
            let mut responses = client.server_reflection_info(once(request)).await?.into_inner();
            match responses.message().await?.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    Ok(list.service.into_iter().map(|service| service.name).collect())
                }
                other => panic!("no list of services: {other:?}"),
            }
        }
    };
}

lists!(list_v1, v1);
lists!(list_v1alpha, v1alpha);

#[tokio::test]
async fn both_versions_list_the_services() {
    let service = Service::start("movies.json");
    let channel = connect(&service).await;
    for names in [list_v1(channel.clone()).await, list_v1alpha(channel).await] {
        let names = names.unwrap();
        for name in ["Movie", "movie.catalog.v1.MovieCatalog", "grpc.health.v1.Health"].iter().chain(&OWN) {
            assert!(names.iter().any(|listed| listed == name), "{name} is missing: {names:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_symbol_does_not_end_the_stream() {
    use pb::v1::server_reflection_client::ServerReflectionClient;
    use pb::v1::server_reflection_request::MessageRequest;
    use pb::v1::server_reflection_response::MessageResponse;
    use pb::v1::{ErrorResponse, ServerReflectionRequest};

    let service = Service::start("movies.json");
    let requests = ["no.such.Symbol", "google.rpc.ErrorInfo"].map(|symbol| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(symbol.into())),
    });
    let mut client = ServerReflectionClient::new(connect(&service).await);
    let mut responses = client.server_reflection_info(iter(requests)).await.unwrap().into_inner();
    let unknown = responses.message().await.unwrap().unwrap().message_response.unwrap();
    let expected =
        ErrorResponse { error_code: 5, error_message: "no symbol `no.such.Symbol` is served".into() };
    assert_eq!(unknown, MessageResponse::ErrorResponse(expected));
    let known = responses.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(known, MessageResponse::FileDescriptorResponse(_)), "{known:?}");
    assert_eq!(responses.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_disabled_service_is_not_listed() {
    let service = Service::run(command(&database("movies.json")).args(["--health", "off"]));
    let names = list_v1(connect(&service).await).await.unwrap();
    assert!(!names.iter().any(|name| name.contains("health")), "{names:?}");
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let service = Service::run(command(&database("movies.json")).args(["--reflection", "off"]));
    let channel = connect(&service).await;
    for names in [list_v1(channel.clone()).await, list_v1alpha(channel).await] {
        assert_eq!(names.unwrap_err().code(), Code::Unimplemented);
    }
}
