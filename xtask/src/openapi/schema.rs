//! Schemas of messages: their canonical JSON in JSON Schema, draft 2020-12.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::contract::{Contract, message_of};
use super::limits::Limits;

/// An id of the default database, as an example.
const EXAMPLE_ID: &str = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/// Where a message is used. Its schema depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// In a response, which may have further fields.
    Response,
    /// In a request.
    Request,
    /// In a request that has a part of the fields.
    Update,
}

/// The schemas that a document refers to, by name.
pub(super) struct Schemas<'a> {
    contract: &'a Contract,
    /// The messages, with the full name of each.
    schemas: BTreeMap<String, (String, Value)>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(contract: &'a Contract) -> Self {
        Self { contract, schemas: BTreeMap::new() }
    }

    /// Returns all schemas.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.schemas.into_iter().map(|(name, (_, schema))| (name, schema)).collect()
    }

    /// Returns a reference to the schema of a message, which is added with all that it refers to.
    ///
    /// # Errors
    ///
    /// If another message has the same name.
    pub(super) fn reference(&mut self, message: &MessageDescriptor, usage: Usage) -> Result<Value> {
        let name = match usage {
            Usage::Response => name(message),
            Usage::Request => format!("{}Input", name(message)),
            Usage::Update => format!("Partial{}", name(message)),
        };
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        if let Some((other, _)) = self.schemas.get(&name) {
            ensure!(
                other == message.full_name(),
                "{other} and {} are both called {name}",
                message.full_name()
            );
            return Ok(reference);
        }
        // Before its fields, which may refer to it.
        self.schemas.insert(name.clone(), (message.full_name().to_owned(), Value::Null));
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        describe(&mut schema, self.contract.message_comment(message));
        let mut properties = Map::new();
        for field in message.fields() {
            properties.insert(field.json_name().to_owned(), self.property(&field, usage)?);
        }
        let required = message.fields().filter(|field| self.contract.has_behavior(field, "REQUIRED"));
        let required: Vec<_> = required.map(|field| field.json_name().to_owned()).collect();
        if usage != Usage::Update && !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), properties.into());
        }
        // A client must not fail at a field that a later version of the service adds.
        if usage != Usage::Response {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        self.schemas.insert(name, (message.full_name().to_owned(), schema.into()));
        Ok(reference)
    }

    /// Returns the schema of a field.
    fn property(&mut self, field: &FieldDescriptor, usage: Usage) -> Result<Value> {
        let comment = self.contract.field_comment(field);
        let mut schema = self.value(field, usage)?;
        // Beside a reference, the description replaces that of the message.
        describe(&mut schema, &comment);
        if self.contract.has_behavior(field, "OUTPUT_ONLY") {
            schema.insert("readOnly".to_owned(), true.into());
        }
        Ok(schema.into())
    }

    /// Returns the schema of a parameter, without its description.
    pub(super) fn parameter(&mut self, field: &FieldDescriptor) -> Result<Map<String, Value>> {
        self.value(field, Usage::Request)
    }

    /// Returns the schema of a field without its description.
    fn value(&mut self, field: &FieldDescriptor, usage: Usage) -> Result<Map<String, Value>> {
        let mut schema = match message_of(field) {
            Some(message) if well_known(&message).is_none() => object(self.reference(&message, usage)?)?,
            _ => scalar(field)?,
        };
        let limits = Limits::of(field, &self.contract.field_comment(field));
        schema.extend(limits.value);
        let is_required = self.contract.has_behavior(field, "REQUIRED");
        if matches!(field.name(), "id" | "ids") && field.kind() == Kind::String {
            schema.insert("examples".to_owned(), json!([EXAMPLE_ID]));
        }
        if field.is_list() {
            let mut list = Map::new();
            list.insert("type".to_owned(), "array".into());
            list.insert("items".to_owned(), schema.into());
            list.extend(limits.list);
            if is_required {
                list.insert("minItems".to_owned(), 1.into());
            }
            return Ok(list);
        }
        // An empty text counts as unset.
        if is_required && field.kind() == Kind::String {
            schema.insert("minLength".to_owned(), 1.into());
        }
        Ok(schema)
    }
}

/// Returns the schema of a value that is not a message of the contract.
fn scalar(field: &FieldDescriptor) -> Result<Map<String, Value>> {
    ensure!(!field.is_map(), "{}: maps are not supported", field.full_name());
    let schema = match field.kind() {
        Kind::String => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX })
        }
        Kind::Uint32 | Kind::Fixed32 => {
            json!({ "type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$" })
        }
        Kind::Uint64 | Kind::Fixed64 => {
            json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$" })
        }
        Kind::Float => {
            json!({ "type": "number", "format": "float" })
        }
        Kind::Double => json!({ "type": "number", "format": "double" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Enum(names) => {
            let names: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
            json!({ "type": "string", "enum": names })
        }
        Kind::Message(message) => match well_known(&message) {
            Some(format) => json!({ "type": "string", "format": format }),
            None => bail!("{}: {} is not supported", field.full_name(), message.full_name()),
        },
    };
    object(schema)
}

/// Returns the members of a JSON object.
fn object(value: Value) -> Result<Map<String, Value>> {
    if let Value::Object(members) = value { Ok(members) } else { bail!("expected an object") }
}

/// Returns the format of a well-known message that is text in JSON.
fn well_known(message: &MessageDescriptor) -> Option<&'static str> {
    match message.full_name() {
        "google.protobuf.Timestamp" => Some("date-time"),
        "google.protobuf.FieldMask" => Some("field-mask"),
        _ => None,
    }
}

/// Returns the name of a message in the document: with the names of the messages around it, without its package.
fn name(message: &MessageDescriptor) -> String {
    let outer = message.parent_message().map(|outer| name(&outer)).unwrap_or_default();
    outer + message.name()
}

/// Adds a description, if there is one.
pub(super) fn describe(schema: &mut Map<String, Value>, comment: &str) {
    if !comment.is_empty() {
        schema.insert("description".to_owned(), comment.into());
    }
}
