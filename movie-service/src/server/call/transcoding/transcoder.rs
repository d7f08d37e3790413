//! Calls RPCs for HTTP requests in JSON.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, Uri};
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tonic::codegen::StdError;
use tower::Service;

use crate::rpc::{Kind, Rpc};
use crate::server::call::refusal;
use crate::server::call::transcoding::conditional::IfMatch;
use crate::server::call::transcoding::error::HttpError;
use crate::server::call::transcoding::json_writer::Layout;
use crate::server::call::transcoding::request::{
    check_body_headers, framing, grpc_headers, joined, read_request,
};
use crate::server::call::transcoding::request_body::TranscodedRequest;
use crate::server::call::transcoding::response::{full, message, options, status_of, stream, unary};
use crate::server::call::transcoding::routes::{Route, Routes, RoutesError};
use crate::server::call::transcoding::stream::Framing;

/// Maximum size of JSON in bytes, for each byte of the encoded message: a letter can be written as `\u0061`.
const MAX_JSON_BYTES_PER_BYTE: usize = 6;

/// Calls RPCs for HTTP requests in JSON.
#[derive(Debug)]
pub(crate) struct Transcoder {
    routes: Routes,
    /// Maximum size of the body of a request, in bytes.
    max_body_bytes: usize,
    /// Maximum size of a line of a streamed request, in bytes.
    max_line_bytes: usize,
}

/// A request in gRPC that stands for one in JSON, and what its response depends on.
struct TranscodedCall<B> {
    route: Arc<Route>,
    request: Request<TranscodedRequest<B>>,
    layout: Layout,
    framing: Framing,
    /// The headers of the original request.
    headers: HeaderMap,
    /// Whether the write is bound to a version by `If-Match`.
    is_conditional: bool,
}

impl Transcoder {
    /// Reads the annotations of the contract. Messages of requests are limited to these sizes in bytes.
    ///
    /// # Errors
    ///
    /// [`RoutesError`] if an annotation is not supported.
    pub(crate) fn new(
        max_message_bytes: usize,
        max_import_message_bytes: usize,
    ) -> Result<Self, RoutesError> {
        let descriptors = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET)?;
        Ok(Self {
            routes: Routes::new(&descriptors)?,
            max_body_bytes: max_message_bytes.saturating_mul(MAX_JSON_BYTES_PER_BYTE),
            max_line_bytes: max_import_message_bytes,
        })
    }

    /// Calls `service` in gRPC, and translates its response. The response to HEAD is that to GET.
    pub(crate) fn call<S, B>(
        &self,
        request: Request<B>,
        service: S,
    ) -> impl Future<Output = Response<Body>> + use<S, B>
    where
        S: Service<Request<TranscodedRequest<B>>, Response = Response<Body>, Error = Infallible>,
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Unpin,
    {
        let call = self.begin(request);
        async move {
            match call {
                Ok(call) => answer(call, service).await,
                Err(response) => response,
            }
        }
    }

    /// Returns the call that a request stands for, or the response if there is none.
    #[expect(clippy::result_large_err, reason = "both are moved once a request")]
    fn begin<B>(&self, request: Request<B>) -> Result<TranscodedCall<B>, Response<Body>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        let Some(route) = self.routes.find(&method, path) else {
            return Err(self.no_route(&method, path, &parts.headers));
        };
        check_body_headers(route, &parts.headers).map_err(|error| full(error.into_response()))?;
        let framing = framing(route, &parts.headers);
        let is_bound = method != Method::GET && route.etag_path.is_some();
        let if_match = if is_bound { IfMatch::of(&parts.headers) } else { IfMatch::Absent };
        if if_match == IfMatch::Weak {
            return Err(full(HttpError::WeakEtag.into_response()));
        }
        let is_conditional = if_match != IfMatch::Absent;
        let (messages, layout) = read_request(route, &parts.uri, &parts.headers, &if_match);
        let max_bytes =
            if route.rpc.kind == Kind::Import { self.max_line_bytes } else { self.max_body_bytes };
        let mut request = Request::new(TranscodedRequest::new(body, messages, max_bytes));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(route.rpc.path);
        *request.headers_mut() = grpc_headers(&parts.headers);
        *request.extensions_mut() = parts.extensions;
        Ok(TranscodedCall {
            route: route.clone(),
            request,
            layout,
            framing,
            headers: parts.headers,
            is_conditional,
        })
    }

    /// Returns the response to a request that no route handles.
    fn no_route(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        let mut methods: Vec<_> = self.routes.methods(path).cloned().collect();
        if methods.is_empty() && Rpc::find(path).is_some() {
            return full(
                if *method == Method::POST {
                    HttpError::RpcInJson(joined(headers, CONTENT_TYPE))
                } else {
                    HttpError::MethodNotAllowed(vec![Method::POST])
                }
                .into_response(),
            );
        }
        if methods.is_empty() {
            return full(HttpError::NotFound(path.to_owned()).into_response());
        }
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.push(Method::OPTIONS);
        if method != Method::OPTIONS {
            return full(HttpError::MethodNotAllowed(methods).into_response());
        }
        options(&methods)
    }
}

/// Calls the service, and translates its response.
async fn answer<S, B>(call: TranscodedCall<B>, mut service: S) -> Response<Body>
where
    S: Service<Request<TranscodedRequest<B>>, Response = Response<Body>, Error = Infallible>,
{
    let TranscodedCall { route, request, layout, framing, headers, is_conditional } = call;
    let Ok(response) = service.call(request).await;
    let (parts, body) = response.into_parts();
    let result = if refusal::status_code(&parts.headers).is_some() {
        Err(status_of(&parts.headers))
    } else if route.is_streaming {
        stream(&route, body, framing, layout).await
    } else {
        message(body).await.and_then(|message| unary(&route, &message, layout, &headers))
    };
    let mut response = result.unwrap_or_else(|status| {
        let error = route.error(&status);
        let error = if is_conditional { error.with_precondition() } else { error };
        full(error.response(layout))
    });
    // The permit of the call, which lasts until the response has been written.
    *response.extensions_mut() = parts.extensions;
    response
}
