//! A request without its body: the message that its path, its query and its headers make.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use prost_reflect::{DynamicMessage, FieldDescriptor};

use crate::movie::Violation;
use crate::rpc::Kind;
use crate::server::call::transcoding::conditional::IfMatch;
use crate::server::call::transcoding::error::HttpError;
use crate::server::call::transcoding::json_writer::Layout;
use crate::server::call::transcoding::parameter::{self, Parameter};
use crate::server::call::transcoding::request_body::{MessageWithField, RequestMessages};
use crate::server::call::transcoding::routes::{BodyBinding, Route};
use crate::server::call::transcoding::stream::Framing;
use crate::servicer::convert::MAX_VIOLATIONS;

/// The query parameter that lays a response out for people.
const PRETTY: &str = "pretty";

/// A header that identifies a request, so that it can be sent again, and the path of the field that it stands for.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID_PATH: &str = "requestId";

/// The header with the id of the last event that a browser has received (HTML, section 9.2.4), and the path of the field
/// that it stands for.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const RESUME_TOKEN_PATH: &str = "resumeToken";

/// The path of the field with which an update or a delete needs no movie.
const ALLOW_MISSING_PATH: &str = "allowMissing";

/// Returns how the body of a request is read, and the layout of the response.
pub(crate) fn read_request(
    route: &Route,
    uri: &Uri,
    headers: &HeaderMap,
    if_match: &IfMatch,
) -> (RequestMessages, Layout) {
    let mut fields = Fields {
        route,
        message: DynamicMessage::new(route.request.clone()),
        in_body: Vec::new(),
        violations: Vec::new(),
    };
    fields.set_variables(uri.path());
    let (layout, given) = fields.set_parameters(uri.query().unwrap_or_default());
    fields.set_headers(headers, if_match, &given);
    (fields.into_messages(), layout)
}

/// The fields of a request message that do not come from the body.
struct Fields<'a> {
    route: &'a Route,
    message: DynamicMessage,
    /// Fields within the body: it is read later, and may not contradict.
    in_body: Vec<(Vec<FieldDescriptor>, String)>,
    violations: Vec<Violation>,
}

impl Fields<'_> {
    fn set(&mut self, path: &str, text: &str) {
        let Some(fields) = parameter::resolve(&self.route.request, path) else { return };
        if matches!(&self.route.body, BodyBinding::Field(body) if fields.first() == Some(body)) {
            self.in_body.push((fields[1..].to_vec(), text.to_owned()));
        } else if let Err(error) = parameter::set(&mut self.message, &fields, text) {
            self.refuse(parameter::json_path(&self.route.request, path), error.to_string());
        }
    }

    fn refuse(&mut self, name: impl Into<String>, expected: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation::new(name, expected));
        }
    }

    /// Sets the variables of the path.
    fn set_variables(&mut self, path: &str) {
        match self.route.template.values(path) {
            Ok(values) => {
                for (variable, value) in self.route.template.variables().zip(values) {
                    self.set(variable, &value);
                }
            }
            Err(_) => self.refuse("path", "expected percent-encoded UTF-8"),
        }
    }

    /// Sets the parameters of the query; returns the layout, and the paths and values of the parameters.
    fn set_parameters(&mut self, query: &str) -> (Layout, Vec<(String, String)>) {
        let (mut layout, mut given): (_, Vec<(String, String)>) = (Layout::Compact, Vec::new());
        let Some(parameters) = parameter::parse_query(query) else {
            self.refuse("query", "expected percent-encoded UTF-8");
            return (layout, given);
        };
        let request = &self.route.request;
        for Parameter { name, value } in parameters {
            if name == PRETTY {
                match value.as_str() {
                    "" | "true" | "1" => layout = Layout::Pretty,
                    "false" | "0" => layout = Layout::Compact,
                    _ => self.refuse(PRETTY, "expected true or false"),
                }
                continue;
            }
            let path = parameter::json_path(request, &name);
            if !has_parameter(self.route, &path) {
                self.refuse_unknown(&name);
            } else if given.iter().any(|(known, _)| *known == path) && !parameter::is_list(request, &path) {
                self.refuse(path, "expected this parameter at most once");
            } else if let Some(names) = parameter::alternatives(request, &path, &given) {
                self.refuse(path, format!("expected only one of {}", names.join(", ")));
            } else {
                self.set(&path, &value);
                given.push((path, value));
            }
        }
        (layout, given)
    }

    fn refuse_unknown(&mut self, name: &str) {
        let known = self.route.parameters.join(", ");
        let expected = if known.is_empty() { "none but".to_owned() } else { format!("{known} or") };
        self.refuse(
            parameter::shorten(name),
            format!("there is no such parameter, expected {expected} {PRETTY}"),
        );
    }

    /// Sets the fields that headers stand for.
    fn set_headers(&mut self, headers: &HeaderMap, if_match: &IfMatch, given: &[(String, String)]) {
        // The address of a watch stays the same when a browser resumes it. Before the first event with an id, the header is
        // absent or empty.
        let token = self.header(headers, &LAST_EVENT_ID, RESUME_TOKEN_PATH);
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            self.set(RESUME_TOKEN_PATH, &token);
        }
        let key = self.header(headers, &IDEMPOTENCY_KEY, REQUEST_ID_PATH);
        let key = key.map(|key| (REQUEST_ID_PATH.to_owned(), key));
        let etag = match if_match {
            IfMatch::Etag(etag) => self.route.etag_path.clone().map(|path| (path, etag.clone())),
            IfMatch::Absent | IfMatch::Existing => None,
        };
        for (path, text) in [key, etag].into_iter().flatten() {
            if given.iter().any(|(known, value)| *known == path && *value != text) {
                self.refuse(path, format!("expected `{text}` as in the header, or none"));
            } else {
                self.set(&path, &text);
            }
        }
        if *if_match != IfMatch::Absent {
            // The condition does not hold without a movie (RFC 9110, section 13.1.1).
            self.set(ALLOW_MISSING_PATH, "false");
        }
        if headers.contains_key(IF_NONE_MATCH) && self.route.method != Method::GET {
            self.refuse(IF_NONE_MATCH.as_str(), "expected this header with GET and HEAD only");
        }
        if matches!(self.route.body, BodyBinding::None) && has_body(headers) {
            self.refuse("body", "expected none");
        }
    }

    /// Returns the value of a header that stands for the field of this path, if the request has both.
    fn header(&mut self, headers: &HeaderMap, name: &HeaderName, path: &str) -> Option<String> {
        if !has_parameter(self.route, path) {
            return None;
        }
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        match str::from_utf8(value.as_bytes()) {
            Ok(text) if values.next().is_none() => Some(text.to_owned()),
            _ => {
                self.refuse(name.as_str(), "expected one value in UTF-8");
                None
            }
        }
    }

    fn into_messages(self) -> RequestMessages {
        let Self { route, message, in_body, violations } = self;
        if !violations.is_empty() {
            return RequestMessages::Ready(Err(violations));
        }
        match &route.body {
            BodyBinding::None => RequestMessages::Ready(Ok(message)),
            BodyBinding::Field(field) => RequestMessages::Field(Box::new(MessageWithField {
                message,
                field: field.clone(),
                set: in_body,
            })),
            BodyBinding::Elements(field) => RequestMessages::Elements { field: field.clone(), lines: 0 },
        }
    }
}

fn has_parameter(route: &Route, path: &str) -> bool {
    route.parameters.iter().any(|known| known == path)
}

/// Returns whether the headers announce a body.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map_or(&b"0"[..], HeaderValue::as_bytes);
    length != b"0" || headers.contains_key(TRANSFER_ENCODING)
}

/// Checks the headers that describe the body of a request.
pub(crate) fn check_body_headers(
    route: &Route,
    content_type: Option<&HeaderValue>,
    encoding: Option<&HeaderValue>,
) -> Result<(), HttpError> {
    let accepted: &[_] = match route.body {
        BodyBinding::None => return Ok(()),
        BodyBinding::Field(_) => &["application/json"],
        BodyBinding::Elements(_) => &["application/x-ndjson", "application/jsonl", "application/json"],
    };
    let text = |header: Option<&HeaderValue>| {
        header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(HttpError::UnsupportedEncoding(text(encoding)));
    }
    let given = text(content_type);
    let media_type = given.split(';').next().unwrap_or_default().trim();
    let is_accepted = accepted.iter().any(|accepted| media_type.eq_ignore_ascii_case(accepted));
    if is_accepted { Ok(()) } else { Err(HttpError::UnsupportedMediaType { given, accepted }) }
}

/// Returns how the messages of a stream are separated.
pub(crate) fn framing(route: &Route, headers: &HeaderMap) -> Framing {
    let accepts = |media_type: &str| {
        weighted(headers, &ACCEPT).any(|(name, weight)| name.eq_ignore_ascii_case(media_type) && weight > 0.0)
    };
    if route.resume_token.is_some() && accepts("text/event-stream") {
        Framing::Events
    } else if route.rpc.kind == Kind::Watch || accepts("application/x-ndjson") {
        Framing::Lines
    } else {
        Framing::Array
    }
}

/// Returns the values of a header that lists them with weights, which are 1 by default (RFC 9110, section 12.4.2).
pub(crate) fn weighted<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'h str, f32)> {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|part| {
        let (value, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        (value.trim(), weight.unwrap_or(1.0))
    })
}

/// Returns the headers of the call: those of the request, without the ones that describe its body and encodings.
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
