//! The fast path returns the same bytes as tonic's server with the generated code.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method};
use movie_proto::catalog::v1;
use movie_proto::catalog::v1::movie_catalog_server::MovieCatalogServer;
use movie_proto::movie_server::MovieServer;
use movie_service::catalogue::{Catalogue, Change, MovieView, Record, Snapshot};
use movie_service::found::FoundPrinter;
use movie_service::movie;
use movie_service::server::accept::listener::{Address, Listener};
use movie_service::server::call::refusal::Refusal;
use movie_service::server::limits::Limits;
use movie_service::server::serve::Server;
use movie_service::servicer::catalog::CatalogServicer;
use movie_service::servicer::course::MovieServicer;
use movie_service::store::Store;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost::Message;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::codec::CompressionEncoding;

use crate::support::h2_client::{Call, Client, Response};
use crate::support::messages::framed;

const GET: &str = "/Movie/GetMovieByID";
const LIST: &str = "/Movie/GetListMovies";
const GET_MOVIE: &str = "/movie.catalog.v1.MovieCatalog/GetMovie";

/// Clients of two servers over the same movies: ours, and one with tonic alone.
struct Pair {
    ours: Client,
    plain: Client,
}

fn movies() -> Arc<Catalogue> {
    let long = "é".repeat(100_000);
    let long_id = "i".repeat(200);
    let known = Record::of(&movie::Movie {
        title: "All is known".into(),
        rating: Some(8.5),
        id: "known".into(),
        year: 2015,
        genres: vec!["Drama".into(), "Sport".into()],
        create_time: Some(std::time::SystemTime::UNIX_EPOCH.into()),
        ..movie::Movie::default()
    });
    let zero = Record::of(&movie::Movie {
        title: "Rated 0".into(),
        rating: Some(0.0),
        id: "zero".into(),
        cast: vec!["Michael B. Jordan".into(), "Tessa Thompson".into()],
        rating_count: 7,
        poster_uri: "https://posters.example/0.jpg".into(),
        ..movie::Movie::default()
    });
    let movie = |id, title, rating, director| {
        Change::Insert(MovieView { title, rating, director, id, ..MovieView::default() })
    };
    let movies = Snapshot::default().with([
        movie("1", "Creed", 8.8, "Ryan Coogler"),
        movie("é😀", "Amélie", 8.3, "Jean-Pierre Jeunet"),
        movie("empty", "t", 0.0, ""),
        movie("full", &long, 10.0, &long),
        movie(&long_id, "An id of 200 bytes", 1.0, ""),
        Change::Insert(known.movie()),
        Change::Insert(zero.movie()),
    ]);
    Arc::new(Catalogue::new(movies.unwrap()))
}

fn start_ours(catalogue: Arc<Catalogue>) -> SocketAddr {
    let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let Ok(Address::Tcp(address)) = listener.address() else { panic!("no address") };
    tokio::spawn(Server::new(catalogue, FoundPrinter::quiet()).serve(listener, std::future::pending()));
    address
}

async fn start_plain(catalogue: Arc<Catalogue>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits::default();
    let movie = MovieServer::new(MovieServicer::new(catalogue.clone(), FoundPrinter::quiet()));
    let (_, stopping) = tokio::sync::watch::channel(true);
    let catalog = CatalogServicer::new(catalogue, Store::read_only("memory"), stopping, limits.watch_behind);
    let catalog = MovieCatalogServer::new(catalog).max_decoding_message_size(limits.message);
    let catalog = catalog.accept_compressed(CompressionEncoding::Gzip);
    let movie = movie.max_decoding_message_size(limits.message).accept_compressed(CompressionEncoding::Gzip);
    let server = tonic::transport::Server::builder().add_service(movie).add_service(catalog);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

impl Pair {
    async fn start() -> Self {
        let catalogue = movies();
        let ours = Client::connect(start_ours(catalogue.clone())).await;
        let plain = Client::connect(start_plain(catalogue).await).await;
        Self { ours, plain }
    }

    async fn assert_same(&mut self, call: Call) {
        let (ours, plain) = (self.ours.call(&call).await, self.plain.call(&call).await);
        let (ours, plain) = (ours.map_err(|error| error.reason()), plain.map_err(|error| error.reason()));
        assert_eq!(ours, plain.map(|response| with_our_refusals(call.path, response)), "{call:?}");
    }

    /// Returns the HTTP status of our server; that of the other is always 200.
    async fn status_of_ours(&mut self, call: Call) -> u16 {
        let response = self.ours.call(&call).await.unwrap();
        assert!(response.trailers.is_none() && !response.headers.contains_key("grpc-status"));
        response.status
    }
}

/// Replaces tonic's messages about invalid requests, which reveal its implementation or are empty, and its code for oversized
/// messages, which differs from the specification.
fn with_our_refusals(path: &str, mut response: Response) -> Response {
    let status: Status = match response.headers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"13") => Refusal::MalformedRequest.into(),
        Some(b"11") => Refusal::MessageTooLarge { max_bytes: Limits::default().message }.into(),
        Some(b"12") if response.headers.contains_key("grpc-accept-encoding") => {
            Refusal::UnsupportedEncoding.into()
        }
        Some(b"12") => Refusal::NoSuchRpc(path.to_owned()).into(),
        _ => return response,
    };
    status.add_header(&mut response.headers).unwrap();
    response
}

#[tokio::test]
async fn hits_misses_and_lists_are_identical() {
    let mut pair = Pair::start().await;
    let long_id = [&[0x0a, 200, 1], "i".repeat(200).as_bytes()].concat();
    for message in
        ["", "\n\x01\x31", "\n\x06é😀", "\n\x05empty", "\n\x04full", "\n\x05known", "\n\x04nope", "\n\0"]
    {
        for path in [GET, GET_MOVIE] {
            pair.assert_same(Call::new(path, message.as_bytes())).await;
        }
    }
    for path in [GET, GET_MOVIE] {
        pair.assert_same(Call::new(path, &long_id)).await;
    }
    pair.assert_same(Call::new(LIST, b"")).await;
}

#[tokio::test]
async fn a_movie_rated_zero_with_later_fields_is_the_same_message() {
    let mut pair = Pair::start().await;
    let call = Call::new(GET_MOVIE, b"\n\x04zero");
    let [ours, plain] = [pair.ours.call(&call).await.unwrap(), pair.plain.call(&call).await.unwrap()];
    // The order of the fields differs: the rating follows the id, and the etag is the last. Protobuf guarantees no order.
    let [read, expected] = [&ours, &plain].map(|response| v1::Movie::decode(&response.body[5..]).unwrap());
    assert_eq!((read.rating, read.rating_count, &read), (Some(0.0), 7, &expected));
    assert_eq!((ours.headers, ours.trailers), (plain.headers, plain.trailers));
}

#[tokio::test]
async fn unusual_and_malformed_messages_get_identical_responses() {
    let mut pair = Pair::start().await;
    for message in [
        b"\n\x02\x31".as_slice(),                          // longer than it is
        b"\n\x01\x31\x31",                                 // shorter than it is
        b"\n\x01\xff",                                     // not text
        b"\n\x01\x31\n\x04full",                           // the field twice
        b"\x12\x01x\n\x01\x31",                            // an unknown field before it
        b"\x08\x01",                                       // a number where text belongs
        b"\n\x81\x00\x31",                                 // a length in more bytes than it takes
        b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // a length in more bytes than there may be
        b"\x07",                                           // a wire type that does not exist
    ] {
        for path in [GET, LIST, GET_MOVIE] {
            pair.assert_same(Call::new(path, message)).await;
        }
    }
}

#[tokio::test]
async fn requests_split_and_ended_in_unusual_ways_get_identical_responses() {
    let mut pair = Pair::start().await;
    let body = framed(b"\n\x01\x31");
    for path in [GET, LIST, GET_MOVIE] {
        let body = if path == LIST { framed(b"") } else { body.clone() };
        let call = Call::new(path, b"");
        let cut: Vec<&[u8]> = body.chunks(1).collect();
        let twice = [body.as_slice(), &body].concat();
        let (head, tail) = body.split_at(4);
        for frames in [
            &[][..],                  // nothing
            &[b"".as_slice()],        // nothing, in a frame
            &cut,                     // byte by byte
            &[head, tail],            // cut in the prefix
            &[b"", &body],            // an empty frame first
            &[&body, b""],            // an empty frame last
            &[&twice],                // two messages
            &[&body, &body],          // two messages in two frames
            &[head],                  // cut off
            &[b"\0\0\0\0\x09\n"],     // a prefix that announces too much
            &[b"\0\0\0\0\0\n"],       // a prefix that announces too little
            &[b"\x01\0\0\0\0"],       // compressed, without grpc-encoding
            &[b"\x02\0\0\0\0"],       // a flag that does not exist
            &[b"\0\xff\xff\xff\xff"], // 4 GiB to come
        ] {
            for (ends_with_last_frame, trailers) in [(true, false), (false, false), (false, true)] {
                let call = Call { ends_with_last_frame, trailers, ..call.clone().frames(frames) };
                pair.assert_same(call).await;
            }
        }
    }
}

#[tokio::test]
async fn an_oversized_message_gets_an_identical_response() {
    let mut pair = Pair::start().await;
    let message = [b"\n\x80\x80\xc0\x02".as_slice(), &vec![b'x'; 5 * 1024 * 1024]].concat();
    let mut call = Call::new(GET, &message);
    call.frames = call.frames.concat().chunks(16 * 1024).map(<[u8]>::to_vec).collect();
    pair.assert_same(call).await;
}

#[tokio::test]
async fn unknown_paths_get_identical_responses() {
    let mut pair = Pair::start().await;
    for path in
        ["/", "/Movie", "/Movie/", "/Movie/GetMovieById", "/movie/GetMovieByID", "/Other/GetMovieByID"]
    {
        pair.assert_same(Call::new(path, b"\n\x01\x31")).await;
    }
    pair.assert_same(Call::new("/Movie/GetMovieByID?x=1", b"\n\x01\x31")).await;
}

#[tokio::test]
async fn requests_other_than_grpc_get_an_http_error() {
    let mut pair = Pair::start().await;
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        assert_eq!(pair.status_of_ours(Call { method, ..Call::new(GET, b"\n\x01\x31") }).await, 405);
    }
    for headers in [vec![], vec![("content-type", "text/plain")], vec![("content-type", "application/grpcx")]]
    {
        assert_eq!(pair.status_of_ours(Call { headers, ..Call::new(GET, b"\n\x01\x31") }).await, 415);
    }
}

#[tokio::test]
async fn compression_and_timeouts_get_identical_responses() {
    let mut pair = Pair::start().await;
    // The bytes of the message 0a 01 31, compressed.
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xe3\x62\x34\x04\0\x41\xdb\x61\x0a\x03\0\0\0";
    let length = u32::try_from(gzip.len()).unwrap().to_be_bytes();
    let compressed = [b"\x01".as_slice(), &length, gzip].concat();
    for (path, message) in [(GET, b"\n\x01\x31".as_slice()), (LIST, b"")] {
        let call = Call::new(path, message);
        for frames in [&[call.frames[0].as_slice()], &[compressed.as_slice()]] {
            let call = call.clone().header("grpc-encoding", "gzip").frames(frames);
            let [mut ours, plain] =
                [pair.ours.call(&call).await.unwrap(), pair.plain.call(&call).await.unwrap()];
            // tonic omits it.
            assert_eq!(ours.headers.remove("grpc-accept-encoding").unwrap(), "gzip,identity");
            assert_eq!(ours, with_our_refusals(call.path, plain), "{call:?}");
        }
        pair.assert_same(call.clone().header("grpc-encoding", "identity")).await;
        pair.assert_same(call.clone().header("grpc-encoding", "brotli")).await;
        pair.assert_same(call.clone().frames(&[&compressed])).await;
        pair.assert_same(call.clone().header("grpc-accept-encoding", "identity, deflate, gzip")).await;
        pair.assert_same(call.clone().header("grpc-timeout", "10S")).await;
        pair.assert_same(call.clone().header("x-request-id", "7")).await;
        pair.assert_same(Call { headers: vec![("content-type", "application/grpc+proto")], ..call }).await;
    }
}

#[tokio::test]
async fn random_requests_get_identical_responses() {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    let mut pair = Pair::start().await;
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bytes = proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0x0a), any::<u8>()], 0..9);
    let frames = proptest::collection::vec(bytes, 0..4);
    for _ in 0..300 {
        let (frames, framed_first) = (frames.clone(), any::<bool>()).new_tree(&mut runner).unwrap().current();
        let mut call = Call::new(GET, b"");
        call.frames = frames;
        if framed_first && let Some(first) = call.frames.first_mut() {
            *first = framed(first);
        }
        pair.assert_same(call).await;
    }
}
