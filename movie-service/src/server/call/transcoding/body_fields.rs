//! The fields that a JSON object has, with a check of their names.
//!
//! JSON permits the same name twice, and parsers differ in which value they take (RFC 8259, section 4). Protobuf has two
//! names for a field. So each field may occur once, in either spelling.

use std::fmt;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::server::call::transcoding::parameter::{self, message_of};

/// Reads the JSON of a message, and returns the fields that it has. Fails if the message, or one within it, has an unknown
/// field, or a field twice.
pub(crate) struct BodyFields<'a>(pub(crate) &'a MessageDescriptor);

impl<'de> DeserializeSeed<'de> for BodyFields<'_> {
    type Value = Vec<FieldDescriptor>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BodyFields<'_> {
    type Value = Vec<FieldDescriptor>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            let Some(field) = parameter::field(self.0, &name) else {
                return object.next_value_seed(Refused(&unknown(self.0)));
            };
            if fields.contains(&field) {
                return object.next_value_seed(Refused("expected this field at most once"));
            }
            // The JSON of well-known types is not an object of their fields.
            match message_of(&field).filter(|inner| !inner.full_name().starts_with("google.protobuf.")) {
                Some(inner) => _ = object.next_value_seed(BodyFields(&inner))?,
                None => _ = object.next_value::<IgnoredAny>()?,
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element_seed(BodyFields(self.0))?.is_some() {}
        Ok(Vec::new())
    }

    // Values of other types are refused when the message is parsed.

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

fn unknown(message: &MessageDescriptor) -> String {
    let names: Vec<_> = message.fields().map(|field| field.json_name().to_owned()).collect();
    format!("there is no such field, expected {}", names.join(", "))
}

/// A name that is refused, with the reason. Fails before the value, so that the path of the error ends with the name.
struct Refused<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Refused<'_> {
    type Value = Vec<FieldDescriptor>;

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<Self::Value, D::Error> {
        Err(D::Error::custom(self.0))
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    /// Returns the JSON names of the fields, or the path and the message of the error.
    fn read(message: &str, json: &str) -> Result<Vec<String>, (String, String)> {
        let descriptors = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
        let message = descriptors.get_message_by_name(&format!("movie.catalog.v1.{message}")).unwrap();
        let mut json = serde_json::Deserializer::from_str(json);
        let mut track = serde_path_to_error::Track::new();
        let fields =
            BodyFields(&message).deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
        let names =
            |fields: Vec<FieldDescriptor>| fields.iter().map(|field| field.json_name().to_owned()).collect();
        fields.map(names).map_err(|error| (track.path().to_string(), error.to_string()))
    }

    #[test]
    fn the_fields_of_an_object_are_read_in_either_spelling_and_with_any_value() {
        let json = r#"{"title": 7, "poster_uri": null, "rating": [true, {"x": 1.5}], "createTime": {"x": -1, "x": 2}}"#;
        let names = ["title", "posterUri", "rating", "createTime"].map(str::to_owned);
        assert_eq!(read("Movie", json), Ok(names.to_vec()));
        for json in ["null", "true", "-7", "7", "1.5", "\"text\"", "[[]]"] {
            assert_eq!(read("Movie", json), Ok(vec![]), "{json}");
        }
    }

    #[test]
    fn names_that_are_unknown_or_given_twice_are_refused_at_any_depth() {
        for (message, json, path, problem) in [
            ("Movie", r#"{"title": 1, "titel": 2}"#, "titel", "there is no such field"),
            ("Movie", r#"{"title": 1, "title": 1}"#, "title", "at most once"),
            ("Movie", r#"{"posterUri": 1, "poster_uri": 1}"#, "poster_uri", "at most once"),
            ("ListMoviesRequest", r#"{"filter": {"cast": [], "cast": []}}"#, "filter.cast", "at most once"),
            (
                "SearchMoviesResponse",
                r#"{"hits": [{}, {"movie": {"title": 1, "title": 1}}]}"#,
                "hits[1].movie.title",
                "at most once",
            ),
            (
                "SearchMoviesResponse",
                r#"{"hits": [{"movie": {"x": 1}}]}"#,
                "hits[0].movie.x",
                "no such field",
            ),
        ] {
            let (at, message) = read(message, json).unwrap_err();
            assert!(at == path && message.contains(problem), "{json}: {at}: {message}");
        }
    }
}
