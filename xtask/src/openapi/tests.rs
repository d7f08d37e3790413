//! Tests of the document for the contract of the workspace.

use std::collections::BTreeSet;

use prost_reflect::MessageDescriptor;
use serde_json::{Value, json};

use super::contract::{Contract, message_of, parameter_name};
use super::openapi;

/// Compiles the contract of the workspace.
fn contract() -> Contract {
    let descriptor_set = crate::regen_proto::descriptor_set_with_comments(&crate::root()).unwrap();
    Contract::new(&descriptor_set).unwrap()
}

fn document() -> Value {
    openapi(&contract(), "1.2.3").unwrap()
}

/// Returns all operations, each with its path and method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn operation<'a>(document: &'a Value, id: &str) -> &'a Value {
    operations(document).find(|(_, _, operation)| operation["operationId"] == id).unwrap().2
}

/// Returns the parameters of an operation, with those that it refers to.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let parameters = operation["parameters"].as_array().unwrap().iter();
    let resolved = parameters.map(|parameter| match parameter["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => parameter,
    });
    resolved.collect()
}

fn parameter<'a>(document: &'a Value, id: &str, name: &str) -> &'a Value {
    let parameters = parameters(document, operation(document, id));
    parameters.into_iter().find(|parameter| parameter["name"] == name).unwrap()
}

fn names<'a>(parameters: &[&'a Value], place: &str) -> BTreeSet<&'a str> {
    let parameters = parameters.iter().filter(|parameter| parameter["in"] == place);
    parameters.map(|parameter| parameter["name"].as_str().unwrap()).collect()
}

#[test]
fn every_method_with_a_rule_has_an_operation_and_no_other_has() {
    let (contract, document) = (contract(), document());
    let rules: BTreeSet<_> =
        contract.rules().unwrap().into_iter().map(|(method, _)| method.name().to_owned()).collect();
    let methods: BTreeSet<_> = contract.methods().map(|method| method.name().to_owned()).collect();
    // A stream of requests and of responses has no form in JSON over HTTP.
    let left_out: Vec<_> = methods.difference(&rules).collect();
    assert_eq!(left_out, ["LookupMovies"]);
    let of_contract = |path: &&str| path.starts_with("/v1/");
    let ids: BTreeSet<_> = operations(&document)
        .filter(|(path, _, _)| of_contract(path))
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, rules);
    let others: Vec<_> =
        operations(&document).map(|(path, _, _)| path).filter(|path| !of_contract(path)).collect();
    assert_eq!(others, ["/healthz", "/openapi.json"]);
}

#[test]
fn every_field_of_a_request_is_in_the_path_the_query_or_the_body() {
    let (contract, document) = (contract(), document());
    for binding in contract.bindings().unwrap() {
        let operation = operation(&document, binding.method.name());
        let parameters = parameters(&document, operation);
        for (name, _) in &binding.variables {
            assert!(names(&parameters, "path").contains(name.as_str()), "{name}");
            assert!(binding.path.contains(&format!("{{{name}}}")), "{}", binding.path);
        }
        let mut expected: BTreeSet<_> = binding.query().iter().map(|path| parameter_name(path)).collect();
        expected.insert("pretty".to_owned());
        let query: BTreeSet<_> = names(&parameters, "query").into_iter().map(str::to_owned).collect();
        assert_eq!(query, expected, "{}", binding.method.full_name());
        for field in binding.method.input().fields() {
            let name = field.json_name();
            let is_parameter = expected.iter().any(|parameter| parameter.split('.').next() == Some(name));
            let is_variable = binding.variables.iter().any(|(_, path)| path[0] == field);
            let is_body = binding.body.as_ref() == Some(&field);
            assert!(is_parameter || is_variable || is_body, "{}", field.full_name());
        }
        assert_eq!(operation["requestBody"].is_null(), binding.body.is_none());
    }
}

#[test]
fn every_field_of_a_message_is_in_its_schema() {
    fn check(document: &Value, message: &MessageDescriptor, name: &str, checked: &mut BTreeSet<String>) {
        if !checked.insert(name.to_owned()) {
            return;
        }
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["type"], "object", "{name}");
        let properties: BTreeSet<_> =
            schema["properties"].as_object().into_iter().flat_map(|map| map.keys()).collect();
        let fields: Vec<_> = message.fields().collect();
        let expected: Vec<_> = fields.iter().map(|field| field.json_name().to_owned()).collect();
        assert_eq!(properties, expected.iter().collect(), "{name}");
        for field in &fields {
            let property = &schema["properties"][field.json_name()];
            let value = if field.is_list() { &property["items"] } else { property };
            if let (Some(inner), Some(reference)) = (message_of(field), value["$ref"].as_str()) {
                check(document, &inner, reference.rsplit('/').next().unwrap(), checked);
            } else {
                assert!(value["type"].is_string(), "{}", field.full_name());
            }
        }
    }
    let (contract, document) = (contract(), document());
    let mut checked = BTreeSet::from(["Error".to_owned()]);
    for binding in contract.bindings().unwrap() {
        let response = binding.method.output();
        check(&document, &response, response.name(), &mut checked);
    }
    let movie = contract.descriptors.get_message_by_name("movie.catalog.v1.Movie").unwrap();
    for name in ["MovieInput", "PartialMovie"] {
        check(&document, &movie, name, &mut checked);
    }
    let schemas: BTreeSet<_> =
        document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(schemas, checked);
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
    fn collect(value: &Value, references: &mut BTreeSet<String>) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references.insert(reference.to_owned());
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
            Value::Object(values) => values.values().for_each(|value| collect(value, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in &references {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses", "headers", "parameters"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(references.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name}");
        }
    }
}

#[test]
fn requests_for_one_resource_share_a_path() {
    let document = document();
    let methods: Vec<_> = document["paths"]["/v1/movies/{id}"].as_object().unwrap().keys().collect();
    assert_eq!(methods, ["delete", "get", "patch"]);
    assert_eq!(parameter(&document, "UpdateMovie", "id")["schema"]["maxLength"], 128);
    assert_eq!(parameter(&document, "GetMovie", "id")["example"], "a8034f44-aee4-44cf-b32c-74cf452aaaae");
}

#[test]
fn comments_describe_operations_and_name_their_errors() {
    let document = document();
    let get = operation(&document, "GetMovie");
    assert_eq!(get["summary"], "Returns a movie (AIP-131)");
    assert_eq!(get["description"], "Returns a movie (AIP-131).");
    let not_found = &get["responses"]["404"];
    assert_eq!(not_found["$ref"], "#/components/responses/NotFound");
    assert!(not_found["description"].as_str().unwrap().contains("`MOVIE_NOT_FOUND`: no movie has the id"));
    let statuses = |id: &str| -> Vec<_> {
        let responses = operation(&document, id)["responses"].as_object().unwrap();
        responses.keys().filter_map(|status| status.parse::<u16>().ok()).collect()
    };
    let always = [401, 403, 421, 429, 431, 500, 503, 504];
    for (id, expected) in [
        ("GetCatalog", vec![200, 304, 400]),
        ("GetMovie", vec![200, 304, 400, 404]),
        ("SearchMovies", vec![200, 304, 400, 501]),
        ("CreateMovie", vec![201, 400, 409, 413, 415]),
        ("UpdateMovie", vec![200, 400, 404, 409, 412, 413, 415]),
        ("DeleteMovie", vec![200, 400, 404, 409, 412]),
        ("WatchMovies", vec![200, 400, 409]),
        ("GetListMovies", vec![200, 400]),
    ] {
        let expected: BTreeSet<_> = expected.into_iter().chain(always).collect();
        assert_eq!(statuses(id), expected.into_iter().collect::<Vec<_>>(), "{id}");
    }
    // Those of every write are listed once, in another comment.
    let unavailable =
        operation(&document, "DeleteMovie")["responses"]["503"]["description"].as_str().unwrap();
    assert!(unavailable.contains("`OUTCOME_UNKNOWN`"), "{unavailable}");
}

#[test]
fn headers_are_parameters_where_they_count() {
    let document = document();
    for (id, expected) in [
        ("GetMovie", vec!["If-None-Match"]),
        ("CreateMovie", vec!["Idempotency-Key"]),
        ("UpdateMovie", vec!["If-Match"]),
        ("DeleteMovie", vec!["If-Match"]),
        ("WatchMovies", vec!["Last-Event-ID"]),
        ("ImportMovies", vec![]),
    ] {
        let parameters = parameters(&document, operation(&document, id));
        assert_eq!(names(&parameters, "header"), expected.into_iter().collect(), "{id}");
    }
    let created = &operation(&document, "CreateMovie")["responses"]["201"];
    assert!(created["headers"]["Location"].is_object() && created["headers"]["ETag"].is_object());
}

#[test]
fn streams_have_the_content_types_in_which_they_can_be_read() {
    let document = document();
    let content = |id: &str| -> Vec<_> {
        operation(&document, id)["responses"]["200"]["content"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(content("GetListMovies"), ["application/json", "application/x-ndjson"]);
    assert_eq!(content("WatchMovies"), ["application/x-ndjson", "text/event-stream"]);
    assert_eq!(content("ListMovies"), ["application/json"]);
    let import = &operation(&document, "ImportMovies")["requestBody"]["content"];
    assert!(import["application/x-ndjson"].is_object() && import.as_object().unwrap().len() == 1);
}

#[test]
fn annotations_of_fields_are_in_their_schemas() {
    let document = document();
    let movie = &document["components"]["schemas"]["Movie"];
    assert_eq!(movie["required"], json!(["title"]));
    assert_eq!(movie["properties"]["createTime"]["readOnly"], true);
    assert_eq!(movie["properties"]["createTime"]["format"], "date-time");
    assert_eq!(movie["properties"]["ratingCount"]["format"], "int64");
    assert_eq!(document["components"]["schemas"]["MovieInput"]["required"], json!(["title"]));
    // A change names the fields that it changes, so none is required.
    assert_eq!(document["components"]["schemas"]["PartialMovie"]["required"], Value::Null);
    assert_eq!(parameter(&document, "BatchGetMovies", "ids")["required"], Value::Null);
    assert_eq!(parameter(&document, "SearchMovies", "query")["required"], Value::Null);
    let of_oneof = parameter(&document, "WatchMovies", "fullCopy")["description"].as_str().unwrap();
    assert!(
        of_oneof.ends_with("At most one of `fromRevision`, `fullCopy` and `resumeToken` is set."),
        "{of_oneof}"
    );
}

#[test]
fn only_requests_are_closed_so_that_responses_can_get_fields() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let closed: Vec<_> =
        schemas.iter().filter(|(_, schema)| schema["additionalProperties"] == false).collect();
    assert_eq!(
        closed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["MovieInput", "PartialMovie"]
    );
    let body =
        |id: &str| &operation(&document, id)["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(body("CreateMovie"), "#/components/schemas/MovieInput");
    assert_eq!(body("UpdateMovie"), "#/components/schemas/PartialMovie");
    let import = &operation(&document, "ImportMovies")["requestBody"]["content"]["application/x-ndjson"];
    assert_eq!(import["schema"]["contentSchema"]["$ref"], "#/components/schemas/MovieInput");
}

/// A comment that states a limit in other words than those that are known has none here.
#[test]
fn the_limits_that_comments_state_are_in_the_schemas() {
    let document = document();
    let movie = &document["components"]["schemas"]["Movie"]["properties"];
    let texts = json!({ "minLength": 1, "maxLength": 100 });
    for (field, expected) in [
        ("title", json!({ "minLength": 1, "maxLength": 1000 })),
        ("rating", json!({ "minimum": 0, "maximum": 10 })),
        ("director", json!({ "maxLength": 1000 })),
        ("id", json!({ "minLength": 1, "maxLength": 128 })),
        (
            "year",
            json!({ "minimum": 0, "maximum": 2200, "not": { "exclusiveMinimum": 0, "exclusiveMaximum": 1870 } }),
        ),
        ("genres", json!({ "maxItems": 50, "uniqueItems": true, "items": texts })),
        ("runtimeMinutes", json!({ "minimum": 0, "maximum": 100_000 })),
        ("countries", json!({ "maxItems": 50, "uniqueItems": true, "items": texts })),
        ("languages", json!({ "maxItems": 50, "uniqueItems": true, "items": texts })),
        ("originalTitle", json!({ "maxLength": 1000 })),
        ("cast", json!({ "maxItems": 200, "uniqueItems": true, "items": texts })),
        ("writers", json!({ "maxItems": 50, "uniqueItems": true, "items": texts })),
        ("overview", json!({ "maxLength": 4000 })),
        ("posterUri", json!({ "maxLength": 1000, "format": "uri" })),
    ] {
        assert_has(&movie[field], &expected, field);
    }
    for (name, expected) in [
        ("pageSize", json!({ "minimum": 0 })),
        ("filter.yearFrom", json!({ "minimum": 0 })),
        ("filter.yearTo", json!({ "minimum": 0 })),
        ("filter.genres", json!({ "maxItems": 100 })),
        ("filter.cast", json!({ "maxItems": 100 })),
        ("filter.titlePrefix", json!({ "maxLength": 1000 })),
        (
            "filter.decades",
            json!({ "maxItems": 100, "items": { "minimum": 1870, "maximum": 2200, "multipleOf": 10 } }),
        ),
        ("query", json!({ "maxLength": 1000 })),
        (
            "facets",
            json!({ "uniqueItems": true, "items": { "enum": ["genres", "countries", "languages", "decades"] } }),
        ),
    ] {
        assert_has(&parameter(&document, "SearchMovies", name)["schema"], &expected, name);
    }
    let ids = &parameter(&document, "BatchGetMovies", "ids")["schema"];
    assert_has(ids, &json!({ "maxItems": 1000 }), "ids");
    let request_id = &parameter(&document, "CreateMovie", "requestId")["schema"];
    let pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F]*$";
    assert_has(request_id, &json!({ "maxLength": 128, "pattern": pattern }), "requestId");
}

/// Asserts that a schema has these keywords, among others.
#[track_caller]
fn assert_has(schema: &Value, expected: &Value, name: &str) {
    for (keyword, expected) in expected.as_object().unwrap() {
        if keyword == "items" {
            assert_has(&schema["items"], expected, name);
        } else {
            assert_eq!(schema[keyword], *expected, "{name}: {keyword}");
        }
    }
}
