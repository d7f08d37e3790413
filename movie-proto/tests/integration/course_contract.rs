//! Pins the course's contract on the wire. Deployed clients and servers rely on every value here: if
//! a change to `proto/movie.proto` makes one of these tests fail, undo the change.

use std::convert::Infallible;
use std::fmt::Debug;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use movie_proto::movie_client::MovieClient;
use movie_proto::movie_server::{Movie, MovieServer};
use movie_proto::{Empty, FILE_DESCRIPTOR_SET, MovieData, MovieId};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::body::Body;
use tonic::{Request, Response, Status};

const PATHS: [&str; 2] = ["/Movie/GetMovieByID", "/Movie/GetListMovies"];

fn movie_proto() -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    set.file.into_iter().find(|file| file.name() == "movie.proto").unwrap()
}

/// Panics with what differs between the found and the frozen elements, and what that breaks.
#[track_caller]
fn assert_frozen<T: Debug + PartialEq>(what: &str, found: &[T], frozen: &[T], breaks: &str) {
    let difference = |of: &[T], to: &[T], verb: &str| {
        of.iter()
            .filter(|item| !to.contains(item))
            .map(|item| format!("{verb}: {item:?}"))
            .collect::<Vec<_>>()
    };
    let mut changes = difference(frozen, found, "gone");
    changes.extend(difference(found, frozen, "new"));
    if changes.is_empty() && found != frozen {
        changes.push(format!("another order: {found:?}"));
    }
    assert!(
        changes.is_empty(),
        "\nproto/movie.proto is frozen, but {what} changed:\n  {}\n{breaks}\nUndo the change: `git restore \
         proto/movie.proto`, then `cargo xtask regen-proto`. What is new belongs in another file with a package.\n",
        changes.join("\n  ")
    );
}

#[test]
fn a_change_of_the_frozen_contract_is_reported_in_words() {
    let report =
        catch_unwind(|| assert_frozen("its calls", &["a", "c"], &["a", "b"], "Clients fail.")).unwrap_err();
    let report = report.downcast::<String>().unwrap();
    for part in
        ["its calls changed:\n  gone: \"b\"\n  new: \"c\"\nClients fail.\nUndo the change", "git restore"]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    let report = catch_unwind(|| assert_frozen("its calls", &["b", "a"], &["a", "b"], "")).unwrap_err();
    assert!(report.downcast::<String>().unwrap().contains("another order: [\"b\", \"a\"]"));
}

#[test]
fn the_file_has_no_package_and_only_the_course_s_messages_and_service() {
    let file = movie_proto();
    assert_eq!(file.syntax(), "proto3");
    let packages: Vec<_> = file.package.iter().map(String::as_str).collect();
    let breaks = "The package is a part of each path, so deployed clients get UNIMPLEMENTED.";
    assert_frozen("its package", &packages, &[], breaks);
    let messages: Vec<&str> = file.message_type.iter().map(prost_types::DescriptorProto::name).collect();
    let breaks =
        "Programs generated from the file name its messages, and no longer compile with another one.";
    assert_frozen("its messages", &messages, &["MovieID", "MovieData", "Empty"], breaks);
    let services: Vec<&str> = file.service.iter().map(prost_types::ServiceDescriptorProto::name).collect();
    let breaks = "The service is a part of each path, so deployed clients get UNIMPLEMENTED.";
    assert_frozen("its services", &services, &["Movie"], breaks);
}

#[test]
fn field_names_numbers_and_types_are_frozen() {
    let fields: Vec<_> = movie_proto()
        .message_type
        .iter()
        .flat_map(|message| {
            message.field.iter().map(|field| {
                assert_eq!(field.label(), Label::Optional, "no field is repeated");
                assert!(!field.proto3_optional(), "no field has explicit presence");
                assert_eq!(field.oneof_index, None, "no field is in a oneof");
                (message.name().to_owned(), field.name().to_owned(), field.number(), field.r#type())
            })
        })
        .collect();
    let frozen = [
        ("MovieID", "id", 1, Type::String),
        ("MovieData", "title", 1, Type::String),
        ("MovieData", "rating", 2, Type::Float),
        ("MovieData", "director", 3, Type::String),
        ("MovieData", "id", 4, Type::String),
    ];
    let frozen = frozen.map(|(message, field, number, kind)| (message.into(), field.into(), number, kind));
    let breaks = "Deployed programs find a field by its number and type: they take a renumbered one for empty, or for \
        another one, and fail to decode another type. A new field is lost between the two versions.";
    assert_frozen("its fields", &fields, &frozen, breaks);
}

#[test]
fn methods_their_messages_and_what_streams_are_frozen() {
    let file = movie_proto();
    let methods: Vec<_> = file.service[0]
        .method
        .iter()
        .map(|method| {
            let streams = (method.client_streaming(), method.server_streaming());
            (method.name(), method.input_type(), method.output_type(), streams)
        })
        .collect();
    let frozen = [
        ("GetMovieByID", ".MovieID", ".MovieData", (false, false)),
        ("GetListMovies", ".Empty", ".MovieData", (false, true)),
    ];
    let breaks = "Deployed clients call a renamed or removed call in vain (UNIMPLEMENTED), and deployed servers do not \
        implement a new one. If a response streams no longer, or streams now, old clients lose messages.";
    assert_frozen("its calls", &methods, &frozen, breaks);
}

#[test]
fn a_movie_encodes_to_the_frozen_bytes_and_back() {
    let movie = MovieData {
        title: "Amélie".into(),
        rating: 8.3,
        director: "Jean-Pierre Jeunet".into(),
        id: "tt0211915".into(),
    };
    let bytes = b"\x0a\x07Am\xc3\xa9lie\x15\xcd\xcc\x04\x41\x1a\x12Jean-Pierre Jeunet\x22\x09tt0211915";
    assert_eq!(movie.encode_to_vec(), bytes);
    assert_eq!(MovieData::decode(bytes.as_slice()).unwrap(), movie);
}

#[test]
fn requests_and_empty_messages_encode_to_the_frozen_bytes() {
    assert_eq!(MovieId { id: "a".into() }.encode_to_vec(), b"\x0a\x01a");
    assert_eq!(MovieId::default().encode_to_vec(), b"");
    assert_eq!(MovieData::default().encode_to_vec(), b"");
    assert_eq!(Empty {}.encode_to_vec(), b"");
}

#[tokio::test]
async fn the_stub_calls_the_frozen_paths() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let log = called.clone();
    let channel = tower::service_fn(move |request: http::Request<Body>| {
        log.lock().unwrap().push(request.uri().path().to_owned());
        async { Ok::<_, Infallible>(Status::unimplemented("only the path matters here").into_http::<Body>()) }
    });
    let mut stub = MovieClient::new(channel);
    stub.get_movie_by_id(MovieId::default()).await.unwrap_err();
    stub.get_list_movies(Empty {}).await.unwrap_err();
    assert_eq!(*called.lock().unwrap(), PATHS);
}

#[tokio::test]
async fn the_server_answers_the_frozen_paths() {
    for path in PATHS {
        let request = http::Request::post(path).header("content-type", "application/grpc");
        let request = request.body(Body::new(Full::from(&[0u8; 5][..]))).unwrap();
        let response = tower::ServiceExt::oneshot(MovieServer::new(Answering), request).await.unwrap();
        assert_eq!(response.headers().get("grpc-status"), None, "{path} is not implemented");
    }
}

/// Answers each call with an empty message or list.
struct Answering;

#[tonic::async_trait]
impl Movie for Answering {
    async fn get_movie_by_id(&self, _: Request<MovieId>) -> Result<Response<MovieData>, Status> {
        Ok(Response::new(MovieData::default()))
    }

    type GetListMoviesStream = tokio_stream::Empty<Result<MovieData, Status>>;

    async fn get_list_movies(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::GetListMoviesStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}
