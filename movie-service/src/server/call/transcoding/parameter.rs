//! Fields of a request message that are set by text: variables of the path, query parameters and headers.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

/// Maximum number of fields in a path, so that recursive messages end.
const MAX_DEPTH: usize = 4;

/// Maximum number of characters of a name in a violation.
const MAX_NAME_CHARS: usize = 100;

/// A query parameter, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The text is not a value of the field. The message says what was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct InvalidValue(pub(crate) String);

/// Decodes a query (application/x-www-form-urlencoded). `None` if it is not valid UTF-8.
pub(crate) fn parse_query(query: &str) -> Option<Vec<Parameter>> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8().ok().map(String::from)
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some(Parameter { name: decode(name)?, value: decode(value)? })
        })
        .collect()
}

/// Returns the start of a name that the caller chose, for a violation.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

/// Returns the fields of a path such as `filter.yearFrom`, in either spelling; `None` if there is no such field that text
/// can set.
pub(crate) fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields = Vec::new();
    let mut message = Some(message.clone());
    for name in path.split('.').take(MAX_DEPTH + 1) {
        let field = field(&message?, name)?;
        message = fields_of(&field);
        fields.push(field);
    }
    let is_complete = fields.len() == path.split('.').count();
    (is_complete && fields.last().is_some_and(is_text)).then_some(fields)
}

/// Returns whether the field of a path can be set several times.
pub(crate) fn is_list(message: &MessageDescriptor, path: &str) -> bool {
    resolve(message, path).is_some_and(|fields| fields.last().is_some_and(FieldDescriptor::is_list))
}

/// Returns the names of the fields of which only one can be set, if `path` is one of them and another one is `given`.
pub(crate) fn alternatives(
    message: &MessageDescriptor,
    path: &str,
    given: &[(String, String)],
) -> Option<Vec<String>> {
    let oneof = field(message, path)?.containing_oneof().filter(|oneof| !oneof.is_synthetic())?;
    let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
    given.iter().any(|(known, _)| known != path && names.contains(known)).then_some(names)
}

/// Returns the field with this JSON or protobuf name.
pub(crate) fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// Translates a path of field names to JSON names, as far as there are such fields. Indexes are kept.
pub(crate) fn json_path(message: &MessageDescriptor, path: &str) -> String {
    let mut message = Some(message.clone());
    let names = path.split('.').map(|part| {
        let (name, index) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        match message.take().and_then(|message| field(&message, name)) {
            Some(field) => {
                message = message_of(&field);
                format!("{}{index}", field.json_name())
            }
            None => part.to_owned(),
        }
    });
    names.collect::<Vec<_>>().join(".")
}

/// Returns the paths of all fields that text can set, in JSON names.
pub(crate) fn all(message: &MessageDescriptor) -> Vec<String> {
    fn add(message: &MessageDescriptor, prefix: &str, depth: usize, paths: &mut Vec<String>) {
        for field in message.fields() {
            let path = format!("{prefix}{}", field.json_name());
            if is_text(&field) {
                paths.push(path);
            } else if let Some(inner) = fields_of(&field)
                && depth < MAX_DEPTH
            {
                add(&inner, &format!("{path}."), depth + 1, paths);
            }
        }
    }
    let mut paths = Vec::new();
    add(message, "", 1, &mut paths);
    paths
}

/// Sets a field, or adds an element to a repeated one.
///
/// # Errors
///
/// [`InvalidValue`] if the text is not a value of the field.
pub(crate) fn set(
    message: &mut DynamicMessage,
    fields: &[FieldDescriptor],
    text: &str,
) -> Result<(), InvalidValue> {
    let Some((last, outer)) = fields.split_last() else { return Ok(()) };
    if text.trim().is_empty() && is_mask(&last.kind()) {
        // A mask that names nothing counts as omitted (AIP-134).
        return Ok(());
    }
    let mut message = message;
    for field in outer {
        let Value::Message(inner) = message.get_field_mut(field) else { return Ok(()) };
        message = inner;
    }
    let value = if is_mask(&last.kind()) { mask(last, text) } else { parse(&last.kind(), text) }?;
    if last.is_list() {
        if let Value::List(elements) = message.get_field_mut(last) {
            elements.push(value);
        }
    } else {
        message.set_field(last, value);
    }
    Ok(())
}

/// Parses the text of a value.
fn parse(kind: &Kind, text: &str) -> Result<Value, InvalidValue> {
    let value = match kind {
        Kind::String => Some(Value::String(text.to_owned())),
        // Programs also write `True`.
        Kind::Bool => text.to_ascii_lowercase().parse().ok().map(Value::Bool),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => text.parse().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok().map(Value::U64),
        Kind::Float => text.parse().ok().filter(|number: &f32| number.is_finite()).map(Value::F32),
        Kind::Double => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::F64),
        Kind::Enum(names) => names.get_value_by_name(text).map(|value| Value::EnumNumber(value.number())),
        Kind::Bytes => None,
        Kind::Message(message) => {
            let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
            DynamicMessage::deserialize(message.clone(), text).ok().map(Value::Message)
        }
    };
    value.ok_or_else(|| InvalidValue(expected(kind)))
}

/// Parses a mask, of which each name may have either spelling. Unknown names are kept as they are: the call refuses them.
fn mask(field: &FieldDescriptor, text: &str) -> Result<Value, InvalidValue> {
    let kind = field.kind();
    let invalid = || InvalidValue(expected(&kind));
    let mut messages = field.parent_message().fields().filter_map(|field| message_of(&field));
    let masked = messages.find(|message| !message.full_name().starts_with("google.protobuf."));
    let names = text.split(',').map(str::trim).map(|name| {
        let known = masked.as_ref().and_then(|message| self::field(message, name));
        Value::String(known.map_or_else(|| name.to_owned(), |field| field.name().to_owned()))
    });
    let mut mask = DynamicMessage::new(kind.as_message().ok_or_else(invalid)?.clone());
    mask.try_set_field_by_name("paths", Value::List(names.collect())).map_err(|_| invalid())?;
    Ok(Value::Message(mask))
}

fn is_mask(kind: &Kind) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.FieldMask")
}

/// Returns what a value of this kind looks like in JSON, for an error.
pub(crate) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::String => "text",
        Kind::Bool => "true or false",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number from -2147483648 to 2147483647",
        Kind::Uint32 | Kind::Fixed32 => "a whole number from 0 to 4294967295",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of 64 bits",
        Kind::Uint64 | Kind::Fixed64 => "a whole number of 64 bits, 0 or more",
        Kind::Float | Kind::Double => "a number",
        Kind::Bytes => "base64",
        Kind::Enum(names) => {
            let names: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
            return format!("one of {}", names.join(", "));
        }
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "a time such as 1954-04-26T00:00:00Z",
            "google.protobuf.FieldMask" => "names of fields, separated by commas, such as title,year",
            _ => "an object",
        },
    }
    .to_owned()
}

/// Returns what the value at a path, which may have indexes, looks like in JSON; `None` if there is no such field.
pub(crate) fn expected_at(message: &MessageDescriptor, path: &str) -> Option<String> {
    let (mut message, mut expected_value) = (Some(message.clone()), "an object".to_owned());
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.split('[').next().unwrap_or_default();
        let field = field(&message?, name)?;
        let is_whole_list = field.is_list() && !part.contains('[');
        expected_value = if is_whole_list { "a list".to_owned() } else { expected(&field.kind()) };
        message = message_of(&field);
    }
    Some(expected_value)
}

/// Returns whether text can set the field.
fn is_text(field: &FieldDescriptor) -> bool {
    match message_of(field) {
        Some(message) => {
            matches!(message.full_name(), "google.protobuf.Timestamp" | "google.protobuf.FieldMask")
        }
        None => field.kind() != Kind::Bytes,
    }
}

/// Returns the message of a field whose own fields text can set.
fn fields_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    if field.is_list() || field.is_map() || is_text(field) { None } else { message_of(field) }
}

/// Returns the message of a field.
pub(crate) fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    field.kind().as_message().cloned()
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    fn request(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
        pool.get_message_by_name(&format!("movie.catalog.v1.{name}")).unwrap()
    }

    #[test]
    fn a_query_is_decoded_as_a_form() {
        let parameter =
            |name: &str, value: &str| Parameter { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(
            parse_query("query=am%C3%A9lie+1&&pretty&a=b=c"),
            Some(vec![parameter("query", "amélie 1"), parameter("pretty", ""), parameter("a", "b=c")])
        );
        assert_eq!(parse_query("query=%FF"), None);
        assert_eq!(parse_query(""), Some(vec![]));
    }

    #[test]
    fn fields_are_found_by_either_spelling_and_named_in_json() {
        let list = request("ListMoviesRequest");
        for path in ["filter.yearFrom", "filter.year_from"] {
            assert_eq!(resolve(&list, path).unwrap().len(), 2, "{path}");
            assert_eq!(json_path(&list, path), "filter.yearFrom");
        }
        for path in [
            "",
            "filter",
            "filter.",
            ".filter",
            "yearFrom",
            "pageSize.x",
            "filter.genres.x",
            "filter.year_from.",
        ] {
            assert!(resolve(&list, path).is_none(), "{path}");
        }
        let create = request("CreateMovieRequest");
        assert_eq!(json_path(&create, "movie.original_title"), "movie.originalTitle");
        assert_eq!(json_path(&create, "movie.cast[3].x"), "movie.cast[3].x");
        assert_eq!(
            all(&request("UpdateMovieRequest"))[17..],
            ["movie.posterUri", "updateMask", "allowMissing"].map(str::to_owned)
        );
    }

    #[test]
    fn text_is_parsed_by_the_type_of_its_field() {
        let descriptor = request("ListMoviesRequest");
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut set = |path: &str, text: &str| set(&mut message, &resolve(&descriptor, path).unwrap(), text);
        for (path, text) in [
            ("pageSize", "-5"),
            ("filter.ratingMin", "7.5"),
            ("filter.genres", "Drama"),
            ("filter.genres", "War, and peace"),
            ("filter.decades", "1950"),
        ] {
            set(path, text).unwrap();
        }
        for (path, text, expected) in [
            ("pageSize", "ten", "expected a whole number from -2147483648 to 2147483647"),
            ("pageSize", "2147483648", "expected a whole number from -2147483648 to 2147483647"),
            ("filter.ratingMin", "NaN", "expected a number"),
            ("filter.decades", "", "expected a whole number from -2147483648 to 2147483647"),
        ] {
            assert_eq!(set(path, text).unwrap_err().to_string(), expected);
        }
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(
            json,
            r#"{"pageSize":-5,"filter":{"ratingMin":7.5,"genres":["Drama","War, and peace"],"decades":[1950]}}"#
        );
    }

    #[test]
    fn times_and_masks_are_text() {
        let descriptor = request("UpdateMovieRequest");
        let mut message = DynamicMessage::new(descriptor.clone());
        let mask = resolve(&descriptor, "updateMask").unwrap();
        set(&mut message, &mask, "title, poster_uri,posterUri").unwrap();
        let time = resolve(&descriptor, "movie.createTime").unwrap();
        set(&mut message, &time, "1954-04-26T00:00:00.5Z").unwrap();
        assert!(
            set(&mut message, &time, "yesterday").unwrap_err().to_string().contains("1954-04-26T00:00:00Z")
        );
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(
            json,
            r#"{"movie":{"createTime":"1954-04-26T00:00:00.500Z"},"updateMask":"title,posterUri,posterUri"}"#
        );
        let mut message = DynamicMessage::new(descriptor);
        set(&mut message, &mask, "PosterUri,poster__uri,_title_").unwrap();
        let paths = message.get_field_by_name("update_mask").unwrap();
        let paths = paths.as_message().unwrap().get_field_by_name("paths").unwrap().into_owned();
        let expected = ["PosterUri", "poster__uri", "_title_"].map(|name| Value::String(name.to_owned()));
        assert_eq!(paths, Value::List(expected.to_vec()));
    }
}
