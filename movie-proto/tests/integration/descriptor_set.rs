//! The descriptor set holds what reflection and JSON need of the contract.

use movie_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, Value};
use prost_types::FileDescriptorSet;

/// Returns the behaviours (AIP-203) of a field, by their names.
fn behaviours(message: &str, field: &str) -> Vec<String> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let extension = pool.get_extension_by_name("google.api.field_behavior").unwrap();
    let names = pool.get_enum_by_name("google.api.FieldBehavior").unwrap();
    let field = pool.get_message_by_name(message).unwrap().get_field_by_name(field).unwrap();
    let options = field.options();
    let behaviours = options.get_extension(&extension);
    let numbers = behaviours.as_list().unwrap().iter().map(|value| Value::as_enum_number(value).unwrap());
    numbers.map(|number| names.get_value(number).unwrap().name().to_owned()).collect()
}

#[test]
fn the_annotations_of_fields_are_in_it() {
    assert_eq!(behaviours("movie.catalog.v1.GetMovieRequest", "id"), ["REQUIRED"]);
    assert_eq!(behaviours("movie.catalog.v1.Movie", "create_time"), ["OUTPUT_ONLY"]);
    assert_eq!(behaviours("movie.catalog.v1.Movie", "year"), [""; 0]);
}

#[test]
fn the_messages_of_error_details_are_in_it() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    for message in ["Status", "ErrorInfo", "RetryInfo", "BadRequest", "ResourceInfo"] {
        assert!(pool.get_message_by_name(&format!("google.rpc.{message}")).is_some(), "{message}");
    }
}

#[test]
fn comments_and_places_in_the_source_are_not() {
    for file in FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file {
        assert_eq!(file.source_code_info, None, "{}", file.name());
    }
}
