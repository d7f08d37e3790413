//! How callers reach the service.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_web::{GrpcWebCall, GrpcWebClientService};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::secure::{self, Credentials};
use crate::tally::Problem;

/// What stubs send calls with.
pub(crate) type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, TransportError>;

/// Error of a transport of any kind.
#[derive(Debug, thiserror::Error)]
#[error("the call could not be sent, or its response not received")]
pub(crate) struct TransportError(#[from] BoxError);

/// Deadline of a call: generous, because the machine is busy.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A protocol, the address of the service, and credentials.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    address: SocketAddr,
    protocol: Protocol,
    credentials: Option<Credentials>,
    sends_token: bool,
}

/// A protocol of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web over HTTP/1.1, as browsers use it.
    Web,
}

impl Route {
    pub(crate) fn new(address: SocketAddr, protocol: Protocol, credentials: Option<Credentials>) -> Self {
        Self { address, protocol, credentials, sends_token: true }
    }

    /// Returns the same route for calls without a token.
    pub(crate) fn without_token(&self) -> Self {
        Self { sends_token: false, ..self.clone() }
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Returns the name under which calls of a kind are counted.
    pub(crate) fn label(&self, kind: &str) -> String {
        match (self.protocol, self.has_credentials()) {
            (Protocol::Grpc, false) => kind.to_owned(),
            (Protocol::Grpc, true) => format!("TLS {kind}"),
            (Protocol::Web, _) => format!("gRPC-Web {kind}"),
        }
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Transport, Problem> {
        let token = self.credentials.as_ref().filter(|_| self.sends_token);
        let token = token.map(|credentials| credentials.authorization.clone());
        let transport = match self.protocol {
            Protocol::Grpc => self.grpc().await,
            Protocol::Web => self.web().await,
        };
        let transport = transport.map_err(|error| Problem::Failed(format!("connect: {error:?}")))?;
        let with_token = transport.map_request(move |mut request: Request<Body>| {
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
            }
            request
        });
        Ok(BoxCloneSyncService::new(with_token))
    }

    async fn grpc(&self) -> Result<Transport, Box<dyn Error + Send + Sync>> {
        let scheme = if self.has_credentials() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))?;
        if let Some(credentials) = &self.credentials {
            let authority = Certificate::from_pem(std::fs::read(&credentials.authority)?);
            let tls = ClientTlsConfig::new().ca_certificate(authority).domain_name("localhost");
            endpoint = endpoint.tls_config(tls)?;
        }
        let channel = endpoint.tcp_nodelay(true).timeout(TIMEOUT).connect().await?;
        Ok(BoxCloneSyncService::new(channel.map_err(|error| TransportError(error.into()))))
    }

    async fn web(&self) -> Result<Transport, Box<dyn Error + Send + Sync>> {
        let credentials = self.credentials.as_ref().ok_or("calls in gRPC-Web need credentials")?;
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = secure::connect(stream, &credentials.authority, b"http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let sender: Arc<Mutex<SendRequest<GrpcWebCall<Body>>>> = Arc::new(Mutex::new(sender));
        let send = service_fn(move |mut request: Request<GrpcWebCall<Body>>| {
            let sender = sender.clone();
            async move {
                let headers = request.headers_mut();
                headers.insert(HOST, HeaderValue::from_static("localhost"));
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
                // HTTP/1.1 has one request at a time on a connection.
                let mut sender = sender.lock().await;
                let response = async {
                    sender.ready().await?;
                    sender.send_request(request).await
                };
                match tokio::time::timeout(TIMEOUT, response).await {
                    Ok(response) => response.map_err(|error| TransportError(error.into())),
                    Err(elapsed) => Err(TransportError(elapsed.into())),
                }
            }
        });
        let web = GrpcWebClientService::new(send);
        Ok(BoxCloneSyncService::new(web.map_response(|response| response.map(Body::new))))
    }
}
