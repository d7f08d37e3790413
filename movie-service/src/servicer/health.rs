//! The standard health service, `grpc.health.v1`.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::servicer::error::CallError;

/// The name of the whole service.
const WHOLE_SERVICE: &str = "";

/// Serving status, for the health service. Read-only services need only the catalogue. The whole service also needs the
/// store.
///
/// Dropping it ends the streams of `Watch`, which would otherwise delay a shutdown.
#[derive(Debug, Default)]
pub struct Health {
    reading: watch::Sender<bool>,
    whole: watch::Sender<bool>,
}

/// Implements `grpc.health.v1.Health`.
#[derive(Clone, Debug)]
pub struct HealthServicer {
    services: Arc<[(&'static str, watch::Receiver<bool>)]>,
    whole: watch::Receiver<bool>,
}

impl Health {
    /// Returns the health service for the given read-only and writing services and for the empty name. Initially all
    /// are `NOT_SERVING`.
    #[must_use]
    pub fn server(&self, reading: &[&'static str], writing: &[&'static str]) -> HealthServer<HealthServicer> {
        let reading = reading.iter().map(|name| (*name, self.reading.subscribe()));
        let writing = writing.iter().map(|name| (*name, self.subscribe()));
        HealthServer::new(HealthServicer {
            services: reading.chain(writing).collect(),
            whole: self.subscribe(),
        })
    }

    /// Returns a receiver of the status of the whole service.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.whole.subscribe()
    }

    /// Returns a receiver of the status of the services that only read: false until the start and from the stop on,
    /// whatever the store does.
    #[must_use]
    pub fn subscribe_reading(&self) -> watch::Receiver<bool> {
        self.reading.subscribe()
    }

    /// Sets whether the service is serving, and whether its store is available. Notifies watches of changes.
    pub fn set_serving(&self, serving: bool, store_available: bool) {
        for (health, serving) in [(&self.reading, serving), (&self.whole, serving && store_available)] {
            health.send_if_modified(|old| std::mem::replace(old, serving) != serving);
        }
    }
}

impl HealthServicer {
    fn find(&self, name: &str) -> Option<&watch::Receiver<bool>> {
        if name == WHOLE_SERVICE {
            return Some(&self.whole);
        }
        self.services.iter().find(|(known, _)| *known == name).map(|(_, serving)| serving)
    }
}

#[tonic::async_trait]
impl health_server::Health for HealthServicer {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let Some(serving) = self.find(&request.get_ref().service) else {
            let known = self.services.iter().map(|(name, _)| *name).collect();
            return Err(CallError::UnknownService { known }.into());
        };
        Ok(Response::new(response(*serving.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.find(&request.get_ref().service);
        let serving = known.unwrap_or(&self.whole).clone();
        let known = known.is_some();
        let changes = WatchStream::new(serving).map(move |serving| {
            // The protocol requires a status instead of an error, because the service could appear later.
            Ok(if known { response(serving) } else { status(ServingStatus::ServiceUnknown) })
        });
        let end = tokio_stream::once(Err(CallError::Stopping.into()));
        Ok(Response::new(Box::pin(changes.chain(end))))
    }
}

fn response(serving: bool) -> HealthCheckResponse {
    status(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn status(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tonic::Code;
    use tonic_health::pb::health_server::Health as _;
    use tonic_types::StatusExt;

    use super::*;

    fn health() -> (Health, HealthServicer) {
        let health = Health::default();
        let [movie, whole] = [health.subscribe(), health.subscribe()];
        (health, HealthServicer { services: [("Movie", movie)].into(), whole })
    }

    fn reason(status: &Status) -> String {
        status.get_error_details().error_info().unwrap().reason.clone()
    }

    fn request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    #[tokio::test]
    async fn each_service_and_the_whole_have_the_same_status() {
        let (health, servicer) = health();
        for serving in [false, true, false] {
            health.set_serving(serving, true);
            for name in ["", "Movie"] {
                assert_eq!(servicer.check(request(name)).await.unwrap().into_inner(), response(serving));
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_service_is_not_found_but_can_be_watched() {
        let (_health, servicer) = health();
        let error = servicer.check(request("movie")).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(reason(&error), "SERVICE_UNKNOWN");
        assert!(error.message().contains("expected `Movie`, or an empty name"), "{error}");
        let mut watch = servicer.watch(request("movie")).await.unwrap().into_inner();
        assert_eq!(watch.next().await.unwrap().unwrap(), status(ServingStatus::ServiceUnknown));
    }

    #[tokio::test]
    async fn a_watch_sends_each_change_once_and_ends_with_the_service() {
        let (health, servicer) = health();
        let mut watch = servicer.watch(request("Movie")).await.unwrap().into_inner();
        assert_eq!(watch.next().await.unwrap().unwrap(), response(false));
        health.set_serving(true, true);
        assert_eq!(watch.next().await.unwrap().unwrap(), response(true));
        health.set_serving(true, true);
        assert!(watch.as_mut().poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
        health.set_serving(false, true);
        assert_eq!(watch.next().await.unwrap().unwrap(), response(false));
        drop(health);
        let end = watch.next().await.unwrap().unwrap_err();
        assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "SERVICE_STOPPING"));
        assert!(watch.next().await.is_none());
        // Check still works after the watches ended.
        assert_eq!(servicer.check(request("")).await.unwrap().into_inner(), response(false));
    }
}
