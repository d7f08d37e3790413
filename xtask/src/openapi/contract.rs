//! What the contract says: its HTTP rules, comments, annotations of fields, and reasons of errors.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};

/// The annotation of a method with its HTTP rule (AIP-127).
const HTTP_RULE: &str = "google.api.http";

/// The annotation of a file with HTTP rules for methods of other files.
const HTTP_RULES: &str = "movie.http.rules";

/// The annotation of a field with its behaviours (AIP-203).
const FIELD_BEHAVIOR: &str = "google.api.field_behavior";

/// The path of the syntax in a file descriptor: the comment before it is that of the file.
const SYNTAX: &[i32] = &[12];

/// Maximum number of fields in the path of a parameter, so that recursive messages end.
const MAX_DEPTH: usize = 4;

/// The descriptors of the contract, with their comments.
pub(super) struct Contract {
    pub(super) descriptors: DescriptorPool,
    /// By file and path within it.
    comments: HashMap<(String, Vec<i32>), String>,
    pub(super) reasons: Vec<Reason>,
}

/// A reason of errors, from the table in the comment of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) name: String,
    /// The name of its code, such as `NOT_FOUND`.
    pub(super) code: String,
    /// When it occurs.
    pub(super) when: String,
}

/// An HTTP request that calls a method.
pub(super) struct Binding {
    pub(super) method: MethodDescriptor,
    /// The HTTP method, in lower case.
    pub(super) verb: String,
    /// The path, with the names of the path parameters in braces.
    pub(super) path: String,
    /// The fields that the path sets, by the names of the path parameters.
    pub(super) variables: Vec<(String, Vec<FieldDescriptor>)>,
    /// The field that the body sets.
    pub(super) body: Option<FieldDescriptor>,
}

impl Contract {
    /// Reads an encoded descriptor set with source information.
    pub(super) fn new(descriptor_set: &[u8]) -> Result<Self> {
        let descriptors = DescriptorPool::decode(descriptor_set).context("read the descriptor set")?;
        let mut comments = HashMap::new();
        // The comments on the well-known types are not ours.
        let is_own = |name: &str| !name.starts_with("google/protobuf/");
        for file in descriptors.file_descriptor_protos().filter(|file| is_own(file.name())) {
            for location in file.source_code_info.iter().flat_map(|info| &info.location) {
                let detached = location.leading_detached_comments.join("\n");
                let comment = match location.leading_comments() {
                    "" if location.path == SYNTAX => detached,
                    comment => comment.to_owned(),
                };
                let comment = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line));
                let comment = comment.collect::<Vec<_>>().join("\n").trim().to_owned();
                if !comment.is_empty() {
                    comments.insert((file.name().to_owned(), location.path.clone()), comment);
                }
            }
        }
        let tables = comments.iter().filter(|((_, path), _)| path == SYNTAX).map(|(_, comment)| comment);
        let reasons = tables.flat_map(|comment| reasons(comment)).collect();
        Ok(Self { descriptors, comments, reasons })
    }

    /// Returns the comment of an element; empty if it has none.
    pub(super) fn comment(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let key = (file.name().to_owned(), path.to_vec());
        self.comments.get(&key).map_or("", String::as_str)
    }

    /// Returns the comment of a file.
    pub(super) fn file_comment(&self, file: &FileDescriptor) -> &str {
        self.comment(file, SYNTAX)
    }

    /// Returns the comment of a message.
    pub(super) fn message_comment(&self, message: &MessageDescriptor) -> &str {
        self.comment(&message.parent_file(), message.path())
    }

    /// Returns the comment of a field, with what its oneof means.
    pub(super) fn field_comment(&self, field: &FieldDescriptor) -> String {
        let comment = self.comment(&field.parent_file(), field.path());
        match alternatives(field) {
            Some(alternatives) => format!("{comment}\n\nAt most one of {alternatives} is set."),
            None => comment.to_owned(),
        }
    }

    /// Returns whether a field has a behaviour, such as `REQUIRED`.
    pub(super) fn has_behavior(&self, field: &FieldDescriptor, behavior: &str) -> bool {
        let Some(extension) = self.descriptors.get_extension_by_name(FIELD_BEHAVIOR) else { return false };
        let Kind::Enum(names) = extension.kind() else { return false };
        let options = field.options();
        let behaviors = options.get_extension(&extension);
        let mut numbers = behaviors.as_list().unwrap_or_default().iter().filter_map(Value::as_enum_number);
        numbers.any(|number| names.get_value(number).is_some_and(|value| value.name() == behavior))
    }

    /// Returns all methods of the contract.
    pub(super) fn methods(&self) -> impl Iterator<Item = MethodDescriptor> {
        self.descriptors.services().flat_map(|service| service.methods().collect::<Vec<_>>())
    }

    /// Returns the HTTP rules, each with its method: first those of methods, then those of files.
    pub(super) fn rules(&self) -> Result<Vec<(MethodDescriptor, DynamicMessage)>> {
        let mut rules = Vec::new();
        if let Some(extension) = self.descriptors.get_extension_by_name(HTTP_RULE) {
            for method in self.methods() {
                let options = method.options();
                if options.has_extension(&extension)
                    && let Value::Message(rule) = options.get_extension(&extension).as_ref()
                {
                    rules.push((method, rule.clone()));
                }
            }
        }
        if let Some(extension) = self.descriptors.get_extension_by_name(HTTP_RULES) {
            for file in self.descriptors.files() {
                let options = file.options();
                let Value::Message(of_file) = options.get_extension(&extension).into_owned() else {
                    continue;
                };
                let list = of_file.get_field_by_name("rules").map(std::borrow::Cow::into_owned);
                for rule in list.iter().filter_map(Value::as_list).flatten().filter_map(Value::as_message) {
                    let selector = text(rule, "selector");
                    let method = self.methods().find(|method| method.full_name() == selector);
                    let method =
                        method.with_context(|| format!("HTTP rule: there is no method `{selector}`"))?;
                    rules.push((method, rule.clone()));
                }
            }
        }
        Ok(rules)
    }

    /// Returns the HTTP requests that call methods.
    ///
    /// # Errors
    ///
    /// If a rule needs what the service does not support.
    pub(super) fn bindings(&self) -> Result<Vec<Binding>> {
        let rules = self.rules()?.into_iter().map(|(method, rule)| {
            let name = method.full_name().to_owned();
            Binding::new(method, &rule).with_context(|| format!("HTTP rule of {name}"))
        });
        rules.collect()
    }
}

impl Binding {
    fn new(method: MethodDescriptor, rule: &DynamicMessage) -> Result<Self> {
        for unsupported in ["custom", "response_body", "additional_bindings"] {
            ensure!(!rule.has_field_by_name(unsupported), "`{unsupported}` is not supported");
        }
        let verbs = ["get", "put", "post", "delete", "patch"];
        let verb = verbs.into_iter().find(|verb| rule.has_field_by_name(verb)).context("expected a path")?;
        let body = match text(rule, "body").as_str() {
            "" => None,
            body => {
                Some(method.input().get_field_by_name(body).with_context(|| format!("no field `{body}`"))?)
            }
        };
        let (mut path, mut variables) = (String::new(), Vec::<(String, _)>::new());
        let template = text(rule, verb);
        for segment in template.split('/').skip(1) {
            path.push('/');
            let variable = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            let Some(variable) = variable else {
                ensure!(!segment.contains(['{', '*']), "`{segment}` is not supported");
                path.push_str(segment);
                continue;
            };
            // The requests for one resource share their path, whichever message its id is in.
            let fields =
                resolve(&method.input(), variable).with_context(|| format!("no field `{variable}`"))?;
            let Some(name) = fields.last().map(|field| field.json_name().to_owned()) else {
                bail!("`{segment}`")
            };
            ensure!(variables.iter().all(|(other, _)| *other != name), "two variables are called `{name}`");
            path.extend(["{", name.as_str(), "}"]);
            variables.push((name, fields));
        }
        Ok(Self { method, verb: verb.to_owned(), path, variables, body })
    }

    /// Returns the fields that query parameters set, each as its path from the request message.
    pub(super) fn query(&self) -> Vec<Vec<FieldDescriptor>> {
        let mut fields = fields_of_text(&self.method.input());
        fields.retain(|path| {
            let is_body = path.first() == self.body.as_ref();
            !is_body && self.variables.iter().all(|(_, variable)| variable != path)
        });
        fields
    }

    /// Returns whether the request changes something.
    pub(super) fn is_write(&self) -> bool {
        self.verb != "get"
    }

    /// Returns whether the request creates a resource: a POST request for what a GET request returns.
    pub(super) fn is_create(&self, all: &[Self]) -> bool {
        let is_read = |other: &&Self| !other.is_write() && other.variables.len() == 1;
        let mut read = all.iter().filter(is_read);
        self.verb == "post" && read.any(|other| other.method.output() == self.method.output())
    }

    /// Returns the request field that a header for one version of the resource sets.
    pub(super) fn has_etag(&self) -> bool {
        let path = match &self.body {
            Some(body) => format!("{}.etag", body.name()),
            None => "etag".to_owned(),
        };
        matches!(self.verb.as_str(), "put" | "patch" | "delete")
            && resolve(&self.method.input(), &path).is_some()
    }
}

/// Returns the path of a parameter, such as `filter.yearFrom`.
pub(super) fn parameter_name(path: &[FieldDescriptor]) -> String {
    path.iter().map(FieldDescriptor::json_name).collect::<Vec<_>>().join(".")
}

/// Returns the message of a field.
pub(super) fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    if let Kind::Message(message) = field.kind() { Some(message) } else { None }
}

/// Returns the fields of a path of protobuf names.
fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut message = Some(message.clone());
    let fields = path.split('.').map(|name| {
        let field = message.take()?.get_field_by_name(name)?;
        message = message_of(&field);
        Some(field)
    });
    fields.collect()
}

/// Returns the paths of all fields that text can set.
fn fields_of_text(message: &MessageDescriptor) -> Vec<Vec<FieldDescriptor>> {
    fn add(message: &MessageDescriptor, outer: &[FieldDescriptor], paths: &mut Vec<Vec<FieldDescriptor>>) {
        for field in message.fields() {
            let path = [outer, std::slice::from_ref(&field)].concat();
            match message_of(&field) {
                Some(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                    if !field.is_list() && !field.is_map() && path.len() < MAX_DEPTH {
                        add(&inner, &path, paths);
                    }
                }
                Some(_) | None => paths.push(path),
            }
        }
    }
    let mut paths = Vec::new();
    add(message, &[], &mut paths);
    paths
}

/// Returns the fields of the oneof of a field, as text.
fn alternatives(field: &FieldDescriptor) -> Option<String> {
    let oneof = field.containing_oneof()?;
    let names: Vec<_> = oneof.fields().map(|field| format!("`{}`", field.json_name())).collect();
    // The oneof of an `optional` field has no other fields.
    let (last, others) = names.split_last().filter(|(_, others)| !others.is_empty())?;
    Some(format!("{} and {last}", others.join(", ")))
}

/// Returns a field of text; empty if it is unset.
fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the rows of the table of reasons in the comment of a file.
fn reasons(comment: &str) -> Vec<Reason> {
    let rows = comment.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [name, code, when] = cells[..] else { return None };
        let is_name = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        (is_name(name) && is_name(code)).then(|| Reason {
            name: name.to_owned(),
            code: code.to_owned(),
            when: when.to_owned(),
        })
    });
    rows.collect()
}
