//! gRPC server reflection: the descriptors of the services, for tools.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use prost_reflect::{DescriptorError, DescriptorPool, FileDescriptor};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server::{ServerReflection, ServerReflectionServer};
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use tonic_reflection::pb::{v1, v1alpha};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// The RPC of version 1.
const V1_INFO: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The RPC of version 1 alpha. Its messages equal those of version 1.
const V1ALPHA_INFO: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// The reflection service, in version 1 and, for older tools, 1 alpha.
pub type Reflection = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Returns the reflection service. It describes the services of `movie_proto`, itself and, if `health` is true,
/// `grpc.health.v1`.
///
/// # Errors
///
/// If a built-in descriptor set is invalid; a test checks all of them.
pub fn service(health: bool) -> Result<Reflection, DescriptorError> {
    let mut pool = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET)?;
    pool.decode_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)?;
    pool.decode_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)?;
    if health {
        pool.decode_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
    }
    let server = ServerReflectionServer::new(ReflectionServicer::new(pool));
    let as_v1 = |mut request: Request<Body>| {
        if request.uri().path() == V1ALPHA_INFO {
            *request.uri_mut() = Uri::from(PathAndQuery::from_static(V1_INFO));
        }
        request
    };
    Ok(Reflection::new(server.map_request(as_v1)))
}

/// Looks up descriptors in a pool. An unknown name yields an error response; the stream continues.
struct ReflectionServicer(Arc<Descriptors>);

/// Descriptors, and the file that declares each symbol.
struct Descriptors {
    pool: DescriptorPool,
    symbols: HashMap<String, FileDescriptor>,
}

impl ReflectionServicer {
    fn new(pool: DescriptorPool) -> Self {
        let symbols = symbols(&pool);
        Self(Arc::new(Descriptors { pool, symbols }))
    }
}

#[tonic::async_trait]
impl ServerReflection for ReflectionServicer {
    type ServerReflectionInfoStream =
        Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: tonic::Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<tonic::Response<Self::ServerReflectionInfoStream>, Status> {
        let descriptors = self.0.clone();
        let responses = request.into_inner().map(move |request| Ok(descriptors.respond(request?)));
        Ok(tonic::Response::new(Box::pin(responses)))
    }
}

impl Descriptors {
    fn respond(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let response = request
            .message_request
            .as_ref()
            .ok_or_else(|| {
                error(
                    Code::InvalidArgument,
                    "the request is empty, expected one of the fields of `message_request`".to_owned(),
                )
            })
            .and_then(|request| self.find(request));
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(response.unwrap_or_else(MessageResponse::ErrorResponse)),
        }
    }

    fn find(&self, request: &MessageRequest) -> Result<MessageResponse, ErrorResponse> {
        let (file, subject) = match request {
            MessageRequest::ListServices(_) => {
                let names = self.pool.services().map(|service| service.full_name().to_owned());
                let service = names.map(|name| ServiceResponse { name }).collect();
                return Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }));
            }
            MessageRequest::AllExtensionNumbersOfType(name) => {
                let message = self.pool.get_message_by_name(name);
                let message = message.ok_or_else(|| not_found(&format!("message `{name}`")))?;
                let numbers = message.extensions().filter_map(|extension| extension.number().try_into().ok());
                return Ok(MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                    extension_number: numbers.collect(),
                    base_type_name: name.clone(),
                }));
            }
            MessageRequest::FileByFilename(name) => {
                (self.pool.get_file_by_name(name), format!("file `{name}`"))
            }
            MessageRequest::FileContainingSymbol(name) => {
                (self.symbols.get(name).cloned(), format!("symbol `{name}`"))
            }
            MessageRequest::FileContainingExtension(extension) => {
                let (name, number) = (&extension.containing_type, extension.extension_number);
                let number_of = u32::try_from(number).ok();
                let file =
                    self.pool.get_message_by_name(name).zip(number_of).and_then(|(message, number)| {
                        message.get_extension(number).map(|extension| extension.parent_file())
                    });
                (file, format!("extension {number} of `{name}`"))
            }
        };
        // Returns only the file itself: tools request the imports that they lack.
        let file = file.ok_or_else(|| not_found(&subject))?.encode_to_vec();
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![file],
        }))
    }
}

fn not_found(subject: &str) -> ErrorResponse {
    error(Code::NotFound, format!("no {subject} is served"))
}

fn error(code: Code, error_message: String) -> ErrorResponse {
    ErrorResponse { error_code: code.into(), error_message }
}

/// Maps the full name of each symbol to the file that declares it: messages, their fields and oneofs, enums and their
/// values, services and their methods, and extensions.
fn symbols(pool: &DescriptorPool) -> HashMap<String, FileDescriptor> {
    let mut symbols = HashMap::new();
    let mut declare = |name: &str, file: &FileDescriptor| symbols.insert(name.to_owned(), file.clone());
    for message in pool.all_messages() {
        let file = message.parent_file();
        declare(message.full_name(), &file);
        for field in message.fields() {
            declare(field.full_name(), &file);
        }
        for oneof in message.oneofs() {
            declare(oneof.full_name(), &file);
        }
    }
    for enumeration in pool.all_enums() {
        let file = enumeration.parent_file();
        declare(enumeration.full_name(), &file);
        for value in enumeration.values() {
            declare(value.full_name(), &file);
        }
    }
    for service in pool.services() {
        let file = service.parent_file();
        declare(service.full_name(), &file);
        for method in service.methods() {
            declare(method.full_name(), &file);
        }
    }
    for extension in pool.all_extensions() {
        declare(extension.full_name(), &extension.parent_file());
    }
    symbols
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::Value;
    use prost_types::FileDescriptorProto;
    use tokio_stream::iter;
    use tonic_reflection::pb::v1::ExtensionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

    use super::*;

    /// Sends requests in one stream, and returns their responses.
    async fn request(requests: Vec<MessageRequest>) -> Vec<MessageResponse> {
        let requests: Vec<_> = requests
            .into_iter()
            .map(|request| ServerReflectionRequest { host: "here".into(), message_request: Some(request) })
            .collect();
        let service = service(true).unwrap();
        let mut client = ServerReflectionClient::new(service);
        let responses = client.server_reflection_info(iter(requests.clone())).await.unwrap().into_inner();
        let responses: Vec<_> = responses.map(Result::unwrap).collect().await;
        assert_eq!(responses.len(), requests.len());
        let response = |(request, response): (_, ServerReflectionResponse)| {
            assert_eq!((response.valid_host.as_str(), response.original_request), ("here", Some(request)));
            response.message_response.unwrap()
        };
        requests.into_iter().zip(responses).map(response).collect()
    }

    /// Returns the name of the only file of a response.
    fn file(response: &MessageResponse) -> String {
        let MessageResponse::FileDescriptorResponse(files) = response else { panic!("{response:?}") };
        let [file] = &*files.file_descriptor_proto else { panic!("{response:?}") };
        FileDescriptorProto::decode(file.as_slice()).unwrap().name().to_owned()
    }

    #[tokio::test]
    async fn each_kind_of_symbol_leads_to_its_file() {
        let catalog = "movie/catalog/v1/catalog.proto";
        let symbols = [
            ("Movie", "movie.proto"),
            ("Movie.GetMovieByID", "movie.proto"),
            ("MovieData.title", "movie.proto"),
            ("movie.catalog.v1.MovieCatalog", catalog),
            ("movie.catalog.v1.ImportMoviesResponse.Rejection", catalog),
            ("movie.catalog.v1.WatchMoviesRequest.start", catalog),
            ("google.api.FieldBehavior", "google/api/field_behavior.proto"),
            // A value is declared beside its enum, not in it.
            ("google.api.OUTPUT_ONLY", "google/api/field_behavior.proto"),
            ("google.api.field_behavior", "google/api/field_behavior.proto"),
            ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
            ("google.rpc.Status", "google/rpc/status.proto"),
            ("google.protobuf.Any", "google/protobuf/any.proto"),
            ("grpc.health.v1.Health", "health.proto"),
        ];
        let requests = symbols.map(|(symbol, _)| MessageRequest::FileContainingSymbol(symbol.into()));
        let responses = request(requests.into()).await;
        let files: Vec<_> = responses.iter().map(file).collect();
        assert_eq!(files, symbols.map(|(_, file)| file));
    }

    #[tokio::test]
    async fn a_tool_can_build_the_contract_from_the_files_with_its_annotations() {
        let expected = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
        let names = expected.files().map(|file| MessageRequest::FileByFilename(file.name().to_owned()));
        let mut pool = DescriptorPool::new();
        for response in request(names.collect()).await {
            let MessageResponse::FileDescriptorResponse(files) = response else { panic!("{response:?}") };
            pool.decode_file_descriptor_proto(files.file_descriptor_proto[0].as_slice()).unwrap();
        }
        assert!(pool.file_descriptor_protos().eq(expected.file_descriptor_protos()));
        let id = pool.get_message_by_name("movie.catalog.v1.GetMovieRequest").unwrap().get_field(1).unwrap();
        let behaviour = pool.get_extension_by_name("google.api.field_behavior").unwrap();
        let required = Value::List(vec![Value::EnumNumber(2)]);
        assert_eq!(id.options().get_extension(&behaviour).as_ref(), &required);
    }

    #[tokio::test]
    async fn extensions_are_found_by_message_and_number() {
        const OPTIONS: &str = "google.protobuf.FieldOptions";
        let of = |name: &str| MessageRequest::AllExtensionNumbersOfType(name.into());
        let extension = ExtensionRequest { containing_type: OPTIONS.into(), extension_number: 1052 };
        let responses =
            request(vec![of(OPTIONS), of("MovieData"), MessageRequest::FileContainingExtension(extension)])
                .await;
        for (response, (name, numbers)) in
            responses.iter().zip([(OPTIONS, vec![1052]), ("MovieData", vec![])])
        {
            let expected = ExtensionNumberResponse { base_type_name: name.into(), extension_number: numbers };
            assert_eq!(response, &MessageResponse::AllExtensionNumbersResponse(expected));
        }
        assert_eq!(file(&responses[2]), "google/api/field_behavior.proto");
    }

    #[tokio::test]
    async fn an_unknown_name_gets_an_error_response_and_the_stream_continues() {
        let extension = |containing_type: &str, extension_number| {
            let containing_type = containing_type.to_owned();
            MessageRequest::FileContainingExtension(ExtensionRequest { containing_type, extension_number })
        };
        let unknown = [
            (MessageRequest::FileContainingSymbol("Movi".into()), "no symbol `Movi` is served"),
            (MessageRequest::FileByFilename("movies.proto".into()), "no file `movies.proto` is served"),
            (extension("MovieData", 7), "no extension 7 of `MovieData` is served"),
            (extension("MovieData", -1), "no extension -1 of `MovieData` is served"),
            (extension("Nope", 1), "no extension 1 of `Nope` is served"),
            (MessageRequest::AllExtensionNumbersOfType("Nope".into()), "no message `Nope` is served"),
        ];
        let mut requests: Vec<_> = unknown.iter().map(|(request, _)| request.clone()).collect();
        requests.push(MessageRequest::FileContainingSymbol("Movie".into()));
        let responses = request(requests).await;
        for (response, (_, message)) in responses.iter().zip(unknown) {
            let expected = ErrorResponse { error_code: 5, error_message: message.into() };
            assert_eq!(response, &MessageResponse::ErrorResponse(expected));
        }
        assert_eq!(file(responses.last().unwrap()), "movie.proto");
    }

    #[tokio::test]
    async fn an_empty_request_gets_an_error_response() {
        let service = service(true).unwrap();
        let mut client = ServerReflectionClient::new(service);
        let requests = iter([ServerReflectionRequest::default()]);
        let mut responses = client.server_reflection_info(requests).await.unwrap().into_inner();
        match responses.next().await.unwrap().unwrap().message_response {
            Some(MessageResponse::ErrorResponse(error)) => assert_eq!(error.error_code, 3, "{error:?}"),
            other => panic!("no error: {other:?}"),
        }
    }

    #[test]
    fn the_paths_are_those_of_the_generated_services() {
        for (path, name) in [
            (V1_INFO, v1::server_reflection_server::SERVICE_NAME),
            (V1ALPHA_INFO, v1alpha::server_reflection_server::SERVICE_NAME),
        ] {
            assert_eq!(path, format!("/{name}/ServerReflectionInfo"));
        }
    }
}
