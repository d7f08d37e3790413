//! In-process entry points that handle one call or request without a connection. Used by the fuzz targets.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::codegen::StdError;
use tower::service_fn;

use crate::catalogue::Catalogue;
use crate::found::FoundPrinter;
use crate::rpc::Rpc;
use crate::server::call::body::{Content, ResponseBody};
use crate::server::call::dispatch::{Dispatcher, Features};
use crate::server::call::fast_path::{FastCall, FastPathResult};
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::transcoding::transcoder::Transcoder;
use crate::server::limits::Limits;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;
use crate::servicer::health::Health;
use crate::store::Store;
use crate::telemetry::search_metrics::SearchMetrics;

/// Handles calls as a connection does after admission.
pub struct InProcessServer {
    catalogue: Arc<Catalogue>,
    dispatcher: Dispatcher,
    transcoder: Transcoder,
}

impl InProcessServer {
    /// Serves `catalogue`, which it indexes for searches, with the default limits.
    ///
    /// # Errors
    ///
    /// If a service cannot be constructed, or the indexing not be started.
    pub fn new(catalogue: Arc<Catalogue>) -> io::Result<Self> {
        let features = Features { health: false, reflection: false, http: false, ..Features::default() };
        let (health, limits) = (Health::default(), Limits::default());
        let movie = MovieServicer::new(catalogue.clone(), FoundPrinter::quiet());
        let store = Store::read_only("memory");
        let catalog = CatalogServicer::new(catalogue.clone(), store, health.subscribe(), limits.watch_behind);
        let catalog = catalog.with_search(SearchMetrics::default());
        catalogue.start_indexing()?;
        let dispatcher =
            Dispatcher::new(movie, catalog, &health, &features, &limits).map_err(io::Error::other)?;
        let transcoder = Transcoder::new(limits.message, limits.import_message).map_err(io::Error::other)?;
        Ok(Self { catalogue, dispatcher, transcoder })
    }

    /// Handles a request in JSON, by a call in gRPC.
    pub async fn call_json<B>(
        &self,
        request: Request<B>,
    ) -> Response<impl Body<Data = Bytes, Error = Status> + use<B>>
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Send + Unpin> + Send + Unpin + 'static,
    {
        let service = service_fn(async |request| {
            let response = self.call(request).await;
            Ok::<_, Infallible>(response.map(tonic::body::Body::new))
        });
        self.transcoder.call(request, service).await
    }

    /// Handles a call on the fast path or, if that declines it, with the generated code.
    pub async fn call<B>(
        &self,
        request: Request<B>,
    ) -> Response<impl Body<Data = Bytes, Error = Status> + use<B>>
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Send + Unpin> + Send + Unpin + 'static,
    {
        let Some(rpc) = Rpc::find(request.uri().path()) else {
            let response = Status::from(Refusal::NoSuchRpc(request.uri().path().to_owned())).into_http();
            return response.map(into_bytes_body);
        };
        let generated = match FastCall::try_new(rpc, request, self.dispatcher.compresses()) {
            Err(request) => self.dispatcher.call(rpc, request, None),
            Ok(mut fast) => {
                let found = FoundPrinter::quiet();
                let responders = self.dispatcher.responders(&self.catalogue, &found);
                match poll_fn(|cx| fast.poll_result(responders, cx)).await {
                    FastPathResult::Response(response) => return response.map(into_bytes_body),
                    FastPathResult::PendingWrite(response) => return response.await.map(into_bytes_body),
                    FastPathResult::Declined(request) => self.dispatcher.call(rpc, request, None),
                }
            }
        };
        let Ok(mut response) = generated.await;
        refusal::hide_internals(response.headers_mut());
        response.map(|body| into_bytes_body(Content::Generated(body)))
    }
}

fn into_bytes_body(content: Content) -> impl Body<Data = Bytes, Error = Status> {
    ResponseBody::detached(content, None).map_frame(|frame| frame.map_data(Bytes::from))
}
