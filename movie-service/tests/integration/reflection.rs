//! gRPC server reflection.

use tokio_stream::once;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_reflection::pb;

use crate::process::{Service, command, database};

async fn connect(service: &Service) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    endpoint.connect().await.unwrap()
}

/// Makes a function that asks for the names of the services, by one version of the protocol.
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
            let mut answers = client.server_reflection_info(once(request)).await?.into_inner();
            match answers.message().await?.unwrap().message_response.unwrap() {
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
async fn both_versions_tell_of_the_services() {
    let service = Service::start("movies.json");
    let channel = connect(&service).await;
    for names in [list_v1(channel.clone()).await, list_v1alpha(channel).await] {
        let names = names.unwrap();
        for name in ["Movie", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|listed| listed == name), "{name} is missing: {names:?}");
        }
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_told_of() {
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
