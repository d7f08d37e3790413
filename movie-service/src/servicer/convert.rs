//! Conversion between `movie.catalog.v1` messages and domain types, with validation of requests.

use movie_proto::catalog::v1::{self, ListMoviesRequest, MovieFilter};
use prost::Message;
use prost_types::FieldMask;

use crate::catalogue::Record;
use crate::catalogue::filter::Filter;
use crate::catalogue::order::{MAX_ORDER_FIELDS, Order, OrderBy, OrderField};
use crate::catalogue::query::page::Query;
#[cfg(test)]
use crate::movie::Timestamp;
use crate::movie::{Field, Movie, Violation};
use crate::text::Escaped;

/// Default and maximum page size.
const DEFAULT_PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1_000;

/// Maximum number of values of one field of a filter.
const MAX_FILTER_VALUES: usize = 100;

/// Maximum number of violations reported for one field, so that they fit the headers that clients accept.
const MAX_VIOLATIONS: usize = 10;

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

/// Returns the query and the page size of a request.
pub(crate) fn list_query(request: &ListMoviesRequest) -> Result<(Query, usize), Vec<Violation>> {
    let mut violations = Vec::new();
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE_SIZE,
        Ok(size) => size.min(MAX_PAGE_SIZE),
        Err(_) => {
            violations.push(Violation::new("page_size", "expected a number that is not negative"));
            DEFAULT_PAGE_SIZE
        }
    };
    let filter = request.filter.as_ref().map(|filter| self::filter(filter, &mut violations));
    let order = order(&request.order_by).unwrap_or_else(|description| {
        violations.push(Violation::new("order_by", description));
        Order::new()
    });
    let query = Query { filter: filter.unwrap_or_default(), order };
    if violations.is_empty() { Ok((query, size)) } else { Err(violations) }
}

fn filter(filter: &MovieFilter, violations: &mut Vec<Violation>) -> Filter {
    let mut wrong = |field: &str, description: String| {
        violations.push(Violation::new(format!("filter.{field}"), description));
    };
    let mut year = |year: i32, field: &str| {
        u32::try_from(year).unwrap_or_else(|_| {
            wrong(field, "expected a year, or 0 for any".into());
            0
        })
    };
    let (year_from, year_to) = (year(filter.year_from, "year_from"), year(filter.year_to, "year_to"));
    if filter.rating_min.is_some_and(f32::is_nan) {
        wrong("rating_min", "expected a number".into());
    }
    for (words, field) in
        [(&filter.genres, "genres"), (&filter.countries, "countries"), (&filter.languages, "languages")]
    {
        if words.len() > MAX_FILTER_VALUES {
            wrong(field, format!("expected at most {MAX_FILTER_VALUES}, not {}", words.len()));
        }
    }
    let MovieFilter { rating_min, genres, countries, languages, director, .. } = filter.clone();
    Filter { year_from, year_to, rating_min, genres, countries, languages, director }
}

/// Parses `order_by` (AIP-132): `year desc, title`.
fn order(text: &str) -> Result<Order, String> {
    let mut order = Order::new();
    if text.trim().is_empty() {
        return Ok(order);
    }
    for part in text.split(',') {
        let mut words = part.split_whitespace();
        let field = match words.next() {
            Some("title") => OrderField::Title,
            Some("year") => OrderField::Year,
            Some("rating") => OrderField::Rating,
            _ => return Err("expected title, year or rating, separated by commas".into()),
        };
        let descending = match (words.next(), words.next()) {
            (None, _) => false,
            (Some("desc"), None) => true,
            _ => return Err("expected only ` desc` after a field".into()),
        };
        if order.iter().any(|by: &OrderBy| by.field == field) {
            return Err("expected each field once".into());
        }
        order.push(OrderBy { field, descending });
    }
    debug_assert!(order.len() <= MAX_ORDER_FIELDS);
    Ok(order)
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
                    format!("expected fields of a movie or `*`; `{}` is not one", Escaped(path)),
                )),
            },
        }
        if violations.len() == MAX_VIOLATIONS {
            break;
        }
    }
    if violations.is_empty() { Ok(fields) } else { Err(violations) }
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
    fn an_order_is_fields_separated_by_commas() {
        let by = |field, descending| OrderBy { field, descending };
        assert_eq!(order(""), Ok(vec![]));
        assert_eq!(order(" "), Ok(vec![]));
        assert_eq!(order("year"), Ok(vec![by(OrderField::Year, false)]));
        let both = vec![by(OrderField::Rating, true), by(OrderField::Title, false)];
        assert_eq!(order(" rating  desc ,title"), Ok(both));
        for wrong in [",", "year,", "director", "year asc", "year desc desc", "year,year desc", "YEAR"] {
            order(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_page_has_the_size_that_is_asked_for_within_bounds() {
        let size = |page_size| {
            let request = ListMoviesRequest { page_size, ..ListMoviesRequest::default() };
            list_query(&request).map(|(_, size)| size).map_err(|violations| violations[0].field.clone())
        };
        assert_eq!([0, 1, 1_000, 1_001, i32::MAX].map(size), [50, 1, 1_000, 1_000, 1_000].map(Ok));
        assert_eq!(size(-1), Err("page_size".to_owned()));
    }

    #[test]
    fn all_violations_of_a_list_are_reported_at_once() {
        let filter = MovieFilter {
            year_from: -1,
            rating_min: Some(f32::NAN),
            genres: vec!["x".into(); 101],
            ..MovieFilter::default()
        };
        let request = ListMoviesRequest {
            page_size: -1,
            filter: Some(filter),
            order_by: "?".into(),
            ..ListMoviesRequest::default()
        };
        let fields: Vec<_> =
            list_query(&request).unwrap_err().into_iter().map(|violation| violation.field).collect();
        let expected = ["page_size", "filter.year_from", "filter.rating_min", "filter.genres", "order_by"];
        assert_eq!(fields, expected);
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
