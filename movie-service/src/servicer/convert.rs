//! Conversion between the movies of `movie.catalog.v1` and those of the domain.

use movie_proto::catalog::v1;
use prost::Message;
use prost_types::FieldMask;

use crate::catalogue::Record;
#[cfg(test)]
use crate::movie::Timestamp;
use crate::movie::{Field, Movie, Violation};
use crate::text::Escaped;

/// Maximum number of violations reported for one field, or for one query, so that they fit the headers that clients accept.
pub(crate) const MAX_VIOLATIONS: usize = 10;

/// Returns the movie of a request, and its etag. Output-only fields are ignored (AIP-203).
#[must_use]
pub fn movie(movie: v1::Movie) -> (Movie, String) {
    let v1::Movie {
        title,
        rating,
        director,
        id,
        year,
        genres,
        runtime_minutes,
        countries,
        languages,
        create_time: _,
        update_time: _,
        etag,
        original_title,
        cast,
        writers,
        rating_count,
        overview,
        poster_uri,
    } = movie;
    let movie = Movie {
        title,
        rating,
        director,
        id,
        year: year.into(),
        genres,
        runtime_minutes: runtime_minutes.into(),
        countries,
        languages,
        create_time: None,
        update_time: None,
        original_title,
        cast,
        writers,
        rating_count,
        overview,
        poster_uri,
    };
    (movie, etag)
}

/// Returns the movie of a response, with its etag.
pub(crate) fn response(record: &Record) -> v1::Movie {
    // A record is an encoded message without its etag.
    let movie = v1::Movie::decode(record.bytes().clone()).unwrap_or_default();
    v1::Movie { etag: record.etag(), ..movie }
}

/// Returns the fields that an update changes: those of the mask or, without a mask, those that are set.
pub(crate) fn fields(movie: &Movie, mask: Option<&FieldMask>) -> Result<Vec<Field>, Vec<Violation>> {
    let Some(mask) = mask else {
        return Ok(updatable().filter(|field| field.value(movie).is_set()).collect());
    };
    let mut fields = Vec::new();
    let mut violations = Vec::new();
    for path in &mask.paths {
        match path.as_str() {
            "*" => fields.extend(updatable()),
            "etag" => {}
            _ => match Field::from_name(path) {
                Some(field) if is_updatable(field) => fields.push(field),
                // `id` identifies the movie and the others are output-only, so they are ignored in a mask.
                Some(_) => {}
                None => violations.push(Violation::new(
                    "update_mask",
                    format!("expected `*` or some of {}; there is no field `{}`", names(), Escaped(path)),
                )),
            },
        }
        if violations.len() == MAX_VIOLATIONS {
            break;
        }
    }
    if violations.is_empty() { Ok(fields) } else { Err(violations) }
}

/// Returns the names of the fields that an update can change.
fn names() -> String {
    updatable().map(Field::name).collect::<Vec<_>>().join(", ")
}

/// Returns the fields that an update can change.
fn updatable() -> impl Iterator<Item = Field> {
    Field::inputs().filter(|field| is_updatable(*field))
}

fn is_updatable(field: Field) -> bool {
    field.is_input() && field != Field::Id
}

/// Returns a movie as a message without an etag.
#[cfg(test)]
pub(crate) fn to_wire(movie: Movie) -> v1::Movie {
    let Movie {
        title,
        rating,
        director,
        id,
        year,
        genres,
        runtime_minutes,
        countries,
        languages,
        create_time,
        update_time,
        original_title,
        cast,
        writers,
        rating_count,
        overview,
        poster_uri,
    } = movie;
    let timestamp = |time: Option<Timestamp>| {
        time.map(|Timestamp { seconds, nanos }| prost_types::Timestamp { seconds, nanos })
    };
    v1::Movie {
        title,
        rating,
        director,
        id,
        year: year.try_into().unwrap(),
        genres,
        runtime_minutes: runtime_minutes.try_into().unwrap(),
        countries,
        languages,
        create_time: timestamp(create_time),
        update_time: timestamp(update_time),
        etag: String::new(),
        original_title,
        cast,
        writers,
        rating_count,
        overview,
        poster_uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_fields_is_that_of_the_contract() {
        let files = prost_types::FileDescriptorSet::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap().file;
        let file = files.iter().find(|file| file.package() == "movie.catalog.v1").unwrap();
        let message = file.message_type.iter().find(|message| message.name() == "Movie").unwrap();
        let contract = message.field.iter().filter(|field| field.name() != "etag");
        let contract: Vec<_> = contract.map(|field| (field.name(), field.number())).collect();
        let table = Field::ALL.iter().map(|field| (field.name(), field.number().cast_signed()));
        assert_eq!(table.collect::<Vec<_>>(), contract);
    }

    #[test]
    fn without_a_mask_what_is_set_is_changed_and_a_star_is_everything() {
        let movie = Movie { title: "Creed".into(), rating: Some(0.0), ..Movie::default() };
        assert_eq!(fields(&movie, None), Ok(vec![Field::Title, Field::Rating]));
        let mask = |paths: &[&str]| FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() };
        let all: Vec<_> = updatable().collect();
        assert_eq!(all.len(), Field::ALL.len() - 3);
        assert_eq!(fields(&movie, Some(&mask(&["*"]))), Ok(all));
        assert_eq!(
            fields(&movie, Some(&mask(&["year", "id", "etag", "update_time"]))),
            Ok(vec![Field::Year])
        );
        assert_eq!(fields(&movie, Some(&mask(&["Year", "x"]))).unwrap_err().len(), 2);
    }
}
