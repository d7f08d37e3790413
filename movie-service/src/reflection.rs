//! The contract told to those who ask, by gRPC server reflection.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::{Builder, Error};
use tower::util::BoxCloneSyncService;

/// Answers the calls of one version of the protocol.
pub type Reflection = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Returns each version of the protocol, by the name of its service: version 1, and 1 alpha for older tools.
///
/// They tell of the services of `movie_proto`, of themselves, and of `grpc.health.v1` if `health` says that it is
/// served.
///
/// # Errors
///
/// If a descriptor set that is part of the program is none; a test shows that each is one.
pub fn services(health: bool) -> Result<[(&'static str, Reflection); 2], Error> {
    let builder = || {
        let builder =
            Builder::configure().register_encoded_file_descriptor_set(movie_proto::FILE_DESCRIPTOR_SET);
        if health {
            builder.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        } else {
            builder
        }
    };
    Ok([
        (v1::server_reflection_server::SERVICE_NAME, Reflection::new(builder().build_v1()?)),
        (v1alpha::server_reflection_server::SERVICE_NAME, Reflection::new(builder().build_v1alpha()?)),
    ])
}

#[cfg(test)]
mod tests {
    use tokio_stream::{StreamExt, iter};

    use super::*;

    /// Makes a test that asks for the services, and for the file of one, by one version of the protocol.
    macro_rules! asks {
        ($name:ident, $version:ident, $at:literal) => {
            #[tokio::test]
            async fn $name() {
                use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
                use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
                use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
                use tonic_reflection::pb::$version::{FileDescriptorResponse, ServerReflectionRequest};

                for (health, others) in [(false, vec![]), (true, vec!["grpc.health.v1.Health"])] {
                    let requests = [
                        MessageRequest::ListServices(String::new()),
                        MessageRequest::FileContainingSymbol("Movie.GetMovieByID".into()),
                        MessageRequest::FileContainingSymbol("MovieData".into()),
                    ]
                    .map(|request| ServerReflectionRequest {
                        host: String::new(),
                        message_request: Some(request),
                    });
                    let mut client = ServerReflectionClient::new(services(health).unwrap()[$at].1.clone());
                    let answers = client.server_reflection_info(iter(requests)).await.unwrap().into_inner();
                    let mut answers = answers.map(|answer| answer.unwrap().message_response.unwrap());

                    let Some(MessageResponse::ListServicesResponse(list)) = answers.next().await else {
                        panic!("no list of services");
                    };
                    let mut names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
                    names.sort_unstable();
                    let own = concat!("grpc.reflection.", stringify!($version), ".ServerReflection");
                    assert_eq!(services(health).unwrap()[$at].0, own);
                    let mut expected = [vec!["Movie", "movie.catalog.v1.MovieCatalog", own], others].concat();
                    expected.sort_unstable();
                    assert_eq!(names, expected);

                    for _ in 0..2 {
                        let Some(MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                            file_descriptor_proto,
                        })) = answers.next().await
                        else {
                            panic!("no file");
                        };
                        let [file] = &*file_descriptor_proto else { panic!("not one file") };
                        // The set holds the file as it is.
                        let set = movie_proto::FILE_DESCRIPTOR_SET;
                        assert!(set.windows(file.len()).any(|part| part == file));
                    }
                }
            }
        };
    }

    asks!(version_1_tells_of_what_is_served, v1, 0);
    asks!(version_1_alpha_tells_of_what_is_served, v1alpha, 1);
}
