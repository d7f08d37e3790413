//! What is done with a call.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use movie_proto::movie_server::MovieServer;

use super::MAX_REQUEST;
use super::body::{Answer, Replayed};
use super::fast::{Fast, Outcome};
use crate::catalogue::Catalogue;
use crate::found::Found;
use crate::servicer::MovieServicer;

/// All that can be called.
#[derive(Clone)]
pub(super) struct Services(Arc<Inner>);

struct Inner {
    catalogue: Arc<Catalogue>,
    found: Found,
    movie: MovieServer<MovieServicer>,
}

impl Services {
    pub(super) fn new(catalogue: Arc<Catalogue>, found: Found) -> Self {
        let servicer = MovieServicer::new(catalogue.clone(), found.clone());
        let movie = MovieServer::new(servicer).max_decoding_message_size(MAX_REQUEST);
        Self(Arc::new(Inner { catalogue, found, movie }))
    }

    /// Has the generated code answer.
    fn generated(&self, request: Request<Replayed<Incoming>>) -> Generated {
        tower::Service::call(&mut self.0.movie.clone(), request)
    }
}

impl hyper::service::Service<Request<Incoming>> for Services {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: Request<Incoming>) -> Call {
        let way = match Fast::take(request) {
            Ok(fast) => Way::Fast(fast),
            Err(request) => {
                Way::Generated(self.generated(request.map(|rest| Replayed { read: Vec::new(), rest })))
            }
        };
        Call { services: self.clone(), way }
    }
}

type Generated = <MovieServer<MovieServicer> as tower::Service<Request<Replayed<Incoming>>>>::Future;

/// A call that is being answered.
pub(super) struct Call {
    services: Services,
    way: Way,
}

#[expect(clippy::large_enum_variant, reason = "a box is an allocation a call")]
enum Way {
    Fast(Fast),
    Generated(Generated),
}

impl Future for Call {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { services, way } = &mut *self;
        loop {
            match way {
                Way::Fast(fast) => {
                    match ready!(fast.poll_outcome(&services.0.catalogue, &services.0.found, cx)) {
                        Outcome::Answered(response) => return Poll::Ready(Ok(response)),
                        Outcome::Declined(request) => *way = Way::Generated(services.generated(request)),
                    }
                }
                Way::Generated(answer) => {
                    let response = ready!(answer.as_mut().poll(cx))?;
                    return Poll::Ready(Ok(response.map(Answer::Generated)));
                }
            }
        }
    }
}
