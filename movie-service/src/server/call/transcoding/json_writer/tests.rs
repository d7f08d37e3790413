//! Compares the JSON with the JSON of prost-reflect.

use std::sync::LazyLock;

use movie_proto::catalog::v1;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::*;
use crate::catalogue::Record;
use crate::movie::Movie;

const MOVIE: &str = "movie.catalog.v1.Movie";
const FILTER: &str = "movie.catalog.v1.MovieFilter";
const SEARCH: &str = "movie.catalog.v1.SearchMoviesResponse";

static CONTRACT: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap());

fn descriptor(name: &str) -> MessageDescriptor {
    CONTRACT.get_message_by_name(name).unwrap()
}

fn write(name: &str, message: &impl Message, layout: Layout) -> String {
    let mut out = Vec::new();
    let writer = JsonWriter::new(&descriptor(name)).unwrap();
    writer.write(&message.encode_to_vec(), layout, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Returns the JSON of prost-reflect.
fn expected(name: &str, message: &impl Message) -> serde_json::Value {
    let decoded = DynamicMessage::decode(descriptor(name), message.encode_to_vec().as_slice()).unwrap();
    serde_json::to_value(&decoded).unwrap()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>(), "[\"\\\\/\u{0}-\u{1f}\u{7f}\u{2028}é😀a]{0,9}"]
}

/// Ratings that are the same in 32 and in 64 bits, which prost-reflect writes.
fn any_rating() -> impl Strategy<Value = Option<f32>> {
    let quarters = any::<i16>().prop_map(|number| f32::from(number) / 4.0);
    let special = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    proptest::option::of(prop_oneof![quarters, proptest::sample::select(special.to_vec())])
}

fn any_movie() -> impl Strategy<Value = v1::Movie> {
    let time = || {
        proptest::option::of((
            -62_135_596_800_i64..253_402_300_800,
            prop_oneof![Just(0), (0..1_000).prop_map(|millis| millis * 1_000_000), 0..1_000_000_000],
        ))
    };
    let texts = || proptest::collection::vec(any_text(), 0..4);
    let timestamp = |time: Option<(i64, i32)>| time.map(|(seconds, nanos)| Timestamp { seconds, nanos });
    ((any_text(), any_rating(), any::<i32>(), any::<i64>()), (texts(), texts(), time(), time())).prop_map(
        move |((title, rating, year, rating_count), (genres, cast, create_time, update_time))| v1::Movie {
            title,
            rating,
            year,
            rating_count,
            genres,
            cast,
            create_time: timestamp(create_time),
            update_time: timestamp(update_time),
            ..v1::Movie::default()
        },
    )
}

fn any_facet() -> impl Strategy<Value = v1::Facet> {
    let values = proptest::collection::vec((any_text(), any::<i32>()), 0..3);
    (any_text(), values).prop_map(|(field, values)| v1::Facet {
        field,
        values: values.into_iter().map(|(value, count)| v1::facet::Value { value, count }).collect(),
    })
}

proptest! {
    #[test]
    fn messages_are_written_as_by_prost_reflect(
        movies in proptest::collection::vec(any_movie(), 0..4),
        facets in proptest::collection::vec(any_facet(), 0..3),
        decades in proptest::collection::vec(any::<i32>(), 0..4),
        total_size in any::<i32>(),
    ) {
        let hits = movies.into_iter().map(|movie| v1::Hit { movie: Some(movie), highlights: vec![] }).collect();
        let response = v1::SearchMoviesResponse { hits, facets, total_size, ..Default::default() };
        for layout in [Layout::Compact, Layout::Pretty] {
            let written = write(SEARCH, &response, layout);
            let parsed: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&parsed, &expected(SEARCH, &response), "{}", written);
        }
        // Packed numbers.
        let filter = v1::MovieFilter { decades, ..v1::MovieFilter::default() };
        let parsed: serde_json::Value = serde_json::from_str(&write(FILTER, &filter, Layout::Pretty)).unwrap();
        prop_assert_eq!(parsed, expected(FILTER, &filter));
    }

    #[test]
    fn any_bytes_are_written_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let writer = JsonWriter::new(&descriptor(MOVIE)).unwrap();
        let _ = writer.write(&bytes, Layout::Compact, &mut Vec::new());
    }
}

#[test]
fn a_record_of_the_catalogue_is_written_like_its_movie() {
    let movie = Movie {
        id: "7".to_owned(),
        title: "Se7en".to_owned(),
        rating: Some(0.0),
        cast: vec!["Brad Pitt".to_owned()],
        ..Movie::default()
    };
    let record = Record::of(&movie);
    let mut out = Vec::new();
    let writer = JsonWriter::new(&descriptor(MOVIE)).unwrap();
    writer.write(record.bytes(), Layout::Compact, &mut out).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        written,
        serde_json::json!({ "id": "7", "title": "Se7en", "rating": 0.0, "cast": ["Brad Pitt"] })
    );
}

#[test]
fn a_layout_is_compact_or_for_people() {
    let movie = v1::Movie {
        title: "Se7en".to_owned(),
        rating: Some(8.6),
        genres: vec!["Crime".to_owned(), "Drama".to_owned()],
        rating_count: 1_700_000,
        ..v1::Movie::default()
    };
    assert_eq!(
        write(MOVIE, &movie, Layout::Compact),
        r#"{"title":"Se7en","rating":8.6,"genres":["Crime","Drama"],"ratingCount":"1700000"}"#
    );
    let pretty = [
        "{",
        "  \"title\": \"Se7en\",",
        "  \"rating\": 8.6,",
        "  \"genres\": [",
        "    \"Crime\",",
        "    \"Drama\"",
        "  ],",
        "  \"ratingCount\": \"1700000\"",
        "}",
    ];
    assert_eq!(write(MOVIE, &movie, Layout::Pretty), pretty.join("\n"));
    assert_eq!(write(MOVIE, &v1::Movie::default(), Layout::Pretty), "{}");
}

#[test]
fn a_text_field_is_found_in_an_encoded_message() {
    let movie = v1::Movie { title: "Se7en".to_owned(), etag: "\"3f\"".to_owned(), ..v1::Movie::default() };
    let message = movie.encode_to_vec();
    assert_eq!(text_field(&message, 12), Some("\"3f\""));
    assert_eq!(text_field(&message, 4), None);
}

#[test]
fn a_message_with_a_field_of_another_kind_is_refused() {
    let refused = JsonWriter::new(&descriptor("google.rpc.Status")).unwrap_err();
    assert_eq!(refused.to_string(), "the type of the field google.rpc.Status.details is not supported");
}
