//! Queries in requests: page sizes, filters and orders, with their validation.

use movie_proto::catalog::v1::{ListMoviesRequest, MovieFilter};

use crate::catalogue::filter::Filter;
use crate::catalogue::fold::fold;
use crate::catalogue::order::{MAX_ORDER_FIELDS, Order, OrderBy, OrderField};
use crate::catalogue::query::page::Query;
use crate::movie::{Field, Value, Violation, is_longer};
use crate::text::{Escaped, camel_case};

/// Maximum number of values of one field of a filter.
const MAX_FILTER_VALUES: usize = 100;

/// Maximum number of characters of the start of a title.
const MAX_TITLE_PREFIX_CHARS: usize = 1_000;

/// The page sizes of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSizes {
    /// The size of a page if the request has none.
    pub(super) default: usize,
    /// The largest size, which requests for more get, too (AIP-158).
    pub(super) max: usize,
}

/// The page sizes of `ListMovies`.
const LIST_PAGE_SIZES: PageSizes = PageSizes { default: 50, max: 1_000 };

/// Returns the query and the page size of a list.
///
/// # Errors
///
/// All violations.
pub(super) fn list_query(request: &ListMoviesRequest) -> Result<(Query, usize), Vec<Violation>> {
    let mut violations = Vec::new();
    let size = page_size(request.page_size, LIST_PAGE_SIZES, &mut violations);
    let filter = filter(request.filter.as_ref(), &mut violations);
    let order = order(&request.order_by, &mut violations);
    if violations.is_empty() { Ok((Query { filter, order }, size)) } else { Err(violations) }
}

/// Returns the size of a page. Adds a violation if it is invalid.
pub(super) fn page_size(size: i32, sizes: PageSizes, violations: &mut Vec<Violation>) -> usize {
    match usize::try_from(size) {
        Ok(0) => sizes.default,
        Ok(size) => size.min(sizes.max),
        Err(_) => {
            violations.push(Violation::new("page_size", "expected a number that is not negative"));
            sizes.default
        }
    }
}

/// Returns a filter, whose texts are folded. Adds its violations.
pub(super) fn filter(filter: Option<&MovieFilter>, violations: &mut Vec<Violation>) -> Filter {
    // Without `..`: a field of the contract that is omitted here does not compile.
    let MovieFilter {
        year_from,
        year_to,
        rating_min,
        genres,
        countries,
        languages,
        director,
        cast,
        title_prefix,
        decades,
    } = filter.cloned().unwrap_or_default();
    let mut check = |field: &str, is_valid: bool, expected: &str| {
        if !is_valid {
            violations.push(Violation::new(format!("filter.{field}"), format!("expected {expected}")));
        }
    };
    for (field, year) in [("year_from", year_from), ("year_to", year_to)] {
        check(field, year >= 0, "a year, or 0 for any");
    }
    check("rating_min", !rating_min.is_some_and(f32::is_nan), "a number");
    for (field, length) in [
        ("genres", genres.len()),
        ("countries", countries.len()),
        ("languages", languages.len()),
        ("cast", cast.len()),
        ("decades", decades.len()),
    ] {
        check(field, length <= MAX_FILTER_VALUES, &format!("at most {MAX_FILTER_VALUES}, not {length}"));
    }
    let is_short = !is_longer(&title_prefix, MAX_TITLE_PREFIX_CHARS);
    check("title_prefix", is_short, &format!("at most {MAX_TITLE_PREFIX_CHARS} characters"));
    let are_decades = decades.iter().copied().all(is_decade);
    check("decades", are_decades, "first years of decades, such as 1990, that are valid years of a movie");

    let positive = |year: i32| u32::try_from(year).unwrap_or_default();
    let folded = |texts: Vec<String>| texts.iter().map(|text| fold(text).into_owned()).collect();
    Filter {
        year_from: positive(year_from),
        year_to: positive(year_to),
        rating_min,
        genres: folded(genres),
        countries: folded(countries),
        languages: folded(languages),
        director: fold(&director).into_owned(),
        cast: folded(cast),
        title_prefix: fold(&title_prefix).into_owned(),
        decades: decades.into_iter().map(positive).collect(),
    }
}

/// Returns whether a movie can be of the decade that begins with a year.
fn is_decade(year: i32) -> bool {
    year != 0 && year % 10 == 0 && Field::Year.rule().allows(&Value::Number(year.into()))
}

/// Parses an order (AIP-132), such as `year desc, title`. Adds a violation if it is invalid.
pub(super) fn order(text: &str, violations: &mut Vec<Violation>) -> Order {
    parse_order(text).unwrap_or_else(|expected| {
        violations.push(Violation::new("order_by", expected));
        Order::new()
    })
}

/// Returns the field with this name, which may be in camel case, as in JSON.
fn order_field(name: &str) -> Option<OrderField> {
    OrderField::ALL.into_iter().find(|field| field.name() == name || camel_case(field.name()) == name)
}

/// Returns what an order consists of, for errors about a part of one.
fn order_syntax(part: &str) -> String {
    let names = OrderField::ALL.map(OrderField::name).join(", ");
    let found = match part.trim() {
        "" => String::new(),
        part => format!(", not `{}`", Escaped(part)),
    };
    format!(
        "expected fields separated by commas, each one of {names}, with ` desc` after it for the highest first{found}"
    )
}

fn parse_order(text: &str) -> Result<Order, String> {
    let mut order = Order::new();
    if text.trim().is_empty() {
        return Ok(order);
    }
    for part in text.split(',') {
        let mut words = part.split_whitespace();
        let field = words.next().and_then(order_field).ok_or_else(|| order_syntax(part))?;
        let descending = match (words.next(), words.next()) {
            (None, _) => false,
            (Some("desc"), None) => true,
            _ => return Err(order_syntax(part)),
        };
        if order.iter().any(|by: &OrderBy| by.field == field) {
            return Err("expected each field once".into());
        }
        order.push(OrderBy { field, descending });
    }
    debug_assert!(order.len() <= MAX_ORDER_FIELDS);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_part_of_an_order_is_named() {
        for (text, found) in [("foo", ", not `foo`"), ("year, title\tup", r", not `title\tup`")] {
            let error = parse_order(text).unwrap_err();
            assert!(error.starts_with("expected fields") && error.ends_with(found), "{error}");
        }
        assert!(parse_order("year,").unwrap_err().ends_with("for the highest first"));
    }

    #[test]
    fn an_order_is_fields_separated_by_commas() {
        let by = |field, descending| OrderBy { field, descending };
        assert_eq!(parse_order(""), Ok(vec![]));
        assert_eq!(parse_order(" "), Ok(vec![]));
        assert_eq!(parse_order("year"), Ok(vec![by(OrderField::Year, false)]));
        let both = vec![by(OrderField::Rating, true), by(OrderField::Title, false)];
        assert_eq!(parse_order(" rating  desc ,title"), Ok(both));
        let all = OrderField::ALL.map(OrderField::name).join(",");
        assert_eq!(parse_order(&all), Ok(OrderField::ALL.map(|field| by(field, false)).to_vec()));
        let counts = vec![by(OrderField::RatingCount, true), by(OrderField::CreateTime, false)];
        assert_eq!(parse_order("ratingCount desc,createTime"), Ok(counts.clone()));
        assert_eq!(parse_order("rating_count desc,create_time"), Ok(counts));
        for wrong in [
            ",",
            "year,",
            "director",
            "year asc",
            "year desc desc",
            "year,year desc",
            "YEAR",
            "RatingCount",
            "rating_count,ratingCount",
        ] {
            parse_order(wrong).unwrap_err();
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

    /// Returns the fields of a filter that are refused.
    fn refused(filter: &MovieFilter) -> Vec<String> {
        let mut violations = Vec::new();
        super::filter(Some(filter), &mut violations);
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn all_violations_of_a_list_are_reported_at_once() {
        let filter = MovieFilter {
            year_from: -1,
            rating_min: Some(f32::NAN),
            genres: vec!["x".into(); 101],
            cast: vec!["x".into(); 101],
            title_prefix: "é".repeat(1_001),
            decades: vec![1990, 1995],
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
        let expected = [
            "page_size",
            "filter.year_from",
            "filter.rating_min",
            "filter.genres",
            "filter.cast",
            "filter.title_prefix",
            "filter.decades",
            "order_by",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_decade_is_a_multiple_of_ten_within_the_bounds_of_years() {
        let decades = |decades: &[i32]| MovieFilter { decades: decades.to_vec(), ..MovieFilter::default() };
        assert!(refused(&decades(&[1870, 1990, 2200])).is_empty());
        for wrong in [0, 1860, 2210, 1991, -10, i32::MAX, i32::MIN] {
            assert_eq!(refused(&decades(&[1990, wrong])), ["filter.decades"], "{wrong}");
        }
        assert!(refused(&decades(&[1990; 100])).is_empty());
        assert_eq!(refused(&decades(&[1990; 101])), ["filter.decades"]);
    }

    #[test]
    fn the_bounds_of_a_filter_are_valid() {
        let filter = MovieFilter {
            cast: vec!["x".into(); 100],
            title_prefix: "é".repeat(1_000),
            ..MovieFilter::default()
        };
        assert!(refused(&filter).is_empty());
    }
}
