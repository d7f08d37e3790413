//! The fast way of the two calls of the `Movie` service.
//!
//! The generated code decodes a request into a message, and encodes the answer from another. The catalogue
//! holds movies encoded, so here a call is answered with a slice of it: nothing is decoded but the id, and
//! nothing is copied. Only the plain form of a call is taken: one uncompressed message, written as every
//! protobuf library writes it. Whatever else arrives goes to the generated code unread, or read and
//! replayed; so this module needs to know no error, and a test shows that both ways give the same bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::{Body, Frame, Incoming};

use super::body::{Answer, Ready, Replayed};
use crate::catalogue::{Catalogue, frame};
use crate::found::Found;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The tag of `MovieID.id`: field 1, a length and that many bytes.
const ID: u8 = 1 << 3 | 2;

/// A call of the fast way: reads the request, then has the answer at once.
///
/// Written by hand, not as an `async fn`: that would keep every variable of every step, and moving those
/// around took a fifth of the time of a call.
pub(super) struct Fast {
    call: Call,
    /// The request, until it is returned.
    request: Option<(Parts, Incoming)>,
    /// The first frame of the request, once it was read.
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
}

impl Fast {
    /// Takes a request if it is for the fast way.
    #[expect(clippy::result_large_err, reason = "it is no error, and a box is an allocation a call")]
    pub(super) fn take(request: Request<Incoming>) -> Result<Self, Request<Incoming>> {
        let plain = *request.method() == Method::POST && !request.headers().contains_key(GRPC_ENCODING);
        match Call::at(request.uri().path()) {
            Some(call) if plain => Ok(Self { call, request: Some(request.into_parts()), first: None }),
            _ => Err(request),
        }
    }

    /// Answers the call, or returns it for the generated code. Not to be called again after that.
    pub(super) fn poll_answer(
        &mut self,
        catalogue: &Catalogue,
        found: &Found,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Answer>, Request<Replayed>>> {
        let Some((_, body)) = &mut self.request else { return Poll::Pending };
        if self.first.is_none() {
            self.first = ready!(Pin::new(&mut *body).poll_frame(cx));
        }
        let mut second = None;
        let first = self.first.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Some(message) = first.and_then(whole_message) {
            // The end of the request may come in a frame of its own.
            if !body.is_end_stream() {
                second = ready!(Pin::new(body).poll_frame(cx));
            }
            if second.is_none()
                && let Some(ready) = self.call.answer(catalogue, found, message)
            {
                let mut response = Response::new(Answer::Ready(ready));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                return Poll::Ready(Ok(response));
            }
        }
        let read = second.into_iter().chain(self.first.take()).collect();
        let Some((parts, rest)) = self.request.take() else { return Poll::Pending };
        Poll::Ready(Err(Request::from_parts(parts, Replayed { read, rest })))
    }
}

/// The calls that this module knows.
enum Call {
    GetMovieById,
    GetListMovies,
}

impl Call {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/Movie/GetMovieByID" => Some(Self::GetMovieById),
            "/Movie/GetListMovies" => Some(Self::GetListMovies),
            _ => None,
        }
    }

    /// Answers a request message; `None` if it is not in its plain form.
    fn answer(&self, catalogue: &Catalogue, found: &Found, message: &[u8]) -> Option<Ready> {
        match self {
            Self::GetMovieById => {
                let id = id(message)?;
                let hit = catalogue.read(|movies| movies.frame(id));
                if hit.is_some() {
                    found.announce();
                } else {
                    // A hit is text because the catalogue's ids are; what misses may be anything.
                    str::from_utf8(id).ok()?;
                }
                Some(Ready::One(hit.or(Some(Bytes::from_static(frame::EMPTY)))))
            }
            Self::GetListMovies if message.is_empty() => {
                Some(Ready::Many(Box::new(catalogue.snapshot().into_frames())))
            }
            Self::GetListMovies => None,
        }
    }
}

/// Returns the message in `frame` if it is one, whole and not compressed.
fn whole_message(frame: &Bytes) -> Option<&[u8]> {
    let (prefix, message) = frame.split_first_chunk::<{ frame::PREFIX }>()?;
    let [0, length @ ..] = *prefix else { return None };
    (u32::from_be_bytes(length) as usize == message.len()).then_some(message)
}

/// Returns the id in an encoded `MovieID` of one field with a length of one byte, or of none.
fn id(message: &[u8]) -> Option<&[u8]> {
    match message {
        [] => Some(&[]),
        [ID, length @ 0..0x80, id @ ..] if usize::from(*length) == id.len() => Some(id),
        _ => None,
    }
}
