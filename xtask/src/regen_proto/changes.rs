//! Differences between two versions of the contract, for messages to people.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use prost_reflect::{Cardinality, DescriptorPool, MethodDescriptor};

/// An RPC that a version of the contract has and the one before has not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewRpc {
    /// `/package.Service/Method`.
    pub(super) path: String,
    /// The kind in the RPC table of the service that fits what the RPC streams.
    pub(super) kind: &'static str,
    /// The name of its service without the package, if the service is new as well.
    pub(super) new_service: Option<String>,
}

/// The elements of the course's contract, as [`elements`] describes them.
const COURSE: [(&str, &str); 10] = [
    ("message Empty", ""),
    ("message MovieData", ""),
    ("message MovieID", ""),
    ("field MovieData.title", "string = 1"),
    ("field MovieData.rating", "float = 2"),
    ("field MovieData.director", "string = 3"),
    ("field MovieData.id", "string = 4"),
    ("field MovieID.id", "string = 1"),
    ("rpc /Movie/GetMovieByID", "(MovieID) returns (MovieData)"),
    ("rpc /Movie/GetListMovies", "(Empty) returns (stream MovieData)"),
];

/// Returns a line for each message, field, value of an enum and RPC that differs between two descriptor sets.
///
/// # Errors
///
/// If one of them is not a descriptor set.
pub(super) fn changes(before: &[u8], after: &[u8]) -> Result<Vec<String>> {
    Ok(differences(&elements(&pool(before)?), &elements(&pool(after)?)))
}

/// Returns a line for each element of the course's contract, which has no package, that differs from the frozen one.
pub(super) fn course_changes(pool: &DescriptorPool) -> Vec<String> {
    let frozen = COURSE.map(|(name, definition)| (name.to_owned(), definition.to_owned()));
    let packages: Vec<_> = pool.files().map(|file| file.package_name().to_owned()).collect();
    let has_package = |name: &str| {
        let (_, name) = name.split_once(' ').unwrap_or_default();
        let name = name.trim_start_matches('/');
        packages.iter().any(|package| !package.is_empty() && name.starts_with(&format!("{package}.")))
    };
    let mut current = elements(pool);
    current.retain(|name, _| !has_package(name));
    differences(&BTreeMap::from(frozen), &current)
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let change = |name: &String| match (before.get(name), after.get(name)) {
        (Some(before), Some(after)) if before == after => None,
        (Some(before), Some(after)) => Some(format!("changed: {name}, from `{before}` to `{after}`")),
        (Some(_), None) => Some(format!("removed: {name}")),
        (None, _) => Some(format!("added: {name}")),
    };
    names.filter_map(change).collect()
}

/// Returns the RPCs that only the second descriptor set has.
///
/// # Errors
///
/// If one of them is not a descriptor set.
pub(super) fn new_rpcs(before: &[u8], after: &[u8]) -> Result<Vec<NewRpc>> {
    let (before, after) = (pool(before)?, pool(after)?);
    let known = elements(&before);
    let methods = after.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let new = methods.filter(|method| !known.contains_key(&rpc_name(method)));
    let new = new.map(|method| {
        let service = method.parent_service();
        let is_new = before.get_service_by_name(service.full_name()).is_none();
        let new_service = is_new.then(|| service.name().to_owned());
        NewRpc { path: path(&method), kind: kind(&method), new_service }
    });
    Ok(new.collect())
}

fn pool(descriptor_set: &[u8]) -> Result<DescriptorPool> {
    DescriptorPool::decode(descriptor_set).context("read the descriptor set")
}

/// Returns the elements of our own files, by their names, with their definitions.
fn elements(pool: &DescriptorPool) -> BTreeMap<String, String> {
    let mut elements = BTreeMap::new();
    for message in pool.all_messages().filter(|message| !message.is_map_entry()) {
        elements.insert(format!("message {}", message.full_name()), String::new());
        for field in message.fields() {
            let list = if field.cardinality() == Cardinality::Repeated { "repeated " } else { "" };
            let definition = format!("{list}{:?} = {}", field.kind(), field.number());
            elements.insert(format!("field {}", field.full_name()), definition);
        }
    }
    for value in pool.all_enums().flat_map(|kind| kind.values().collect::<Vec<_>>()) {
        elements.insert(format!("value {}", value.full_name()), value.number().to_string());
    }
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        let definition = format!(
            "({}{}) returns ({}{})",
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name()
        );
        elements.insert(rpc_name(&method), definition);
    }
    elements.retain(|name, _| !name.contains(" google."));
    elements
}

fn rpc_name(method: &MethodDescriptor) -> String {
    format!("rpc {}", path(method))
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn kind(method: &MethodDescriptor) -> &'static str {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => "Unary",
        (_, true) => "List",
        (true, false) => "Import",
    }
}
