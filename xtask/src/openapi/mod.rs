//! The OpenAPI document of the JSON interface, made from the contract.
//!
//! Paths, parameters, schemas and errors come from the descriptors with their annotations and comments; nothing here knows
//! an RPC or a message. The service handles requests by the same annotations.
//!
//! * `contract` — HTTP rules, comments, annotations of fields and reasons of errors;
//! * `operation`, `error` — operations, and the responses of those that fail;
//! * `schema`, `limits` — schemas of messages, and the limits that comments state.

mod contract;
mod error;
mod limits;
mod operation;
mod schema;
#[cfg(test)]
mod tests;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

use self::contract::Contract;
use self::schema::Schemas;

/// The file whose comment describes the interface.
const MAIN_FILE: &str = "movie/catalog/v1/catalog.proto";

/// What the comments of the contract leave out, because it is about JSON only.
const ABOUT_JSON: &str = "\
This document describes the methods of the contract as JSON over HTTP (AIP-127). Comments use the names of the contract, \
such as `page_size`; in JSON, fields are called `pageSize`. Requests may use either. Fields that are unset, 0 or empty are \
left out of responses. Requests may also have what the JSON encoding of Protocol Buffers allows besides: null for an unset \
field, and numbers as texts. Unknown fields and parameters are refused. Responses of later versions may have more fields: \
pass over those that you do not know.

HEAD is answered as GET, without the body. OPTIONS lists the methods of a path. Other methods are answered with 405 and \
the header Allow.";

/// Returns the document for an encoded descriptor set with source information.
///
/// # Errors
///
/// If the contract has an annotation or a type that is not supported.
pub(crate) fn document(descriptor_set: &[u8], version: &str) -> Result<Vec<u8>> {
    let contract = Contract::new(descriptor_set)?;
    let mut document = serde_json::to_vec_pretty(&openapi(&contract, version)?)?;
    document.push(b'\n');
    Ok(document)
}

fn openapi(contract: &Contract, version: &str) -> Result<Value> {
    let mut schemas = Schemas::new(contract);
    let file = contract.descriptors.get_file_by_name(MAIN_FILE);
    let description = file.map(|file| contract.file_comment(&file).to_owned()).unwrap_or_default();
    Ok(json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Movie catalogue",
            "version": version,
            "description": format!("{description}\n\n# JSON\n\n{ABOUT_JSON}"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{}, { "bearer": [] }],
        "tags": tags(contract)?,
        "paths": paths(contract, &mut schemas)?,
        "components": components(schemas)?,
    }))
}

/// Returns the services with operations, as tags.
fn tags(contract: &Contract) -> Result<Vec<Value>> {
    let mut tags = Vec::new();
    for binding in contract.bindings()? {
        let service = binding.method.parent_service();
        let description = contract.comment(&service.parent_file(), service.path());
        let tag = json!({ "name": service.name(), "description": description });
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.push(json!({ "name": "Service", "description": "The service itself." }));
    Ok(tags)
}

/// Returns the operations by path and method.
fn paths(contract: &Contract, schemas: &mut Schemas<'_>) -> Result<Map<String, Value>> {
    let mut paths = own_paths();
    let bindings = contract.bindings()?;
    let (mut ids, mut shapes) = (Vec::new(), Vec::<(String, String)>::new());
    for binding in &bindings {
        let operation = operation::operation(contract, schemas, binding, binding.is_create(&bindings))?;
        let id = operation["operationId"].clone();
        ensure!(!ids.contains(&id), "two methods are called {id}");
        ids.push(id);
        // To OpenAPI, paths that differ in the names of their variables only are the same.
        let parts = binding.path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        let shape = parts.collect::<Vec<_>>().join("/");
        if let Some((_, other)) = shapes.iter().find(|(other, path)| *other == shape && *path != binding.path)
        {
            bail!("the variables of {} and {other} have different names", binding.path);
        }
        shapes.push((shape, binding.path.clone()));
        let path = paths.entry(&binding.path).or_insert_with(|| json!({}));
        ensure!(path[&binding.verb].is_null(), "two methods have {} {}", binding.verb, binding.path);
        path[&binding.verb] = operation;
    }
    Ok(paths)
}

/// Returns the paths that call no method of the contract.
fn own_paths() -> Map<String, Value> {
    let text = json!({ "text/plain": { "schema": { "type": "string" } } });
    let refused = |paths: &mut Value| {
        for (status, name) in [("403", "Forbidden"), ("421", "MisdirectedRequest")] {
            paths[status] = json!({ "$ref": format!("#/components/responses/{name}") });
        }
    };
    let mut health = json!({
        "200": { "description": "The service is serving.", "content": text },
        "503": { "description": "The service is stopping, or its store is not available.", "content": text },
    });
    refused(&mut health);
    let mut document = json!({
        "200": {
            "description": "The document.",
            "headers": { "ETag": { "$ref": "#/components/headers/ETag" } },
            "content": { "application/json": { "schema": { "type": "object" } } },
        },
        "304": { "$ref": "#/components/responses/NotModified" },
    });
    refused(&mut document);
    let health = json!({
        "operationId": "GetHealth",
        "tags": ["Service"],
        "summary": "Returns whether the service is serving",
        "security": [{}],
        "responses": health,
    });
    let document = json!({
        "operationId": "GetOpenApi",
        "tags": ["Service"],
        "summary": "Returns this document",
        "parameters": [{ "$ref": "#/components/parameters/If-None-Match" }],
        "security": [{}],
        "responses": document,
    });
    [("/healthz", health), ("/openapi.json", document)]
        .into_iter()
        .map(|(path, operation)| (path.to_owned(), json!({ "get": operation })))
        .collect()
}

fn components(schemas: Schemas<'_>) -> Result<Value> {
    let mut schemas = schemas.into_map();
    ensure!(schemas.insert("Error".to_owned(), error::schema()).is_none(), "a message is called Error");
    let mut responses = error::components();
    let not_modified = json!({
        "description": "The caller has the current version.",
        "headers": { "ETag": { "$ref": "#/components/headers/ETag" } },
    });
    responses.insert("NotModified".to_owned(), not_modified);
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let text = || json!({ "type": "string" });
    Ok(json!({
        "schemas": schemas,
        "responses": responses,
        "headers": {
            "Accept-Encoding": header("The content encoding that is supported, if that is the reason.", text()),
            "ETag": header("The version of the response (RFC 9110): strong, unless the body is compressed.", text()),
            "Location": header("The path of the created resource.", json!({ "type": "string", "format": "uri-reference" })),
            "Retry-After": header("The seconds to wait.", json!({ "type": "integer", "minimum": 1 })),
            "WWW-Authenticate": header("The scheme of authentication: Bearer.", text()),
        },
        "parameters": {
            "If-Match": {
                "name": "If-Match",
                "in": "header",
                "description": "The write succeeds only if the resource has this strong etag, in quotes; `*` for any.",
                "schema": { "type": "string", "pattern": r#"^(\*|(W/)?"[!#-~]+")$"# },
            },
            "If-None-Match": {
                "name": "If-None-Match",
                "in": "header",
                "description": "Etags in quotes, separated by commas. If the response has one of them, it is 304 without a body.",
                "schema": { "type": "string" },
            },
            "pretty": {
                "name": "pretty",
                "in": "query",
                "description": "Lays the response out for people.",
                "allowEmptyValue": true,
                "schema": { "type": "boolean" },
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the service, if it was started with tokens.",
            },
        },
    }))
}
