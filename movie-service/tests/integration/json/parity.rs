//! Every unary RPC gives over JSON what it gives over gRPC.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::{Value, json};

use super::writable;
use crate::support::h2_client::{Call, Client};
use crate::support::http1::exchange;
use crate::support::process::Service;

/// Requests in JSON for each unary RPC, by its full name, in the order in which they are made.
fn requests() -> BTreeMap<&'static str, Vec<Value>> {
    BTreeMap::from([
        ("Movie.GetMovieByID", vec![json!({ "id": "1" }), json!({ "id": "unknown" })]),
        (
            "movie.catalog.v1.MovieCatalog.GetMovie",
            vec![json!({ "id": "1" }), json!({ "id": "unknown" }), json!({ "id": "é/?#%\u{0}" })],
        ),
        (
            "movie.catalog.v1.MovieCatalog.BatchGetMovies",
            vec![json!({ "ids": ["2", "1", "2"] }), json!({}), json!({ "ids": ["1", "x", "y"] })],
        ),
        (
            "movie.catalog.v1.MovieCatalog.ListMovies",
            vec![
                json!({}),
                json!({ "pageSize": 1, "orderBy": "rating desc" }),
                json!({ "filter": { "yearFrom": 1980, "genres": ["Horror", "Drama"], "ratingMin": 7.5 } }),
                json!({ "pageSize": -1, "orderBy": "length", "filter": { "ratingMin": 0 } }),
                json!({ "pageToken": "x" }),
            ],
        ),
        (
            "movie.catalog.v1.MovieCatalog.SearchMovies",
            vec![
                json!({ "query": "alein", "facets": ["genres", "decades"], "filter": { "decades": [1970, 1980] } }),
                json!({ "query": "nothing" }),
                json!({ "query": "a".repeat(1_001), "facets": ["x"] }),
            ],
        ),
        (
            "movie.catalog.v1.MovieCatalog.CreateMovie",
            vec![
                json!({ "movie": {
                    "id": "1", "title": "Alien", "year": 1979, "genres": ["Horror"], "rating": 8.5, "ratingCount": "9",
                    "cast": ["Sigourney Weaver"],
                } }),
                json!({ "movie": { "id": "2", "title": "Aliens", "year": 1986, "rating": 8.25 }, "requestId": "r" }),
                json!({ "movie": { "id": "1", "title": "Alien" } }),
                json!({ "movie": { "title": "", "year": 3, "posterUri": "x" } }),
                json!({ "movie": { "id": "3", "title": "Other" }, "requestId": "r" }),
            ],
        ),
        (
            "movie.catalog.v1.MovieCatalog.UpdateMovie",
            vec![
                json!({ "movie": { "id": "1", "director": "Ridley Scott" } }),
                json!({ "movie": { "id": "2" }, "updateMask": "year,rating" }),
                json!({ "movie": { "id": "x", "title": "New" }, "allowMissing": true }),
                json!({ "movie": { "id": "unknown", "title": "New" } }),
                json!({ "movie": { "id": "1", "title": "New" }, "updateMask": "length" }),
                json!({ "movie": { "id": "1", "title": "New", "etag": "\"0\"" } }),
            ],
        ),
        (
            "movie.catalog.v1.MovieCatalog.DeleteMovie",
            vec![
                json!({ "id": "x", "etag": "\"0\"" }),
                json!({ "id": "x" }),
                json!({ "id": "x" }),
                json!({ "id": "x", "allowMissing": true }),
            ],
        ),
        ("movie.catalog.v1.MovieCatalog.GetCatalog", vec![json!({})]),
    ])
}

/// The RPCs in the order of their calls: the first ones make the movies that the others read.
const ORDER: [&str; 3] = ["CreateMovie", "UpdateMovie", "DeleteMovie"];

fn methods(pool: &DescriptorPool) -> Vec<MethodDescriptor> {
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut unary: Vec<_> =
        methods.filter(|method| !method.is_client_streaming() && !method.is_server_streaming()).collect();
    unary.sort_by_key(|method| ORDER.iter().position(|name| *name == method.name()).unwrap_or(ORDER.len()));
    unary
}

/// Returns the HTTP rule of a method: the HTTP method, the path and the body.
fn rule(pool: &DescriptorPool, method: &MethodDescriptor) -> (&'static str, String, String) {
    let text = |rule: &DynamicMessage, field: &str| {
        rule.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let annotation = pool.get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = if options.has_extension(&annotation) {
        options.get_extension(&annotation).as_message().cloned()
    } else {
        let rules = pool.get_extension_by_name("movie.http.rules").unwrap();
        pool.files().find_map(|file| {
            let rules = file.options().get_extension(&rules).as_message()?.clone();
            let rules = rules.get_field_by_name("rules")?.as_list()?.to_vec();
            let mut rules = rules.into_iter().filter_map(|rule| rule.as_message().cloned());
            rules.find(|rule| text(rule, "selector") == method.full_name())
        })
    };
    let rule = rule.unwrap_or_else(|| panic!("{} has no HTTP rule", method.full_name()));
    let (verb, field) = [("GET", "get"), ("POST", "post"), ("PATCH", "patch"), ("DELETE", "delete")]
        .into_iter()
        .find(|(_, field)| rule.has_field_by_name(field))
        .unwrap();
    (verb, text(&rule, field), text(&rule, "body"))
}

/// Removes the value at a path of names.
fn take(message: &mut Value, path: &str) -> Value {
    match path.split_once('.') {
        Some((name, rest)) => take(&mut message[name], rest),
        None => message.as_object_mut().and_then(|fields| fields.remove(path)).unwrap_or_default(),
    }
}

/// Adds the fields of a message as query parameters.
fn add_query(prefix: &str, value: &Value, query: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                add_query(&path, value, query);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| add_query(prefix, element, query)),
        Value::String(text) => {
            query.push(format!("{prefix}={}", utf8_percent_encode(text, NON_ALPHANUMERIC)));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => query.push(format!("{prefix}={value}")),
    }
}

/// Makes a request in JSON; returns the body of the response.
async fn over_json(
    service: &Service,
    (verb, path, body): (&str, String, String),
    mut message: Value,
) -> Value {
    let mut target = path.clone();
    for variable in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
        let value = take(&mut message, variable);
        let value = utf8_percent_encode(value.as_str().unwrap_or_default(), NON_ALPHANUMERIC).to_string();
        target = target.replace(&format!("{{{variable}}}"), &value);
    }
    let content = if body.is_empty() { String::new() } else { take(&mut message, &body).to_string() };
    let mut query = Vec::new();
    add_query("", &message, &mut query);
    let head = format!("{verb} {target}?{} HTTP/1.1\r\ncontent-type: application/json", query.join("&"));
    let response = exchange(service.address, &head, content.as_bytes()).await;
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {head}: {response:?}"))
}

/// Makes a call in gRPC; returns the response, or its status and details, as JSON.
async fn over_grpc(
    service: &Service,
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    message: &Value,
) -> Value {
    let message = DynamicMessage::deserialize(method.input(), message).unwrap();
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut client = Client::connect(service.address).await;
    let response = client.call(&Call::new(path.leak(), &message.encode_to_vec())).await.unwrap();
    let headers = response.trailers.as_ref().unwrap_or(&response.headers);
    let status = tonic::Status::from_header_map(headers).unwrap();
    if status.code() == tonic::Code::Ok {
        let decoded = DynamicMessage::decode(method.output(), &response.body[5..]).unwrap();
        return serde_json::to_value(&decoded).unwrap();
    }
    let details =
        DynamicMessage::decode(pool.get_message_by_name("google.rpc.Status").unwrap(), status.details());
    let details = details.unwrap().get_field_by_name("details").unwrap().into_owned();
    let details = details.as_list().unwrap().iter().map(|detail| detail.as_message().unwrap());
    let details: Vec<Value> = details.map(|detail| serde_json::to_value(detail).unwrap()).collect();
    json!({ "error": { "message": status.message(), "status": name(status.code()), "details": details } })
}

/// Returns the name of a code as in google/rpc/code.proto.
fn name(code: tonic::Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Removes what differs between two stores. The names of invalid fields are those of JSON in one, and without the field
/// that is the body; the message of such an error repeats them.
fn comparable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["createTime", "updateTime", "etag", "nextPageToken", "code"] {
                fields.remove(name);
            }
            let is_invalid =
                fields.get("details").is_some_and(|details| details.to_string().contains("fieldViolations"));
            if is_invalid {
                fields.remove("message");
            }
            let is_violation = fields.contains_key("description");
            if let Some(field) = fields.get_mut("field").filter(|_| is_violation) {
                let name = field.as_str().unwrap_or_default().trim_start_matches("movie.");
                *field = name.replace('_', "").to_ascii_lowercase().into();
            }
            fields.values_mut().for_each(comparable);
        }
        Value::Array(elements) => elements.iter_mut().for_each(comparable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn every_unary_rpc_gives_over_json_what_it_gives_over_grpc() {
    let pool = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
    let (requests, methods) = (requests(), methods(&pool));
    let names: BTreeSet<_> = methods.iter().map(MethodDescriptor::full_name).collect();
    assert_eq!(names, requests.keys().copied().collect(), "each unary RPC needs requests here");
    let ((json_service, _json_dir), (grpc_service, _grpc_dir)) = (writable(), writable());
    for method in &methods {
        for message in &requests[method.full_name()] {
            let mut over_json = over_json(&json_service, rule(&pool, method), message.clone()).await;
            let mut over_grpc = over_grpc(&grpc_service, &pool, method, message).await;
            comparable(&mut over_json);
            comparable(&mut over_grpc);
            assert_eq!(over_json, over_grpc, "{}: {message}", method.full_name());
        }
    }
}
