//! Responses of errors: one for each HTTP status, with the reasons for which an operation has it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::contract::{Binding, Contract, Reason};

/// The phrase that stands for the reasons of every write. Where they are listed, a colon follows it.
const OF_EVERY_WRITE: &str = "those of every write";

/// A reason for which the server itself refuses requests, whatever they call.
struct ServerReason {
    status: u16,
    name: &'static str,
    when: &'static str,
    applies_to: Applies,
}

#[derive(Clone, Copy)]
enum Applies {
    Always,
    /// Requests that change something.
    Writes,
    /// Requests with a body.
    Bodies,
    /// Requests with an `If-Match` header.
    Conditional,
}

/// The reasons of the server, see also docs/operations/limits.md.
const SERVER_REASONS: [ServerReason; 18] = {
    use Applies::{Always, Bodies, Conditional, Writes};
    const fn reason(
        status: u16,
        name: &'static str,
        applies_to: Applies,
        when: &'static str,
    ) -> ServerReason {
        ServerReason { status, name, when, applies_to }
    }
    [
        reason(
            400,
            "INVALID_FIELDS",
            Always,
            "BadRequest lists every parameter, header and field that is invalid or unknown",
        ),
        reason(401, "CREDENTIALS_MISSING", Always, "the service needs a token or a client certificate"),
        reason(401, "CREDENTIALS_UNKNOWN", Always, "the token is malformed or unknown"),
        reason(403, "ROLE_TOO_LOW", Always, "the caller's role does not allow the call"),
        reason(403, "ORIGIN_NOT_ALLOWED", Always, "pages of this origin may not call the service"),
        reason(403, "ANONYMOUS_WRITE", Writes, "the service does not accept writes without tokens"),
        reason(400, "HOST_INVALID", Always, "the header Host is missing, or given twice"),
        reason(400, "TIMEOUT_MALFORMED", Always, "the header Grpc-Timeout cannot be parsed"),
        reason(412, "ETAG_STALE", Conditional, "the movie does not have the etag of If-Match; read it again"),
        reason(
            412,
            "ETAG_WEAK",
            Conditional,
            "the etag of If-Match is weak; use the field `etag` of the body",
        ),
        reason(413, "MESSAGE_TOO_LARGE", Bodies, "the body, or a line of it, is too large"),
        reason(
            415,
            "CONTENT_TYPE_UNSUPPORTED",
            Bodies,
            "the body has another content type than described here",
        ),
        reason(415, "ENCODING_UNSUPPORTED", Bodies, "the body is compressed"),
        reason(
            421,
            "HOST_NOT_SERVED",
            Always,
            "the service listens on loopback only, and does not answer for this host",
        ),
        reason(429, "SERVICE_BUSY", Always, "too many calls are in flight; RetryInfo"),
        reason(500, "SERVICE_FAILED", Always, "the service is at fault"),
        reason(
            503,
            "SERVICE_STOPPING",
            Always,
            "the service is stopping; retry later, or on another service; RetryInfo",
        ),
        reason(504, "DEADLINE_EXCEEDED", Always, "the call took longer than its deadline"),
    ]
};

/// The status of requests whose path and headers exceed the limit of HTTP/1.1 or HTTP/2. It has no body.
const HEADERS_TOO_LARGE: u16 = 431;

/// A status of errors: the number, the name of its response in the document, and what it means.
const STATUSES: [(u16, &str, &str); 15] = [
    (400, "BadRequest", "The request is invalid."),
    (401, "Unauthorized", "The caller is not known."),
    (403, "Forbidden", "The caller may not do this."),
    (404, "NotFound", "There is no such resource or path."),
    (409, "Conflict", "The request conflicts with the state of the resource."),
    (412, "PreconditionFailed", "The resource has changed."),
    (413, "ContentTooLarge", "The body is too large."),
    (415, "UnsupportedMediaType", "The body has a content type or a content encoding that is not supported."),
    (421, "MisdirectedRequest", "The service does not answer for this host."),
    (429, "TooManyRequests", "A limit is reached."),
    (431, "RequestHeaderFieldsTooLarge", "The path and the headers are too large. The connection is closed."),
    (500, "InternalServerError", "The service is at fault."),
    (501, "NotImplemented", "The service was started without this."),
    (503, "ServiceUnavailable", "The service, or its store, is not available."),
    (504, "GatewayTimeout", "The deadline has passed."),
];

/// Returns the responses of errors that an operation can have, by their status.
pub(super) fn responses(contract: &Contract, binding: &Binding, errors: &str) -> Result<Map<String, Value>> {
    // Reasons of the contract first: they say more.
    let mut by_status: BTreeMap<u16, Vec<(String, String)>> = BTreeMap::new();
    for reason in reasons(contract, errors) {
        let status =
            http_status(&reason.code).with_context(|| format!("{} has an unknown code", reason.name))?;
        by_status.entry(status).or_default().push((reason.name.clone(), reason.when.clone()));
    }
    for reason in &SERVER_REASONS {
        let applies = match reason.applies_to {
            Applies::Always => true,
            Applies::Writes => binding.is_write(),
            Applies::Bodies => binding.body.is_some(),
            Applies::Conditional => binding.has_etag(),
        };
        let reasons = by_status.entry(reason.status).or_default();
        if applies && reasons.iter().all(|(name, _)| name != reason.name) {
            reasons.push((reason.name.to_owned(), reason.when.to_owned()));
        }
    }
    by_status.retain(|_, reasons| !reasons.is_empty());
    by_status.insert(HEADERS_TOO_LARGE, Vec::new());
    let responses = by_status.into_iter().map(|(status, reasons)| {
        let (name, summary) = status_name(status)?;
        let reference = format!("#/components/responses/{name}");
        if reasons.is_empty() {
            return Ok((status.to_string(), json!({ "$ref": reference })));
        }
        let reasons = reasons.iter().map(|(name, when)| format!("\n- `{name}`: {when}"));
        let description = format!("{summary}\n{}", reasons.collect::<String>());
        Ok((status.to_string(), json!({ "$ref": reference, "description": description })))
    });
    responses.collect()
}

/// Returns the responses that operations refer to, for the components of the document.
pub(super) fn components() -> Map<String, Value> {
    let responses = STATUSES.into_iter().map(|(status, name, description)| {
        let mut response = json!({ "description": description });
        // Sent before the request is read.
        if status != HEADERS_TOO_LARGE {
            response["content"] =
                json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
        }
        let header = match status {
            401 => Some("WWW-Authenticate"),
            415 => Some("Accept-Encoding"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            response["headers"] = json!({ header: { "$ref": format!("#/components/headers/{header}") } });
        }
        (name.to_owned(), response)
    });
    responses.collect()
}

/// Returns the schema of all errors (AIP-193).
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "An error (AIP-193).",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "status"],
                "properties": {
                    "code": { "type": "integer", "format": "int32", "description": "The HTTP status." },
                    "message": { "type": "string", "description": "What failed and what was expected, for people." },
                    "status": { "type": "string", "description": "The name of the gRPC status code." },
                    "details": {
                        "type": "array",
                        "description": "Details for programs: google.rpc.ErrorInfo with the reason, and as the reason says \
                            google.rpc.BadRequest, ResourceInfo or RetryInfo.",
                        "items": {
                            "type": "object",
                            "required": ["@type"],
                            "properties": { "@type": { "type": "string", "description": "The type of the message." } },
                        },
                    },
                },
            },
        },
        "examples": [{
            "error": {
                "code": 404,
                "message": "no movie has the id `7`",
                "status": "NOT_FOUND",
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "MOVIE_NOT_FOUND",
                    "domain": "movie-service",
                }],
            },
        }],
    })
}

/// Returns the reasons that the paragraph of a comment about errors names.
fn reasons<'a>(contract: &'a Contract, errors: &str) -> Vec<&'a Reason> {
    let mut named = words(errors);
    if errors.contains(OF_EVERY_WRITE) {
        let comments = contract
            .methods()
            .map(|method| contract.comment(&method.parent_service().parent_file(), method.path()).to_owned());
        let lists = comments.filter_map(|comment| {
            let comment = comment.replace('\n', " ");
            comment.split_once(&format!("{OF_EVERY_WRITE}:")).map(|(_, list)| list.to_owned())
        });
        named.extend(lists.flat_map(|list| words(&list)));
    }
    contract.reasons.iter().filter(|reason| named.contains(&reason.name)).collect()
}

/// Returns the words of a text that can be reasons.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.contains('_')).map(str::to_owned).collect()
}

/// Returns the name of the response with a status, and what it means.
fn status_name(status: u16) -> Result<(&'static str, &'static str)> {
    match STATUSES.iter().find(|(other, _, _)| *other == status) {
        Some((_, name, summary)) => Ok((name, summary)),
        None => bail!("the HTTP status {status} has no response"),
    }
}

/// Returns the HTTP status of a code (google/rpc/code.proto).
fn http_status(code: &str) -> Option<u16> {
    Some(match code {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "ALREADY_EXISTS" | "ABORTED" => 409,
        "RESOURCE_EXHAUSTED" => 429,
        "UNKNOWN" | "INTERNAL" | "DATA_LOSS" => 500,
        "UNIMPLEMENTED" => 501,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => return None,
    })
}
