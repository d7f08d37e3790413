//! The fast path of the most frequent calls: those of the `Movie` service, and `GetMovie` of `MovieCatalog`.
//!
//! The generated code decodes a request into a message, and encodes the response from another. The catalogue
//! holds movies encoded, so here a call is answered with a slice of it: nothing is decoded but the id, and
//! nothing is copied. Only the plain form of a call is taken: one uncompressed message, written as every
//! protobuf library writes it, and a response that is not to be compressed. Whatever else arrives goes to the generated
//! code unread, or read and replayed; so this module needs to know no error, and a test shows that both ways give the
//! same bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};

use crate::catalogue::encoding::frame;
use crate::catalogue::{Catalogue, Snapshot};
use crate::found::FoundPrinter;
use crate::rpc::{FastPath, Rpc};
use crate::server::call::body::{Content, Ready, Replayed, RequestBody};
use crate::server::call::gzip;

/// The tag of `MovieID.id` and `GetMovieRequest.id`: field 1, a length and that many bytes.
const ID: u8 = 1 << 3 | 2;

/// What became of a call.
pub(crate) enum Outcome<B: Body> {
    /// Here is its response.
    Answered(Response<Content>),
    /// It is for the generated code.
    Declined(Request<Replayed<B>>),
}

/// A call on the fast path: reads the request, then answers without waiting.
///
/// Written by hand, not as an `async fn`, so that it can be polled in place: most requests have arrived completely by
/// then, and need no boxed future. Moving futures took nearly a quarter of a call's time.
pub(crate) struct FastCall<B: Body = RequestBody> {
    method: FastPath,
    /// The RPC of the call.
    rpc: Rpc,
    /// Whether long messages are compressed for callers that accept that.
    compresses: bool,
    /// The request, until the call has its outcome.
    request: Option<Request<B>>,
    /// The first frame of the request, once it was read.
    first: Option<Result<Frame<Bytes>, B::Error>>,
}

impl<B: Body<Data = Bytes> + Unpin> FastCall<B> {
    /// Takes a request, or returns it if it is not for the fast path. `compresses` says whether long messages are
    /// compressed for callers that accept that.
    #[expect(clippy::result_large_err, reason = "it is no error, and a box is an allocation a call")]
    pub(crate) fn take(rpc: Rpc, request: Request<B>, compresses: bool) -> Result<Self, Request<B>> {
        match rpc.fast_path {
            Some(fast_path) if !request.headers().contains_key(gzip::GRPC_ENCODING) => {
                Ok(Self { method: fast_path, rpc, compresses, request: Some(request), first: None })
            }
            _ => Err(request),
        }
    }

    /// Returns the RPC of the call.
    pub(crate) fn rpc(&self) -> Rpc {
        self.rpc
    }

    /// Reads the request and returns the result.
    ///
    /// # Panics
    ///
    /// If polled after completion.
    pub(crate) fn poll_outcome(
        &mut self,
        catalogue: &Catalogue,
        found: &FoundPrinter,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<B>> {
        let Self { method, compresses, request, first, .. } = self;
        let body = request.as_mut().expect("a call has one outcome").body_mut();
        if first.is_none() {
            *first = ready!(Pin::new(&mut *body).poll_frame(cx));
        }
        let message = first.as_ref().and_then(|frame| whole_message(frame.as_ref().ok()?.data_ref()?));
        // Many clients end the request with an empty DATA frame.
        let second = match message {
            Some(_) if !body.is_end_stream() => ready!(Pin::new(&mut *body).poll_frame(cx)),
            _ => None,
        };
        let ended = match &second {
            None => body.is_end_stream(),
            Some(frame) => body.is_end_stream() && is_empty(frame),
        };
        let is_plain = |frame: usize| {
            let is_accepted = || request.as_ref().is_some_and(|request| gzip::is_accepted(request.headers()));
            !(*compresses && gzip::is_long(frame) && is_accepted())
        };
        if ended
            && let Some(ready) =
                message.and_then(|message| answer(*method, catalogue, found, message, is_plain))
        {
            let mut response = Response::new(Content::Ready(ready));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            return Poll::Ready(Outcome::Answered(response));
        }
        let request = request.take().expect("a call has one outcome");
        let read = second.into_iter().chain(first.take()).collect();
        Poll::Ready(Outcome::Declined(request.map(|rest| Replayed { read, rest })))
    }
}

/// Answers a request message; `None` if it is not in its plain form, or the response is not: `is_plain(n)` tells
/// whether a frame of n bytes is sent uncompressed.
fn answer(
    fast_path: FastPath,
    catalogue: &Catalogue,
    found: &FoundPrinter,
    message: &[u8],
    is_plain: impl Fn(usize) -> bool,
) -> Option<Ready> {
    match fast_path {
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
            Some(Ready::One(hit.or(Some(Bytes::from_static(frame::EMPTY)))))
        }
        FastPath::ListOfMovies if message.is_empty() => {
            let frames = |movies: &Snapshot| is_plain(movies.longest_frame()).then(|| movies.frames());
            Some(Ready::Many(Box::new(catalogue.read(frames)?)))
        }
        FastPath::ListOfMovies => None,
        // A missing movie is an error, which the generated code returns.
        FastPath::Movie => {
            let found = catalogue.read(|movies| movies.full_frame(id(message)?))?;
            is_plain(found.len()).then_some(Ready::One(Some(found)))
        }
    }
}

/// Returns whether this is an empty DATA frame.
fn is_empty<E>(frame: &Result<Frame<Bytes>, E>) -> bool {
    frame.as_ref().is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty))
}

/// Returns the message in `frame` if it is one, whole and not compressed.
fn whole_message(frame: &Bytes) -> Option<&[u8]> {
    let (prefix, message) = frame.split_first_chunk::<{ frame::PREFIX_BYTES }>()?;
    let [0, length @ ..] = *prefix else { return None };
    (u32::from_be_bytes(length) as usize == message.len()).then_some(message)
}

/// Returns the id in an encoded `MovieID` or `GetMovieRequest` of one field with a length of one byte, or of none.
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
    use std::task::Waker;

    use super::*;
    use crate::catalogue::{Change, MovieView};

    /// A request body of which the frames come one by one; `None` makes the reader wait once.
    struct Script(VecDeque<Option<Bytes>>);

    impl Body for Script {
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

    const CREED: &[u8] = b"\0\0\0\0\x03\n\x017";

    /// Returns the frame that the fast path answers a call with, or how many frames it hands on.
    fn outcome(path: &str, frames: &[Option<&'static [u8]>]) -> Result<Option<Bytes>, usize> {
        outcome_of(path, frames, "Creed", false)
    }

    /// The same for a movie with another title, and a caller that accepts gzip.
    fn outcome_of(
        path: &str,
        frames: &[Option<&'static [u8]>],
        title: &str,
        compresses: bool,
    ) -> Result<Option<Bytes>, usize> {
        let movie = Change::Insert(MovieView { id: "7", title, ..MovieView::default() });
        let catalogue = Catalogue::new(Snapshot::default().with([movie]).unwrap());
        let body = Script(frames.iter().map(|frame| frame.map(Bytes::from_static)).collect());
        let request = Request::post(path).header(gzip::GRPC_ACCEPT_ENCODING, "gzip").body(body).unwrap();
        let rpc = Rpc::find(path).unwrap();
        let Ok(mut fast) = FastCall::take(rpc, request, compresses) else { return Err(0) };
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match fast.poll_outcome(&catalogue, &FoundPrinter::quiet(), cx) {
                Poll::Pending => {}
                Poll::Ready(Outcome::Answered(response)) => {
                    let Content::Ready(mut ready) = response.into_body() else {
                        panic!("not from the fast path")
                    };
                    return Ok(ready.next());
                }
                Poll::Ready(Outcome::Declined(request)) => return Err(request.into_body().read.len()),
            }
        }
    }

    #[test]
    fn a_plain_call_is_answered_however_its_end_is_told() {
        let creed = Bytes::from_static(b"\0\0\0\0\x0a\n\x05Creed\"\x017");
        for frames in [
            &[Some(CREED)][..],
            &[Some(CREED), Some(b"")],
            &[None, Some(CREED)],
            &[Some(CREED), None, Some(b"")],
        ] {
            assert_eq!(outcome("/Movie/GetMovieByID", frames), Ok(Some(creed.clone())), "{frames:?}");
        }
        assert_eq!(outcome("/Movie/GetListMovies", &[Some(frame::EMPTY), Some(b"")]), Ok(Some(creed)));
    }

    #[test]
    fn what_is_not_plain_is_declined_with_all_that_was_read() {
        assert_eq!(outcome("/movie.catalog.v1.MovieCatalog/GetCatalog", &[Some(CREED)]), Err(0));
        assert_eq!(outcome("/Movie/GetMovieByID", &[]), Err(0));
        assert_eq!(outcome("/Movie/GetMovieByID", &[Some(b"\0\0"), Some(CREED)]), Err(1));
        assert_eq!(outcome("/Movie/GetMovieByID", &[Some(CREED), Some(CREED)]), Err(2));
        assert_eq!(outcome("/Movie/GetMovieByID", &[Some(CREED), Some(b""), Some(b"")]), Err(2));
        assert_eq!(outcome("/Movie/GetMovieByID", &[Some(b"\0\0\0\0\x03\n\x01\xff")]), Err(1));
        assert_eq!(outcome("/Movie/GetListMovies", &[Some(CREED)]), Err(1));
    }

    #[test]
    fn a_response_that_is_to_be_compressed_is_declined() {
        // The longest title with which the message has less than 1 KiB: beside it, there is the id, and an etag if all
        // that is known is asked for.
        for (path, request, short) in [
            ("/Movie/GetMovieByID", CREED, 1_017),
            ("/Movie/GetListMovies", frame::EMPTY, 1_017),
            ("/movie.catalog.v1.MovieCatalog/GetMovie", CREED, 997),
        ] {
            for (length, compresses, is_declined) in
                [(short, true, false), (short + 1, false, false), (short + 1, true, true)]
            {
                let outcome = outcome_of(path, &[Some(request)], &"x".repeat(length), compresses);
                assert_eq!(outcome.is_err(), is_declined, "{path}, {length} bytes: {outcome:?}");
            }
        }
    }
}
