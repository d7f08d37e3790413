//! The contract told to those who ask, by gRPC server reflection.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>

use tonic_reflection::server::{Builder, Error, v1, v1alpha};

/// Returns what answers the calls of `grpc.reflection.v1` and, for older tools, of `grpc.reflection.v1alpha`.
///
/// They tell of the services of `movie_proto`, of themselves, and of `grpc.health.v1` if that is served, too.
///
/// # Errors
///
/// If a committed descriptor set does not hold one; a test shows that they do.
pub fn services(
    health: bool,
) -> Result<
    (
        v1::ServerReflectionServer<impl v1::ServerReflection>,
        v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>,
    ),
    Error,
> {
    let builder = || {
        let builder =
            Builder::configure().register_encoded_file_descriptor_set(movie_proto::FILE_DESCRIPTOR_SET);
        if health {
            builder.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        } else {
            builder
        }
    };
    Ok((builder().build_v1()?, builder().build_v1alpha()?))
}

#[cfg(test)]
mod tests {
    use tokio_stream::{StreamExt, iter};
    use tonic_reflection::pb;

    use super::*;

    /// Makes a test that asks for the services, and for the file of one, by one version of the protocol.
    macro_rules! asks {
        ($name:ident, $version:ident, $service:tt) => {
            #[tokio::test]
            async fn $name() {
                use pb::$version::server_reflection_client::ServerReflectionClient;
                use pb::$version::server_reflection_request::MessageRequest;
                use pb::$version::server_reflection_response::MessageResponse;
                use pb::$version::{FileDescriptorResponse, ServerReflectionRequest};

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
                    let mut client = ServerReflectionClient::new(services(health).unwrap().$service);
                    let answers = client.server_reflection_info(iter(requests)).await.unwrap().into_inner();
                    let mut answers = answers.map(|answer| answer.unwrap().message_response.unwrap());

                    let Some(MessageResponse::ListServicesResponse(list)) = answers.next().await else {
                        panic!("no list of services");
                    };
                    let mut names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
                    names.sort_unstable();
                    let own = concat!("grpc.reflection.", stringify!($version), ".ServerReflection");
                    let mut expected = [vec!["Movie", own], others].concat();
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
