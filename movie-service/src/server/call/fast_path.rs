//! Fast path for the most frequent calls: those of the `Movie` service, and `GetMovie`, `WatchMovies` and the writes of
//! single movies of `MovieCatalog`.
//!
//! The generated code decodes a request into a message, and encodes the response from another. The catalogue stores
//! encoded movies, so here the response is a slice of the catalogue: of a read, only the id is decoded, and nothing is
//! copied. A write is decoded and queued; its response is the movie as the store encoded it.
//!
//! The fast path handles only plain calls: one uncompressed message in canonical encoding, and an uncompressed
//! response. It passes all other calls to the generated code, with the frames that it has read. So this module returns
//! no errors but those of writes. A test shows that both paths return the same bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};
use movie_proto::catalog::v1::{
    CreateMovieRequest, DeleteMovieRequest, UpdateMovieRequest, WatchMoviesRequest,
};
use prost::Message;
use tonic::Status;

use crate::catalogue::encoding::frame;
use crate::catalogue::{Catalogue, Snapshot};
use crate::found::FoundPrinter;
use crate::rpc::{FastPath, Rpc};
use crate::server::call::body::{Content, EncodedFrames, ReplayedBody, RequestBody};
use crate::server::call::compression::{negotiation, response};
use crate::server::call::message::prefix::{Prefix, UNCOMPRESSED};
use crate::servicer::catalog::{self, CatalogServicer};
use crate::store::Command;

/// The tag of `MovieID.id` and `GetMovieRequest.id`: field 1, a length and that many bytes.
const ID: u8 = 1 << 3 | 2;

/// The handlers of the fast path.
#[derive(Clone, Copy)]
pub(crate) struct Responders<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) found: &'a FoundPrinter,
    pub(crate) servicer: &'a CatalogServicer,
    /// Maximum size of the message of a write. The messages of other calls are smaller.
    pub(crate) max_message_bytes: usize,
}

/// A future response to a write.
pub(crate) type WriteFuture = Pin<Box<dyn Future<Output = Response<Content>> + Send>>;

/// The result of the fast path.
pub(crate) enum FastPathResult<B: Body> {
    /// The response.
    Response(Response<Content>),
    /// The response, once the write is durable.
    PendingWrite(WriteFuture),
    /// Not handled: to be passed to the generated code.
    Declined(Request<ReplayedBody<B>>),
}

/// A call on the fast path: reads the request, then responds without waiting, or returns the future of a write.
///
/// It is not an `async fn`, so that it can be polled in place: most requests have arrived completely by then, and
/// need no boxed future. Moving futures took nearly a quarter of the time of a call.
pub(crate) struct FastCall<B: Body = RequestBody> {
    fast_path: FastPath,
    rpc: Rpc,
    /// Whether long messages are compressed for callers that accept gzip.
    compresses: bool,
    /// The request, until the result is returned.
    request: Option<Request<B>>,
    /// The first frame of the request, once it has been read.
    first_frame: Option<Result<Frame<Bytes>, B::Error>>,
}

impl<B: Body<Data = Bytes> + Unpin> FastCall<B> {
    /// Begins a call, or returns the request if the fast path does not support it. `compresses` tells whether long
    /// messages are compressed for callers that accept gzip.
    #[expect(clippy::result_large_err, reason = "not an error; boxing would cost an allocation per call")]
    pub(crate) fn try_new(rpc: Rpc, request: Request<B>, compresses: bool) -> Result<Self, Request<B>> {
        match rpc.fast_path {
            Some(fast_path) if !request.headers().contains_key(negotiation::GRPC_ENCODING) => {
                Ok(Self { fast_path, rpc, compresses, request: Some(request), first_frame: None })
            }
            _ => Err(request),
        }
    }

    /// Returns the RPC of the call.
    pub(crate) fn rpc(&self) -> Rpc {
        self.rpc
    }

    /// Gives the request up, with the frames that were read.
    ///
    /// # Panics
    ///
    /// If the call has completed.
    pub(crate) fn decline(mut self) -> Request<ReplayedBody<B>> {
        let request = self.request.take().expect("a call has one result");
        let read = self.first_frame.take().into_iter().collect();
        request.map(|rest| ReplayedBody { read, rest })
    }

    /// Reads the request and returns the result.
    ///
    /// # Panics
    ///
    /// If polled after completion.
    pub(crate) fn poll_result(
        &mut self,
        responders: Responders<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<FastPathResult<B>> {
        let Self { fast_path, compresses, request, first_frame, .. } = self;
        let body = request.as_mut().expect("a call has one result").body_mut();
        if first_frame.is_none() {
            *first_frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        }
        let message = first_frame.as_ref().and_then(|frame| whole_message(frame.as_ref().ok()?.data_ref()?));
        // Many clients end the request with an empty DATA frame.
        let second_frame = match message {
            Some(_) if !body.is_end_stream() => ready!(Pin::new(&mut *body).poll_frame(cx)),
            _ => None,
        };
        let is_complete = match &second_frame {
            None => body.is_end_stream(),
            Some(frame) => body.is_end_stream() && is_empty(frame),
        };
        let is_plain = |frame_length: usize| {
            let accepts_gzip =
                || request.as_ref().is_some_and(|request| negotiation::accepts_gzip(request.headers()));
            !(*compresses && response::is_long(frame_length) && accepts_gzip())
        };
        if is_complete && let Some(message) = message {
            if let Some(command) = command(*fast_path, responders.max_message_bytes, message, is_plain) {
                return Poll::Ready(FastPathResult::PendingWrite(write(responders.servicer, command)));
            }
            if let Some(content) = respond(*fast_path, responders, message, is_plain) {
                return Poll::Ready(FastPathResult::Response(response(content)));
            }
        }
        let request = request.take().expect("a call has one result");
        let read = second_frame.into_iter().chain(first_frame.take()).collect();
        Poll::Ready(FastPathResult::Declined(request.map(|rest| ReplayedBody { read, rest })))
    }
}

fn response(content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Returns the command of a write; `None` if the call is none, or is not plain.
fn command(
    fast_path: FastPath,
    max_bytes: usize,
    message: &[u8],
    is_plain: impl Fn(usize) -> bool,
) -> Option<Command> {
    let longest_response = match fast_path {
        FastPath::Create | FastPath::Update => usize::MAX,
        FastPath::Delete => frame::EMPTY.len(),
        FastPath::MovieById | FastPath::ListMovies | FastPath::Movie | FastPath::Watch => return None,
    };
    // The generated code refuses longer messages, and compresses.
    if message.len() > max_bytes || !is_plain(longest_response) {
        return None;
    }
    if fast_path == FastPath::Create {
        Some(catalog::create(CreateMovieRequest::decode(message).ok()?))
    } else if fast_path == FastPath::Update {
        catalog::update(UpdateMovieRequest::decode(message).ok()?).ok()
    } else {
        Some(catalog::delete(DeleteMovieRequest::decode(message).ok()?))
    }
}

fn write(servicer: &CatalogServicer, command: Command) -> WriteFuture {
    let written = servicer.write_encoded(command);
    Box::pin(async {
        match written.await {
            Ok(frame) => response(Content::Encoded(EncodedFrames::One(Some(frame)))),
            Err(error) => Status::from(error).into_http(),
        }
    })
}

/// Returns the response to a request message; `None` if the call is not plain. `is_plain(n)` tells whether a frame of n
/// bytes is sent uncompressed.
fn respond(
    fast_path: FastPath,
    Responders { catalogue, found, servicer, .. }: Responders<'_>,
    message: &[u8],
    is_plain: impl Fn(usize) -> bool,
) -> Option<Content> {
    let frames = match fast_path {
        FastPath::MovieById => {
            let id = id(message)?;
            let hit = catalogue.read(|movies| movies.frame(id));
            if let Some(frame) = &hit {
                // Before `announce`: the generated code announces the hit itself.
                if !is_plain(frame.len()) {
                    return None;
                }
                found.announce();
            } else {
                // Ids in the catalogue are valid UTF-8; an id that is not found may not be, and the generated code
                // refuses that.
                str::from_utf8(id).ok()?;
            }
            EncodedFrames::One(hit.or(Some(Bytes::from_static(frame::EMPTY))))
        }
        FastPath::ListMovies if message.is_empty() => {
            let frames = |movies: &Snapshot| is_plain(movies.longest_frame()).then(|| movies.frames());
            EncodedFrames::Many(Box::new(catalogue.read(frames)?))
        }
        FastPath::ListMovies | FastPath::Create | FastPath::Update | FastPath::Delete => return None,
        // A missing movie is an error, which the generated code returns.
        FastPath::Movie => {
            let frame = catalogue.read(|movies| movies.full_frame(id(message)?))?;
            is_plain(frame.len()).then_some(EncodedFrames::One(Some(frame)))?
        }
        FastPath::Watch => {
            let request = WatchMoviesRequest::decode(message).ok()?;
            // The generated code compresses.
            return is_plain(usize::MAX).then(|| Content::Watch(Box::new(servicer.watches().start(request))));
        }
    };
    Some(Content::Encoded(frames))
}

/// Returns whether this is an empty DATA frame.
fn is_empty<E>(frame: &Result<Frame<Bytes>, E>) -> bool {
    frame.as_ref().is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty))
}

/// Returns the message in `frame` if the frame is exactly one uncompressed message.
fn whole_message(frame: &Bytes) -> Option<&[u8]> {
    let (prefix, message) = Prefix::split(frame)?;
    (prefix.flag == UNCOMPRESSED && prefix.length == message.len()).then_some(message)
}

/// Returns the id in an encoded `MovieID` or `GetMovieRequest` that has no field, or one with a length of one byte.
fn id(message: &[u8]) -> Option<&[u8]> {
    match message {
        [] => Some(&[]),
        [ID, length @ 0..0x80, id @ ..] if usize::from(*length) == id.len() => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::path::Path;
    use std::sync::Arc;
    use std::task::Waker;

    use movie_proto::catalog::v1::Movie;
    use movie_proto::catalog::v1::movie_catalog_server::MovieCatalog;
    use tokio::sync::watch;
    use tonic::Code;

    use super::*;
    use crate::catalogue::encoding::frame::PREFIX_BYTES;
    use crate::catalogue::{Change, MovieView};
    use crate::server::call::refusal;
    use crate::store::Store;
    use crate::store::sql::SqlSource;
    use crate::telemetry::store_metrics::StoreMetrics;

    /// A request body that returns these frames one by one; for `None` it is pending once.
    struct ScriptedBody(VecDeque<Option<Bytes>>);

    impl Body for ScriptedBody {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(None) => Poll::Pending,
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    const CREATE: &str = "/movie.catalog.v1.MovieCatalog/CreateMovie";
    const UPDATE: &str = "/movie.catalog.v1.MovieCatalog/UpdateMovie";
    const DELETE: &str = "/movie.catalog.v1.MovieCatalog/DeleteMovie";
    const CREED: &[u8] = b"\0\0\0\0\x03\n\x017";

    /// Returns the frame that the fast path responds with, or the number of frames that it read before it declined.
    fn result(path: &str, frames: &[Option<&'static [u8]>]) -> Result<Option<Bytes>, usize> {
        result_of(path, frames, "Creed", false)
    }

    /// Like [`result`] for a movie with this title, and a caller that accepts gzip.
    fn result_of(
        path: &str,
        frames: &[Option<&'static [u8]>],
        title: &str,
        compresses: bool,
    ) -> Result<Option<Bytes>, usize> {
        let movie = Change::Insert(MovieView { id: "7", title, ..MovieView::default() });
        let catalogue = Arc::new(Catalogue::new(Snapshot::default().with([movie]).unwrap()));
        let store = Store::read_only("memory");
        let servicer = CatalogServicer::new(catalogue.clone(), store, watch::channel(true).1, 1);
        let responders = Responders {
            catalogue: &catalogue,
            found: &FoundPrinter::quiet(),
            servicer: &servicer,
            max_message_bytes: 1_000,
        };
        let body = ScriptedBody(frames.iter().map(|frame| frame.map(Bytes::from_static)).collect());
        let request =
            Request::post(path).header(negotiation::GRPC_ACCEPT_ENCODING, "gzip").body(body).unwrap();
        let rpc = Rpc::find(path).unwrap();
        let Ok(mut fast) = FastCall::try_new(rpc, request, compresses) else { return Err(0) };
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match fast.poll_result(responders, cx) {
                Poll::Pending => {}
                Poll::Ready(FastPathResult::Response(response)) => {
                    let Content::Encoded(mut frames) = response.into_body() else {
                        panic!("not from the fast path")
                    };
                    return Ok(frames.next());
                }
                Poll::Ready(FastPathResult::PendingWrite(_)) => panic!("not a read"),
                Poll::Ready(FastPathResult::Declined(request)) => return Err(request.into_body().read.len()),
            }
        }
    }

    #[test]
    fn a_plain_call_is_answered_however_the_request_ends() {
        let creed = Bytes::from_static(b"\0\0\0\0\x0a\n\x05Creed\"\x017");
        for frames in [
            &[Some(CREED)][..],
            &[Some(CREED), Some(b"")],
            &[None, Some(CREED)],
            &[Some(CREED), None, Some(b"")],
        ] {
            assert_eq!(result("/Movie/GetMovieByID", frames), Ok(Some(creed.clone())), "{frames:?}");
        }
        assert_eq!(result("/Movie/GetListMovies", &[Some(frame::EMPTY), Some(b"")]), Ok(Some(creed)));
    }

    #[test]
    fn other_calls_are_declined_with_the_frames_that_were_read() {
        assert_eq!(result("/movie.catalog.v1.MovieCatalog/GetCatalog", &[Some(CREED)]), Err(0));
        assert_eq!(result("/Movie/GetMovieByID", &[]), Err(0));
        assert_eq!(result("/Movie/GetMovieByID", &[Some(b"\0\0"), Some(CREED)]), Err(1));
        assert_eq!(result("/Movie/GetMovieByID", &[Some(CREED), Some(CREED)]), Err(2));
        assert_eq!(result("/Movie/GetMovieByID", &[Some(CREED), Some(b""), Some(b"")]), Err(2));
        assert_eq!(result("/Movie/GetMovieByID", &[Some(b"\0\0\0\0\x03\n\x01\xff")]), Err(1));
        assert_eq!(result("/Movie/GetListMovies", &[Some(CREED)]), Err(1));
    }

    #[test]
    fn a_call_whose_response_is_to_be_compressed_is_declined() {
        // The longest title with which the message is shorter than 1 KiB. The message also has the id and, in `Movie`
        // of `movie.catalog.v1`, the etag.
        for (path, request, short) in [
            ("/Movie/GetMovieByID", CREED, 1_017),
            ("/Movie/GetListMovies", frame::EMPTY, 1_017),
            ("/movie.catalog.v1.MovieCatalog/GetMovie", CREED, 997),
        ] {
            for (length, compresses, is_declined) in
                [(short, true, false), (short + 1, false, false), (short + 1, true, true)]
            {
                let result = result_of(path, &[Some(request)], &"x".repeat(length), compresses);
                assert_eq!(result.is_err(), is_declined, "{path}, {length} bytes: {result:?}");
            }
        }
    }

    /// A servicer over a new store, which can be written.
    async fn writable(dir: &Path) -> CatalogServicer {
        let source = SqlSource::Sqlite(dir.join("movies.db"));
        let (store, catalogue) = Store::open(&source, 10, StoreMetrics::default()).await.unwrap();
        CatalogServicer::new(catalogue, store, watch::channel(true).1, 1)
    }

    /// Returns the response of the fast path to a write: the code of its status, and its message without times and etag.
    async fn written(servicer: &CatalogServicer, path: &str, message: &[u8]) -> Option<(Code, Movie)> {
        let mut frame = frame::EMPTY.to_vec();
        frame.extend(message);
        frame::write_length(&mut frame, 0);
        let body = ScriptedBody(VecDeque::from([Some(frame.into())]));
        let request = Request::post(path).body(body).unwrap();
        let mut fast = FastCall::try_new(Rpc::find(path).unwrap(), request, true).ok().unwrap();
        let (catalogue, found) = (Catalogue::default(), FoundPrinter::quiet());
        let responders =
            Responders { catalogue: &catalogue, found: &found, servicer, max_message_bytes: 1_000 };
        match fast.poll_result(responders, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(FastPathResult::PendingWrite(response)) => {
                let response = response.await;
                let code = refusal::status_code(response.headers()).unwrap_or(Code::Ok);
                let Content::Encoded(mut frames) = response.into_body() else {
                    return Some((code, Movie::default()));
                };
                let movie = Movie::decode(&frames.next().unwrap()[PREFIX_BYTES..]).unwrap();
                Some((code, without_outputs(movie)))
            }
            Poll::Ready(FastPathResult::Response(_) | FastPathResult::Declined(_)) | Poll::Pending => None,
        }
    }

    fn without_outputs(movie: Movie) -> Movie {
        Movie { create_time: None, update_time: None, etag: String::new(), ..movie }
    }

    #[tokio::test]
    async fn a_write_has_the_result_of_the_generated_code() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [fast, generated] = [writable(dirs[0].path()).await, writable(dirs[1].path()).await];
        let movie = |id: &str, year| Movie { id: id.into(), title: "Creed".into(), year, ..Movie::default() };
        let result = |response: Result<tonic::Response<Movie>, Status>| match response {
            Ok(response) => (Code::Ok, without_outputs(response.into_inner())),
            Err(status) => (status.code(), Movie::default()),
        };
        for movie in [movie("1", 2015), movie("1", 2015), movie("2", 1)] {
            let request = CreateMovieRequest { movie: Some(movie), request_id: String::new() };
            let ours = written(&fast, CREATE, &request.encode_to_vec()).await;
            assert_eq!(ours, Some(result(generated.create_movie(tonic::Request::new(request)).await)));
        }
        for movie in [movie("1", 2016), movie("1", 2016), movie("3", 2016)] {
            let request = UpdateMovieRequest { movie: Some(movie), ..UpdateMovieRequest::default() };
            let ours = written(&fast, UPDATE, &request.encode_to_vec()).await;
            assert_eq!(ours, Some(result(generated.update_movie(tonic::Request::new(request)).await)));
        }
        for id in ["1", "1"] {
            let request = DeleteMovieRequest { id: id.into(), ..DeleteMovieRequest::default() };
            let ours = written(&fast, DELETE, &request.encode_to_vec()).await;
            let theirs = generated.delete_movie(tonic::Request::new(request)).await;
            assert_eq!(ours, Some(result(theirs.map(|_| tonic::Response::new(Movie::default())))));
        }
    }

    #[tokio::test]
    async fn a_write_that_is_malformed_or_too_large_is_declined() {
        let dir = tempfile::tempdir().unwrap();
        let servicer = writable(dir.path()).await;
        for message in [b"\x07".as_slice(), &[&[0x12, 0xe8, 7][..], &[b'x'; 1_000]].concat()] {
            assert_eq!(written(&servicer, CREATE, message).await, None);
        }
    }
}
