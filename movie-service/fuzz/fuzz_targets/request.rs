//! Any request body, split in any way, gets the response that a simple model computes: each message is decoded with prost,
//! the response is that to the first, and one that cannot be decoded fails the call. Calls of the catalogue end with a
//! status of their contract.

#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use movie_proto::catalog::v1;
use movie_proto::{Empty, MovieData, MovieId};
use movie_service::catalogue::{Catalogue, Change, MovieView, Snapshot};
use movie_service::server::call::refusal::Refusal;
use movie_service::server::in_process::InProcessServer;
use movie_service::server::limits::Limits;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status};

/// More than any request takes. A call that is polled more often is stuck.
const MAX_POLLS: usize = 100_000;

/// The bit of the options that adds trailers.
const TRAILERS: u8 = 8;

/// The bit of the options that adds `grpc-encoding: gzip`.
const GZIP: u8 = 64;

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let movie = |id, title| Change::Insert(MovieView { title, rating: 8.5, id, ..MovieView::default() });
    let movies = Snapshot::default().with([movie("1", "Creed"), movie("é", "Amélie")]);
    Arc::new(Catalogue::new(movies.expect("every id is new")))
});

static SERVER: LazyLock<InProcessServer> =
    LazyLock::new(|| InProcessServer::new(CATALOGUE.clone()).expect("the services can be made"));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));

/// The RPCs of `movie.catalog.v1.MovieCatalog` that are called.
const CATALOG: [&str; 3] = [
    "/movie.catalog.v1.MovieCatalog/GetMovie",
    "/movie.catalog.v1.MovieCatalog/BatchGetMovies",
    "/movie.catalog.v1.MovieCatalog/ListMovies",
];

// The input is the options with the RPC, the number of cuts, the cuts and the body.
fuzz_target!(|input: &[u8]| {
    let [how, cuts, rest @ ..] = input else { return };
    let Some((cuts, body)) = rest.split_at_checked(usize::from(cuts % 8)) else { return };
    let script = Script::new(*how, cuts, body);
    if let Some(call) = usize::from(how >> 4 & 3).checked_sub(1) {
        // Lists are computed on other threads.
        let (status, answer) = RUNTIME.block_on(answer_of(CATALOG[call], script, how & GZIP != 0));
        return check(call, &status, &answer);
    }
    let is_list = how & 1 != 0;
    let path = if is_list { "/Movie/GetListMovies" } else { "/Movie/GetMovieByID" };
    let (status, body_of_answer) = finish(answer_of(path, script, how & GZIP != 0));
    match rule(is_list, body, how & TRAILERS != 0, how & GZIP != 0) {
        Ok(answer) => {
            assert_eq!(status.code(), Code::Ok, "{status}");
            assert_eq!(body_of_answer, answer);
        }
        Err(refusals) => {
            assert!(body_of_answer.is_empty());
            let refusals = refusals.into_iter().map(Status::from);
            let known = refusals
                .clone()
                .any(|refusal| (refusal.code(), refusal.message()) == (status.code(), status.message()));
            assert!(known, "{status}, expected one of {:?}", Vec::from_iter(refusals));
        }
    }
});

/// Makes a call; returns the status and the response body.
async fn answer_of(path: &str, script: Script, is_gzip: bool) -> (Status, Bytes) {
    let mut request = Request::post(path).header("content-type", "application/grpc");
    if is_gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    let response = SERVER.call(request.body(script).expect("the request is well-formed")).await;
    let headers = response.headers().clone();
    let collected = pin!(response.into_body()).collect().await.expect("the response body is complete");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers));
    (status.expect("the response has a status"), collected.to_bytes())
}

/// Checks that a call of the catalogue ended with a status of the contract.
fn check(call: usize, status: &Status, answer: &[u8]) {
    match status.code() {
        Code::Ok => {
            let message = answer.get(5..).expect("the response has a message");
            let is_read = match call {
                0 => v1::Movie::decode(message).map(drop),
                1 => v1::BatchGetMoviesResponse::decode(message).map(drop),
                _ => v1::ListMoviesResponse::decode(message).map(drop),
            };
            is_read.expect("the response can be decoded");
        }
        // The last two are for requests that cannot be decoded.
        Code::NotFound
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Internal
        | Code::ResourceExhausted => {
            assert!(answer.is_empty() && !status.details().is_empty(), "{status}");
            assert_ne!(status.message(), Refusal::Internal.to_string());
        }
        _ => panic!("{status}"),
    }
}

/// Returns the expected response body, or the possible refusals.
fn rule(is_list: bool, body: &[u8], has_trailers: bool, is_gzip: bool) -> Result<Bytes, Vec<Refusal>> {
    let most = Limits::default().message;
    let (mut answers, mut is_malformed, mut rest) = (Vec::new(), false, body);
    let mut is_cut = false;
    while let Some(([flag, length @ ..], after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(*length) as usize;
        let is_compressed = is_gzip && *flag == 1;
        let is_known = *flag == 0 || is_compressed;
        let mut message = after.get(..length).map(<[u8]>::to_vec);
        if let Some(gzip) = message.as_mut().filter(|_| is_compressed && length <= most) {
            let mut unpacked = Vec::new();
            let most = most as u64 + 1;
            is_malformed |= MultiGzDecoder::new(&gzip[..]).take(most).read_to_end(&mut unpacked).is_err();
            *gzip = unpacked;
        }
        if is_known && message.as_ref().map_or(length, |message| message.len().max(length)) > most {
            let mut refusals = vec![Refusal::MessageTooLarge { max_bytes: most }];
            // Which of the two is detected first depends on the cuts.
            if is_malformed {
                refusals.push(Refusal::MalformedRequest);
            }
            return Err(refusals);
        }
        is_malformed |= !is_known;
        let Some(message) = message else {
            // tonic does not detect that a message is truncated right after its prefix.
            is_cut = is_gzip || !after.is_empty();
            break;
        };
        let after = &after[length..];
        match answer(is_list, &message) {
            Some(answer) => answers.push(answer),
            None => is_malformed = true,
        }
        rest = after;
    }
    if rest.len() < 5 {
        is_cut = !rest.is_empty();
    }
    // Nor does it if trailers follow a truncated message.
    is_malformed |= is_cut && (is_gzip || !has_trailers);
    answers.into_iter().next().filter(|_| !is_malformed).ok_or(vec![Refusal::MalformedRequest])
}

/// Returns the response to a message, if it can be decoded.
fn answer(is_list: bool, message: &[u8]) -> Option<Bytes> {
    let movies = CATALOGUE.snapshot();
    let found: Vec<MovieView<'_>> = if is_list {
        Empty::decode(message).ok()?;
        movies.movies().collect()
    } else {
        let MovieId { id } = MovieId::decode(message).ok()?;
        vec![movies.get(&id).unwrap_or_default()]
    };
    let mut body = Vec::new();
    for MovieView { title, rating, director, id, .. } in found {
        let [title, director, id] = [title, director, id].map(str::to_owned);
        let message = MovieData { title, rating, director, id }.encode_to_vec();
        body.push(0);
        body.extend(u32::try_from(message.len()).expect("a movie is small").to_be_bytes());
        body.extend(message);
    }
    Some(body.into())
}

/// A body that arrives in parts.
struct Script {
    parts: VecDeque<Frame<Bytes>>,
    /// Whether `is_end_stream` is true before the end is polled.
    tells_end: bool,
    /// Whether each part is pending at first.
    waits: bool,
    waited: bool,
}

impl Script {
    fn new(how: u8, cuts: &[u8], mut body: &[u8]) -> Self {
        let mut parts = VecDeque::new();
        for cut in cuts {
            let (part, rest) = body.split_at(usize::from(*cut).min(body.len()));
            parts.push_back(Frame::data(Bytes::copy_from_slice(part)));
            body = rest;
        }
        if !body.is_empty() {
            parts.push_back(Frame::data(Bytes::copy_from_slice(body)));
        }
        if how & TRAILERS != 0 {
            parts.push_back(Frame::trailers(http::HeaderMap::new()));
        }
        Self { parts, tells_end: how & 2 != 0, waits: how & 4 != 0, waited: false }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.waits && !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        Poll::Ready(self.parts.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.parts.is_empty()
    }
}

/// Polls a future to its end. It waits only for the script.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..MAX_POLLS {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return output;
        }
    }
    panic!("a call is stuck");
}
