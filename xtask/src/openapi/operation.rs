//! Operations: what a method of HTTP does at a path.

use anyhow::Result;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::contract::{Binding, Contract, parameter_name};
use super::error;
use super::schema::{Schemas, Usage, describe};

/// The field of a streamed response that resumes the stream. The stream can be read as server-sent events then.
const RESUME_TOKEN: &str = "resume_token";

/// The field that identifies a request (AIP-155).
const REQUEST_ID: &str = "request_id";

/// Returns the operation of a binding.
///
/// # Errors
///
/// If a type of the contract has no schema.
pub(super) fn operation(
    contract: &Contract,
    schemas: &mut Schemas<'_>,
    binding: &Binding,
    is_create: bool,
) -> Result<Value> {
    let service = binding.method.parent_service();
    let comment = contract.comment(&service.parent_file(), binding.method.path());
    let (description, errors) = split_errors(comment);
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), binding.method.name().into());
    operation.insert("tags".to_owned(), json!([service.name()]));
    operation.insert("summary".to_owned(), first_sentence(&description).into());
    describe(&mut operation, &description);
    operation.insert("parameters".to_owned(), parameters(contract, schemas, binding)?.into());
    if let Some(body) = &binding.body {
        operation.insert("requestBody".to_owned(), request_body(contract, schemas, binding, body)?);
    }
    let mut responses = Map::new();
    let (status, success) = success(schemas, binding, is_create)?;
    responses.insert(status.to_owned(), success);
    if !binding.is_write() && !binding.method.is_server_streaming() {
        let not_modified = json!({ "$ref": "#/components/responses/NotModified" });
        responses.insert("304".to_owned(), not_modified);
    }
    responses.extend(error::responses(contract, binding, &errors)?);
    operation.insert("responses".to_owned(), responses.into());
    Ok(operation.into())
}

/// Returns the parameters: of the path, of the query, and headers.
fn parameters(contract: &Contract, schemas: &mut Schemas<'_>, binding: &Binding) -> Result<Vec<Value>> {
    let mut parameters = Vec::new();
    let mut add =
        |place: &str, name: &str, field: &FieldDescriptor, schema: Map<String, Value>, is_required: bool| {
            let mut parameter = Map::new();
            parameter.insert("name".to_owned(), name.into());
            parameter.insert("in".to_owned(), place.into());
            describe(&mut parameter, &contract.field_comment(field));
            if is_required {
                parameter.insert("required".to_owned(), true.into());
            }
            if let Some(example) = example(&schema) {
                parameter.insert("example".to_owned(), example);
            }
            if field.is_list() {
                parameter.insert("style".to_owned(), "form".into());
                parameter.insert("explode".to_owned(), true.into());
            }
            parameter.insert("schema".to_owned(), schema.into());
            parameters.push(Value::Object(parameter));
        };
    for (name, path) in &binding.variables {
        let Some(field) = path.last() else { continue };
        let mut schema = schemas.parameter(field)?;
        // A segment of a path is never empty.
        schema.insert("minLength".to_owned(), 1.into());
        add("path", name, field, schema, true);
    }
    let query = binding.query();
    for path in &query {
        let Some(field) = path.last() else { continue };
        let is_required = path.iter().all(|field| contract.has_behavior(field, "REQUIRED"));
        add("query", &parameter_name(path), field, schemas.parameter(field)?, is_required);
    }
    let is_set = |name: &str| {
        query.iter().find_map(|path| path.last().filter(|field| path.len() == 1 && field.name() == name))
    };
    let resumes = binding.method.output().get_field_by_name(RESUME_TOKEN).is_some();
    for (header, field) in
        [("Idempotency-Key", is_set(REQUEST_ID)), ("Last-Event-ID", is_set(RESUME_TOKEN).filter(|_| resumes))]
    {
        let Some(field) = field else { continue };
        add("header", header, field, schemas.parameter(field)?, false);
    }
    parameters.push(json!({ "$ref": "#/components/parameters/pretty" }));
    if binding.has_etag() {
        parameters.push(json!({ "$ref": "#/components/parameters/If-Match" }));
    }
    if !binding.is_write() && !binding.method.is_server_streaming() {
        parameters.push(json!({ "$ref": "#/components/parameters/If-None-Match" }));
    }
    Ok(parameters)
}

/// Returns an example of a value from its schema.
fn example(schema: &Map<String, Value>) -> Option<Value> {
    let of = |schema: &Map<String, Value>| schema.get("examples")?.as_array()?.first().cloned();
    let of_element = || schema.get("items")?.as_object().and_then(of);
    of(schema).or_else(|| Some(json!([of_element()?])))
}

fn request_body(
    contract: &Contract,
    schemas: &mut Schemas<'_>,
    binding: &Binding,
    field: &FieldDescriptor,
) -> Result<Value> {
    let comment = contract.field_comment(field);
    let Some(message) = super::contract::message_of(field) else {
        anyhow::bail!("{}: expected a message as the body", field.full_name())
    };
    let content = if binding.method.is_client_streaming() {
        json!({ "application/x-ndjson": { "schema": lines(schemas, &message, Usage::Request)? } })
    } else if binding.verb == "patch" {
        json!({ "application/json": { "schema": schemas.reference(&message, Usage::Update)? } })
    } else {
        json!({ "application/json": { "schema": schemas.reference(&message, Usage::Request)? } })
    };
    Ok(json!({ "description": comment, "required": true, "content": content }))
}

/// Returns the status and the response of a request that succeeds.
fn success(schemas: &mut Schemas<'_>, binding: &Binding, is_create: bool) -> Result<(&'static str, Value)> {
    let message = binding.method.output();
    let mut headers = Map::new();
    let is_streaming = binding.method.is_server_streaming();
    if !is_streaming && (!binding.is_write() || message.get_field_by_name("etag").is_some()) {
        headers.insert("ETag".to_owned(), json!({ "$ref": "#/components/headers/ETag" }));
    }
    let (status, description) = if is_create {
        headers.insert("Location".to_owned(), json!({ "$ref": "#/components/headers/Location" }));
        ("201", "Created.")
    } else {
        ("200", "OK.")
    };
    let content = if !is_streaming {
        json!({ "application/json": { "schema": schemas.reference(&message, Usage::Response)? } })
    } else if message.get_field_by_name(RESUME_TOKEN).is_some() {
        json!({
            "application/x-ndjson": { "schema": lines(schemas, &message, Usage::Response)? },
            "text/event-stream": { "schema": events(schemas, &message)? },
        })
    } else {
        json!({
            "application/json": { "schema": { "type": "array", "items": schemas.reference(&message, Usage::Response)? } },
            "application/x-ndjson": { "schema": lines(schemas, &message, Usage::Response)? },
        })
    };
    let mut response = json!({ "description": description, "content": content });
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    Ok((status, response))
}

/// Returns the schema of newline-delimited JSON.
fn lines(schemas: &mut Schemas<'_>, message: &MessageDescriptor, usage: Usage) -> Result<Value> {
    Ok(json!({
        "type": "string",
        "description": format!("A {} on each line. In a response, an `Error` can be the last line.", message.name()),
        "contentMediaType": "application/x-ndjson",
        "contentSchema": schemas.reference(message, usage)?,
    }))
}

/// Returns the schema of server-sent events.
fn events(schemas: &mut Schemas<'_>, message: &MessageDescriptor) -> Result<Value> {
    Ok(json!({
        "type": "string",
        "description": format!(
            "Server-sent events. The data of each is a {}, and its id resumes the stream. An event of the type `error`, \
             whose data is an `Error`, can be the last one.",
            message.name()
        ),
        "contentMediaType": "text/event-stream",
        "contentSchema": schemas.reference(message, Usage::Response)?,
    }))
}

/// Separates the paragraph about errors from a comment.
fn split_errors(comment: &str) -> (String, String) {
    let is_errors = |paragraph: &&str| paragraph.starts_with("Errors:");
    let (errors, others): (Vec<_>, Vec<_>) = comment.split("\n\n").partition(is_errors);
    (others.join("\n\n"), errors.join(" "))
}

/// Returns the first sentence of a comment, without its full stop.
fn first_sentence(comment: &str) -> String {
    let text = comment.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = text.split_once(". ").map_or(text.as_str(), |(sentence, _)| sentence);
    sentence.trim_end_matches('.').to_owned()
}
