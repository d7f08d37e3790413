//! A request without its body: the message that its path, its query and its headers make.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use prost_reflect::DynamicMessage;

use crate::movie::Violation;
use crate::rpc::Kind;
use crate::server::call::transcoding::conditional::IfMatch;
use crate::server::call::transcoding::error::HttpError;
use crate::server::call::transcoding::json_writer::Layout;
use crate::server::call::transcoding::parameter::{self, Parameter};
use crate::server::call::transcoding::request_body::{MessageWithField, State};
use crate::server::call::transcoding::routes::{Content, Route};
use crate::server::call::transcoding::stream::{Framing, RESUME_TOKEN};

/// The query parameter that lays a response out for people.
const PRETTY: &str = "pretty";

/// A header that identifies a request, so that it can be sent again (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The parameter that such a header sets.
const REQUEST_ID_PARAMETER: &str = "requestId";

/// The header with the id of the last event that a browser has received (HTML, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The parameter that such a header sets.
const RESUME_PARAMETER: &str = "resumeToken";

/// Returns the message of a request without its body, and the layout of the response.
pub(crate) fn read_request(
    route: &Route,
    uri: &Uri,
    headers: &HeaderMap,
    if_match: &IfMatch,
) -> Result<(State, Layout), Vec<Violation>> {
    let mut message = DynamicMessage::new(route.request.clone());
    let (mut violations, mut layout, mut within) = (Vec::new(), Layout::Compact, Vec::new());
    let mut set = |path: &str, text: &str, violations: &mut Vec<Violation>| {
        let Some(fields) = parameter::resolve(&route.request, path) else { return };
        if matches!(&route.content, Content::Field(body) if fields.first() == Some(body)) {
            // The body is read later, and may not contradict.
            within.push((fields[1..].to_vec(), text.to_owned()));
        } else if let Err(error) = parameter::set(&mut message, &fields, text) {
            violations.push(Violation::new(parameter::json_path(&route.request, path), error.to_string()));
        }
    };
    match route.template.values(uri.path()) {
        Ok(values) => {
            for (variable, value) in route.template.variables().zip(values) {
                set(variable, &value, &mut violations);
            }
        }
        Err(_) => violations.push(Violation::new("path", "expected percent-encoded UTF-8")),
    }
    let query = parameter::parse_query(uri.query().unwrap_or_default());
    if query.is_none() {
        violations.push(Violation::new("query", "expected percent-encoded UTF-8"));
    }
    let mut given: Vec<(String, String)> = Vec::new();
    for Parameter { name, value } in query.unwrap_or_default() {
        if name == PRETTY {
            match value.as_str() {
                "" | "true" | "1" => layout = Layout::Pretty,
                "false" | "0" => layout = Layout::Compact,
                _ => violations.push(Violation::new(PRETTY, "expected true or false")),
            }
            continue;
        }
        let path = parameter::json_path(&route.request, &name);
        if !has_parameter(route, &path) {
            violations.push(unknown_parameter(route, name));
        } else if given.iter().any(|(known, _)| *known == path) && !parameter::is_list(&route.request, &path)
        {
            violations.push(Violation::new(path, "expected this parameter at most once"));
        } else if let Some(names) = parameter::alternatives(&route.request, &path, &given) {
            violations.push(Violation::new(path, format!("expected only one of {}", names.join(", "))));
        } else {
            set(&path, &value, &mut violations);
            given.push((path, value));
        }
    }
    // The address of a watch stays the same when a browser resumes it.
    if let Some(token) = header(headers, &LAST_EVENT_ID).filter(|_| has_parameter(route, RESUME_PARAMETER)) {
        set(RESUME_PARAMETER, token, &mut violations);
    }
    let key = header(headers, &IDEMPOTENCY_KEY).map(|key| (REQUEST_ID_PARAMETER.to_owned(), key));
    let etag = match if_match {
        IfMatch::Etag(etag) => etag_path(route).map(|path| (path, etag.as_str())),
        IfMatch::Any | IfMatch::Never => None,
    };
    for (path, text) in [key, etag].into_iter().flatten() {
        if given.iter().any(|(known, value)| *known == path && value != text) {
            violations.push(Violation::new(path, format!("expected `{text}` as in the header, or none")));
        } else {
            set(&path, text, &mut violations);
        }
    }
    if !violations.is_empty() {
        return Err(violations);
    }
    let state = match &route.content {
        Content::None => State::Ready(Ok(message)),
        Content::Field(field) => {
            State::Field(Box::new(MessageWithField { message, field: field.clone(), set: within }))
        }
        Content::Elements(field) => State::Elements { field: field.clone(), lines: 0 },
    };
    Ok((state, layout))
}

/// Returns the value of a header, if it is text.
fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok())
}

fn has_parameter(route: &Route, path: &str) -> bool {
    route.parameters.iter().any(|known| known == path)
}

fn unknown_parameter(route: &Route, name: String) -> Violation {
    let known = route.parameters.join(", ");
    let description = if known.is_empty() {
        format!("there is no such parameter, expected none but {PRETTY}")
    } else {
        format!("there is no such parameter, expected {known} or {PRETTY}")
    };
    Violation::new(name, description)
}

/// Returns the path of the field for the version that a write is bound to, if the request has one.
pub(crate) fn etag_path(route: &Route) -> Option<String> {
    let within = match &route.content {
        Content::Field(field) => format!("{}.etag", field.json_name()),
        Content::None | Content::Elements(_) => "etag".to_owned(),
    };
    parameter::resolve(&route.request, &within).map(|_| within)
}

/// Checks the headers that describe the body of a request.
pub(crate) fn check_content(
    route: &Route,
    content_type: Option<&HeaderValue>,
    encoding: Option<&HeaderValue>,
) -> Result<(), HttpError> {
    let expected = match route.content {
        Content::None => return Ok(()),
        Content::Field(_) => "application/json",
        Content::Elements(_) => "application/x-ndjson",
    };
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(HttpError::UnsupportedEncoding);
    }
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_lines = matches!(route.content, Content::Elements(_));
    let accepted = [expected, "application/jsonl", "application/json"];
    let accepted = if is_lines { &accepted[..] } else { &accepted[..1] };
    let is_accepted = accepted.iter().any(|accepted| media_type.eq_ignore_ascii_case(accepted.as_bytes()));
    if is_accepted { Ok(()) } else { Err(HttpError::UnsupportedMediaType(expected)) }
}

/// Returns how the messages of a stream are separated.
pub(crate) fn framing(route: &Route, headers: &HeaderMap) -> Framing {
    let accepts = |media_type: &str| {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| {
            value.split(',').any(|part| part.split(';').next().unwrap_or_default().trim() == media_type)
        })
    };
    if route.response.get_field_by_name(RESUME_TOKEN).is_some() && accepts("text/event-stream") {
        Framing::Events
    } else if route.rpc.kind == Kind::Watch || accepts("application/x-ndjson") {
        Framing::Lines
    } else {
        Framing::Array
    }
}

/// Returns the headers of the call: those of the request, but for what describes its body and its connection.
pub(crate) fn grpc_headers(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    for name in ["grpc-encoding", "grpc-accept-encoding"] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers
}
