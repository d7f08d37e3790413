//! Errors over HTTP: an object in JSON (AIP-193), with the HTTP status of google/rpc/code.proto.

use std::fmt;

use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Serialize;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::movie::Violation;
use crate::server::call::transcoding::json_writer::Layout;
use crate::server::call::transcoding::parameter;
use crate::servicer::status::DOMAIN;
use crate::telemetry::metrics::code_name;
use crate::text::Escaped;

/// The type of details that name fields.
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// The type of details that say when to try again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// An error of a request that is refused before it becomes a call. Its response has it as an extension, for the log and the
/// metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    /// With the path.
    #[error("there is nothing at `{}`; GET /openapi.json lists the paths", Escaped(.0))]
    NotFound(String),
    #[error("the method is not allowed here, expected {}", join(.0))]
    MethodNotAllowed(Vec<Method>),
    #[error("the content-type {}, expected {}", problem(.given.as_deref()), .accepted.join(" or "))]
    UnsupportedMediaType { given: Option<String>, accepted: &'static [&'static str] },
    #[error("the charset `{}` of the content-type is not supported, expected utf-8", Escaped(.0))]
    UnsupportedCharset(String),
    #[error("the content-encoding {}, expected none", problem(Some(.0)))]
    UnsupportedEncoding(String),
    #[error(
        "the header If-Match needs a strong etag, and one that begins with W/ is weak; expected the field `etag` of the movie, \
         or the header ETag of a response to a request without Accept-Encoding"
    )]
    WeakEtag,
    #[error("the header Host is missing or given twice, expected the host and port of this service")]
    HostInvalid,
    #[error("pages of `{}` may not call this service; its operator can allow that with --web-origin", Escaped(.0))]
    OriginNotAllowed(String),
    #[error(
        "pages without an origin (`Origin: null`), such as files and sandboxed frames, may not call this service; serve the \
         page over HTTP"
    )]
    OriginNull,
    #[error("the header Origin has several origins, `{}`, expected one", Escaped(.0))]
    SeveralOrigins(String),
    #[error("this path is that of an RPC, and the content-type {}, expected application/grpc; GET /openapi.json lists the paths for JSON", problem(.0.as_deref()))]
    RpcInJson(Option<String>),
    #[error(
        "this service listens on the loopback interface only, and does not answer for the host `{}`; expected localhost or an \
         IP address, or start the service with --web-origin and the origin", Escaped(.0)
    )]
    HostNotServed(String),
}

impl HttpError {
    /// Returns the HTTP status, the code of gRPC, and the reason.
    pub(crate) fn status(&self) -> (StatusCode, Code, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, Code::NotFound, "PATH_UNKNOWN"),
            Self::MethodNotAllowed(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "METHOD_NOT_ALLOWED")
            }
            Self::UnsupportedMediaType { .. } | Self::UnsupportedCharset(_) | Self::RpcInJson(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, "CONTENT_TYPE_UNSUPPORTED")
            }
            Self::UnsupportedEncoding(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, "ENCODING_UNSUPPORTED")
            }
            Self::WeakEtag => (StatusCode::PRECONDITION_FAILED, Code::Aborted, "ETAG_WEAK"),
            Self::HostInvalid => (StatusCode::BAD_REQUEST, Code::InvalidArgument, "HOST_INVALID"),
            Self::OriginNotAllowed(_) | Self::OriginNull | Self::SeveralOrigins(_) => {
                (StatusCode::FORBIDDEN, Code::PermissionDenied, "ORIGIN_NOT_ALLOWED")
            }
            Self::HostNotServed(_) => {
                (StatusCode::MISDIRECTED_REQUEST, Code::PermissionDenied, "HOST_NOT_SERVED")
            }
        }
    }

    /// Returns the response to the request, which has this error as an extension.
    pub(crate) fn into_response(self) -> Response<Vec<u8>> {
        let (status, code, reason) = self.status();
        let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN });
        let object = ErrorObject::new(status, code, &self.to_string(), vec![info]);
        let mut response = object.response(Layout::Compact);
        let header = match &self {
            Self::MethodNotAllowed(methods) => Some((ALLOW, allow(methods))),
            Self::UnsupportedEncoding(_) => Some((ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Self::NotFound(_)
            | Self::UnsupportedMediaType { .. }
            | Self::UnsupportedCharset(_)
            | Self::WeakEtag
            | Self::HostInvalid
            | Self::OriginNotAllowed(_)
            | Self::OriginNull
            | Self::SeveralOrigins(_)
            | Self::RpcInJson(_)
            | Self::HostNotServed(_) => None,
        };
        response.headers_mut().extend(header);
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns what is wrong with the value of a header, which may be missing.
fn problem(given: Option<&str>) -> String {
    given.map_or("is missing".to_owned(), |given| format!("`{}` is not supported", Escaped(given)))
}

/// Returns the value of the header `allow`.
pub(crate) fn allow(methods: &[Method]) -> HeaderValue {
    HeaderValue::try_from(join(methods)).unwrap_or(HeaderValue::from_static(""))
}

fn join(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// Converts the status of a call.
#[derive(Clone, Debug)]
pub(crate) struct ErrorWriter {
    status: Option<MessageDescriptor>,
}

impl ErrorWriter {
    /// Finds the types of details in `descriptors`.
    pub(crate) fn new(descriptors: &DescriptorPool) -> Self {
        Self { status: descriptors.get_message_by_name("google.rpc.Status") }
    }

    /// Returns the object for a status. `request` is the message in which the details name fields, and `body` the JSON name
    /// of the field of it that is the body of the request.
    pub(crate) fn object(
        &self,
        status: &Status,
        request: &MessageDescriptor,
        body: Option<&str>,
    ) -> ErrorObject {
        let mut details = self.details(status);
        // The message of an invalid request is made of its violations, and names the fields, too.
        let is_joined = join_violations(&details) == status.message();
        for violation in details.iter_mut().flat_map(violations_mut) {
            let path = violation["field"].as_str().map(|field| json_path(request, body, field));
            violation["field"] = path.into();
        }
        let message = if is_joined { &join_violations(&details) } else { status.message() };
        let code = code(status.code(), &details);
        ErrorObject::new(http_status(code, &details), code, message, details)
    }

    /// Returns the details of a status as JSON; those of unknown types are left out.
    fn details(&self, status: &Status) -> Vec<Value> {
        let descriptor = self.status.clone();
        let decoded =
            descriptor.and_then(|descriptor| DynamicMessage::decode(descriptor, status.details()).ok());
        let Some(decoded) = decoded else { return Vec::new() };
        let details = decoded.get_field_by_name("details");
        let details = details.as_deref().and_then(prost_reflect::Value::as_list).unwrap_or_default();
        let details = details.iter().filter_map(prost_reflect::Value::as_message);
        details.filter_map(|detail| serde_json::to_value(detail).ok()).collect()
    }
}

/// Returns the invalid fields that a detail names.
fn violations_mut(detail: &mut Value) -> impl Iterator<Item = &mut Value> {
    let is_bad_request = detail["@type"] == BAD_REQUEST;
    let violations = detail.get_mut("fieldViolations").filter(|_| is_bad_request);
    violations.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Returns the invalid fields as the message of an error lists them.
fn join_violations(details: &[Value]) -> String {
    let bad_request = details.iter().find(|detail| detail["@type"] == BAD_REQUEST);
    let violations = bad_request.and_then(|detail| detail["fieldViolations"].as_array());
    let text = |violation: &Value, name: &str| violation[name].as_str().unwrap_or_default().to_owned();
    let violations = violations.into_iter().flatten();
    let violations =
        violations.map(|violation| Violation::new(text(violation, "field"), text(violation, "description")));
    Violation::join(&violations.collect::<Vec<_>>())
}

/// Returns the path of a field as the caller wrote it: in JSON names, and within the body for a field of it.
fn json_path(request: &MessageDescriptor, body: Option<&str>, path: &str) -> String {
    let path = parameter::json_path(request, path);
    let within = body.and_then(|body| path.strip_prefix(body)?.strip_prefix('.'));
    within.map_or_else(|| path.clone(), str::to_owned)
}

/// The body of an error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject {
    error: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    /// The HTTP status.
    code: u16,
    message: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
}

impl ErrorObject {
    fn new(status: StatusCode, code: Code, message: &str, details: Vec<Value>) -> Self {
        let (code, status) = (status.as_u16(), code_name(code));
        Self { error: ErrorBody { code, message: message.to_owned(), status, details } }
    }

    /// Returns the seconds after which to try again, at least one, if the details say so.
    fn retry_after(&self) -> Option<u64> {
        let retry = self.error.details.iter().find(|detail| detail["@type"] == RETRY_INFO)?;
        let seconds = retry["retryDelay"].as_str()?.strip_suffix('s')?.split('.').next()?.parse().ok()?;
        Some(std::cmp::max(seconds, 1))
    }

    /// Returns the response with this object.
    pub(crate) fn response(&self, layout: Layout) -> Response<Vec<u8>> {
        let body = match layout {
            Layout::Compact => serde_json::to_vec(self),
            Layout::Pretty => serde_json::to_vec_pretty(self),
        };
        let mut body = body.unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.error.code == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// Says that the condition of `If-Match` does not hold, if the movie has another etag or does not exist.
    pub(crate) fn with_precondition(mut self) -> Self {
        if ["ETAG_STALE", "MOVIE_NOT_FOUND"].iter().any(|reason| has_reason(&self.error.details, reason)) {
            self.error.code = StatusCode::PRECONDITION_FAILED.as_u16();
        }
        self
    }
}

/// In JSON, on one line.
impl fmt::Display for ErrorObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

fn has_reason(details: &[Value], reason: &str) -> bool {
    details.iter().any(|detail| detail["reason"] == reason)
}

/// Returns the code of an error in JSON. In gRPC, a request that cannot be decoded is INTERNAL.
fn code(code: Code, details: &[Value]) -> Code {
    let is_malformed =
        ["TIMEOUT_MALFORMED", "REQUEST_MALFORMED"].iter().any(|reason| has_reason(details, reason));
    if code == Code::Internal && is_malformed { Code::InvalidArgument } else { code }
}

/// Returns the HTTP status of a code (google/rpc/code.proto), or a closer one of some reasons.
fn http_status(code: Code, details: &[Value]) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // A smaller request avoids it, so it is not the caller's rate.
        Code::ResourceExhausted if has_reason(details, "MESSAGE_TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // Client Closed Request; not registered, but what the mapping says.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
