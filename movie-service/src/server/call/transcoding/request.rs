//! A request without its body: the message that its path, its query and its headers make.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH,
    TRANSFER_ENCODING,
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

/// Returns the messages of a request, of which the body may still be missing, and the layout of the response.
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
            if name.is_empty() {
                self.refuse("query", format!("expected a name before `={}`", parameter::shorten(&value)));
            } else if !has_parameter(self.route, &path) {
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
        let key = key.filter(|key| !key.is_empty()).map(|key| (REQUEST_ID_PATH.to_owned(), key));
        let etag = match if_match {
            IfMatch::Etag(etag) => self.route.etag_path.clone().map(|path| (path, etag.clone())),
            IfMatch::Absent | IfMatch::Existing | IfMatch::Weak | IfMatch::Invalid => None,
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
        if *if_match == IfMatch::Invalid {
            self.refuse(IF_MATCH.as_str(), "expected `*`, or one etag with its double quotes");
        } else if headers.contains_key(IF_MATCH) && self.route.method == Method::POST {
            self.refuse(IF_MATCH.as_str(), "expected this header with PATCH and DELETE only");
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

/// Returns all values of a header as one.
pub(crate) fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Checks the headers that describe the body of a request.
pub(crate) fn check_body_headers(route: &Route, headers: &HeaderMap) -> Result<(), HttpError> {
    let accepted: &[_] = match route.body {
        BodyBinding::None => return Ok(()),
        BodyBinding::Field(_) => &["application/json"],
        BodyBinding::Elements(_) => &["application/x-ndjson", "application/jsonl", "application/json"],
    };
    if let Some(encoding) =
        joined(headers, CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Err(HttpError::UnsupportedEncoding(encoding));
    }
    let given = joined(headers, CONTENT_TYPE);
    let mut parts = given.as_deref().unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !accepted.iter().any(|accepted| media_type.eq_ignore_ascii_case(accepted)) {
        return Err(HttpError::UnsupportedMediaType { given, accepted });
    }
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let charset = parameters.find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    match charset.map(|(_, charset)| charset.trim_matches('"')) {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => {
            Err(HttpError::UnsupportedCharset(charset.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Returns how the messages of a stream are separated: as the caller prefers, or else as is usual for the route.
pub(crate) fn framing(route: &Route, headers: &HeaderMap) -> Framing {
    let (usual, other) = if route.rpc.kind == Kind::Watch {
        (Framing::Lines, Framing::Events)
    } else {
        (Framing::Array, Framing::Lines)
    };
    let ranges = [usual.media_type(), "application/*", "*/*"];
    let weight_of_usual = weight(headers, &ACCEPT, &ranges).unwrap_or(0.0);
    // A range such as `*/*` does not select the other one.
    let weight_of_other = weight(headers, &ACCEPT, &[other.media_type()]).unwrap_or(0.0);
    if weight_of_other > 0.0 && weight_of_other >= weight_of_usual { other } else { usual }
}

/// Returns the values of a header that lists them with weights, which are 1 by default (RFC 9110, section 12.4.2).
fn weighted<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, f32)> {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|part| {
        let mut parts = part.split(';').map(str::trim);
        let value = parts.next().unwrap_or_default();
        let weight = parts.find_map(|parameter| {
            let (name, weight) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("q").then(|| weight.parse().ok())?
        });
        (value, weight.unwrap_or(1.0))
    })
}

/// Returns the weight of the first of these names that a header lists.
fn weight(headers: &HeaderMap, header: &HeaderName, names: &[&str]) -> Option<f32> {
    names.iter().find_map(|name| {
        weighted(headers, header)
            .find(|(value, _)| value.eq_ignore_ascii_case(name))
            .map(|(_, weight)| weight)
    })
}

/// Returns the content coding that a caller prefers. If it accepts none, not even `identity`, it gets that (RFC 9110,
/// section 12.5.3): an error instead would hide that a write was done.
pub(crate) fn preferred_coding(headers: &HeaderMap) -> &'static str {
    let weight = |coding| weight(headers, &ACCEPT_ENCODING, &[coding, "*"]).unwrap_or(0.0);
    // The last one of equal weight.
    ["identity", "gzip", "br"]
        .into_iter()
        .filter(|coding| weight(coding) > 0.0)
        .max_by(|one, other| weight(one).total_cmp(&weight(other)))
        .unwrap_or("identity")
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
