//! Messages compressed with gzip, in requests and in responses.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::bufread::GzDecoder;
use http::HeaderMap;
use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{self, BatchGetMoviesRequest, ImportMoviesRequest};
use movie_proto::{Empty, MovieId};
use prost::Message;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::databases::database;
use crate::support::h2_client::{Call, Client, Response};
use crate::support::messages::{framed, framed_gzip, gzip};
use crate::support::process::{Service, command};

const GET: &str = "/Movie/GetMovieByID";
const LIST: &str = "/Movie/GetListMovies";
const GET_MOVIE: &str = "/movie.catalog.v1.MovieCatalog/GetMovie";
const BATCH: &str = "/movie.catalog.v1.MovieCatalog/BatchGetMovies";
const LOOKUP: &str = "/movie.catalog.v1.MovieCatalog/LookupMovies";
const LIST_MOVIES: &str = "/movie.catalog.v1.MovieCatalog/ListMovies";

/// Ids and lengths of the course's messages, in listing order: too short to be compressed, just long enough, and longer. The
/// full message of the last one is too long to be compressed on the worker thread.
const MOVIES: [(&str, usize); 3] = [("short", 1_023), ("long", 1_024), ("longest", 1_500)];

/// Starts a service over [`MOVIES`].
fn start(arguments: &[&str]) -> (Service, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("movies.json");
    let movies = MOVIES.map(|(id, length)| {
        let text = "long-".repeat(200);
        let title = &text[..500];
        // Without the id and the title, and the tags and lengths of all three fields.
        let director = &text[..length - (2 + id.len()) - (3 + title.len()) - 3];
        let genres = if id == "longest" { 0..50 } else { 0..0 };
        let genres: Vec<_> = genres.map(|number| format!("{number:02}{}", "😀".repeat(98))).collect();
        serde_json::json!({ "id": id, "title": title, "director": director, "genres": genres }).to_string()
    });
    fs::write(&path, format!(r#"{{"movies": [{}]}}"#, movies.join(","))).unwrap();
    (Service::run(command(&path).args(arguments)), dir)
}

/// Returns a call whose request has only a string in its first field, or is empty.
fn call(path: &'static str, text: &str) -> Call {
    Call::new(path, &MovieId { id: text.into() }.encode_to_vec())
}

/// Adds `grpc-accept-encoding` with gzip.
fn accepting(call: Call) -> Call {
    call.header("grpc-accept-encoding", "identity, deflate, gzip")
}

/// Returns which messages of a body are compressed, and the body with all of them decompressed.
fn decompressed(mut body: &[u8]) -> (Vec<bool>, Vec<u8>) {
    let (mut flags, mut plain) = (Vec::new(), Vec::new());
    while let Some(([flag, length @ ..], rest)) = body.split_first_chunk::<5>() {
        let (message, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        flags.push(*flag == 1);
        if *flag == 1 {
            let mut unpacked = Vec::new();
            GzDecoder::new(message).read_to_end(&mut unpacked).unwrap();
            plain.extend(framed(&unpacked));
        } else {
            plain.extend(&body[..5 + message.len()]);
        }
        body = rest;
    }
    (flags, plain)
}

/// Makes a call with and without `grpc-accept-encoding: gzip`; returns which messages are compressed with it. Otherwise, both
/// responses must be identical.
async fn compressed_messages(peer: &mut Client, call: Call) -> Vec<bool> {
    let plain = peer.call(&call).await.unwrap();
    assert_eq!(decompressed(&plain.body).1, plain.body, "{call:?}");
    assert_eq!(plain.headers.get("grpc-encoding"), None, "{call:?}");
    let mut response = peer.call(&accepting(call)).await.unwrap();
    let (flags, body) = decompressed(&response.body);
    let encoding = response.headers.remove("grpc-encoding");
    if flags.contains(&true) {
        assert_eq!(encoding.unwrap(), "gzip");
    }
    assert_eq!(Response { body, ..response }, plain);
    flags
}

#[tokio::test]
async fn messages_of_1_kib_or_more_are_compressed_for_callers_that_accept_gzip() {
    let (service, _dir) = start(&["--gzip"]);
    let mut peer = Client::connect(service.address).await;
    for (id, length) in MOVIES {
        assert_eq!(compressed_messages(&mut peer, call(GET, id)).await, [length >= 1_024], "{id}");
        // These messages have more fields.
        for path in [GET_MOVIE, BATCH, LOOKUP] {
            assert_eq!(compressed_messages(&mut peer, call(path, id)).await, [true], "{path} {id}");
        }
    }
    assert_eq!(compressed_messages(&mut peer, call(LOOKUP, "no")).await, [false]);
    assert_eq!(compressed_messages(&mut peer, call(LIST, "")).await, [false, true, true]);
    let all = Call::new(LIST_MOVIES, b"");
    assert_eq!(compressed_messages(&mut peer, all).await, [true]);
}

#[tokio::test]
async fn each_message_of_a_stream_is_compressed_by_itself() {
    let (service, _dir) = start(&["--gzip"]);
    let mut peer = Client::connect(service.address).await;
    let ids = ["no", "longest", "no", "long"];
    let requests: Vec<u8> =
        ids.iter().flat_map(|id| framed(&MovieId { id: (*id).into() }.encode_to_vec())).collect();
    let call = call(LOOKUP, "").frames(&[&requests]);
    assert_eq!(compressed_messages(&mut peer, call).await, [false, true, false, true]);
}

#[tokio::test]
async fn nothing_is_compressed_without_the_option() {
    let (service, _dir) = start(&[]);
    let mut peer = Client::connect(service.address).await;
    for path in [GET, LIST, GET_MOVIE, LIST_MOVIES] {
        let text = if [GET, GET_MOVIE].contains(&path) { "longest" } else { "" };
        let plain = peer.call(&call(path, text)).await.unwrap();
        assert_eq!(peer.call(&accepting(call(path, text))).await.unwrap(), plain);
        assert!(decompressed(&plain.body).0.iter().all(|is_compressed| !is_compressed));
    }
}

#[tokio::test]
async fn lists_of_short_movies_are_not_compressed() {
    let service = Service::run(command(&database("films.json")).arg("--gzip"));
    let mut peer = Client::connect(service.address).await;
    let plain = peer.call(&call(LIST, "")).await.unwrap();
    assert_eq!(peer.call(&accepting(call(LIST, ""))).await.unwrap(), plain);
}

#[tokio::test]
async fn grpc_web_requests_and_responses_may_be_compressed() {
    let (service, _dir) = start(&["--gzip", "--web-origin", "*"]);
    let mut peer = Client::connect(service.address).await;
    let web = |path, text| Call {
        headers: vec![("content-type", "application/grpc-web+proto"), ("origin", "http://localhost:8080")],
        ..call(path, text)
    };
    let trailers = b"\x80\0\0\0\x0fgrpc-status:0\r\n";
    let plain = peer.call(&web(LIST, "")).await.unwrap();
    let body = plain.body.strip_suffix(trailers).unwrap();
    let response = peer.call(&accepting(web(LIST, ""))).await.unwrap();
    assert_eq!(response.headers["grpc-encoding"], "gzip");
    let messages = response.body.strip_suffix(trailers).unwrap();
    assert_eq!(decompressed(messages), (vec![false, true, true], body.to_owned()));

    let request = framed_gzip(&gzip(&MovieId { id: "short".into() }.encode_to_vec()));
    let request = web(GET, "").header("grpc-encoding", "gzip").frames(&[&request]);
    assert_eq!(peer.call(&request).await.unwrap().body, peer.call(&web(GET, "short")).await.unwrap().body);
}

#[tokio::test]
async fn messages_of_a_request_with_grpc_encoding_gzip_may_be_compressed_or_not() {
    let (service, _dir) = start(&[]);
    let mut peer = Client::connect(service.address).await;
    for (path, text) in
        [(GET, "long"), (GET, "no"), (LIST, ""), (GET_MOVIE, "long"), (LOOKUP, "long"), (LIST_MOVIES, "")]
    {
        let plain = peer.call(&call(path, text)).await.unwrap();
        let message = MovieId { id: text.into() }.encode_to_vec();
        for body in [framed(&message), framed_gzip(&gzip(&message))] {
            let cut: Vec<&[u8]> = body.chunks(3).collect();
            for frames in [&[body.as_slice()][..], &cut] {
                let call = call(path, text).frames(frames).header("grpc-encoding", "gzip");
                let mut response = peer.call(&call).await.unwrap();
                assert_eq!(response.headers.remove("grpc-accept-encoding").unwrap(), "gzip,identity");
                assert_eq!(response, plain, "{call:?}");
            }
        }
    }
    let ids = ["no", "long", "short"].map(|id| MovieId { id: id.into() }.encode_to_vec());
    let plain: Vec<u8> = ids.iter().flat_map(|id| framed(id)).collect();
    let some = [framed(&ids[0]), framed_gzip(&gzip(&ids[1])), framed_gzip(&gzip(&ids[2]))].concat();
    let plain = peer.call(&call(LOOKUP, "").frames(&[&plain])).await.unwrap();
    let some = peer.call(&call(LOOKUP, "").frames(&[&some]).header("grpc-encoding", "gzip")).await.unwrap();
    assert_eq!(some.body, plain.body);
}

#[tokio::test]
async fn an_import_may_be_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", dir.path().join("movies.db").display());
    let service = Service::run(command(Path::new(&store)).arg("--allow-anonymous-writes"));
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let stub = MovieCatalogClient::new(endpoint.connect().await.unwrap());
    let mut stub = stub.send_compressed(CompressionEncoding::Gzip);
    let movie = |number: usize| v1::Movie {
        id: number.to_string(),
        title: "A title".repeat(100),
        ..v1::Movie::default()
    };
    // Only messages of an import may be as long as these.
    let messages = [0..1_000, 1_000..2_000];
    let messages = messages.map(|numbers| ImportMoviesRequest { movies: numbers.map(movie).collect() });
    let imported = stub.import_movies(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!((imported.created, imported.rejected), (2_000, 0));
    let ids = vec!["0".to_owned(), "1999".to_owned()];
    let found = stub.batch_get_movies(BatchGetMoviesRequest { ids }).await.unwrap().into_inner();
    assert_eq!(found.movies.len(), 2);
    let list =
        service.stub().await.send_compressed(CompressionEncoding::Gzip).get_list_movies(Empty {}).await;
    assert_eq!(list.unwrap().into_inner().map(Result::unwrap).collect::<Vec<_>>().await.len(), 2_000);
}

#[tokio::test]
async fn other_encodings_are_unimplemented_and_the_supported_ones_are_named() {
    let service = Service::start("movies.json");
    let mut peer = Client::connect(service.address).await;
    for path in [GET, LIST, GET_MOVIE, LOOKUP] {
        for encoding in ["deflate", "zstd", "gzip, deflate"] {
            let response = peer.call(&call(path, "").header("grpc-encoding", encoding)).await.unwrap();
            assert_eq!(response.headers["grpc-accept-encoding"], "gzip,identity");
            assert_eq!(status(&response.headers), (Code::Unimplemented, "ENCODING_UNSUPPORTED".into()));
        }
        assert_eq!(
            peer.call(&call(path, "").header("grpc-encoding", "identity")).await.unwrap(),
            peer.call(&call(path, "")).await.unwrap()
        );
    }
}

/// Returns the code and the reason in the headers of an error.
fn status(headers: &HeaderMap) -> (Code, String) {
    let status = Status::from_header_map(headers).unwrap();
    assert!(status.message().contains("expected gzip or identity"), "{status}");
    (status.code(), status.get_error_details().error_info().unwrap().reason.clone())
}
