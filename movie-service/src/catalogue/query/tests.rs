//! Movies in a plain list, with filters and orders by the letter of their rules: what pages and searches must equal.

use std::cmp::Ordering;

use proptest::prelude::*;

use crate::catalogue::collation;
use crate::catalogue::filter::Filter;
use crate::catalogue::fold::fold;
use crate::catalogue::order::{MAX_ORDER_FIELDS, Order, OrderBy, OrderField};
use crate::movie::{Movie, Timestamp};

/// Returns whether a text is `wanted`, which is folded.
fn is(text: &str, wanted: &str) -> bool {
    fold(text) == wanted
}

/// Returns whether a movie meets every condition of a filter.
pub(super) fn fits(movie: &Movie, filter: &Filter) -> bool {
    let (year, is_known) = (u32::try_from(movie.year).unwrap(), movie.year > 0);
    let any = |wanted: &[String], texts: &[String]| {
        wanted.is_empty() || texts.iter().any(|text| wanted.iter().any(|wanted| is(text, wanted)))
    };
    let mut directors: Vec<_> = movie.director.split(", ").collect();
    directors.push(&movie.director);
    (filter.year_from == 0 || (is_known && year >= filter.year_from))
        && (filter.year_to == 0 || (is_known && year <= filter.year_to))
        && (filter.decades.is_empty()
            || filter.decades.iter().any(|decade| is_known && (*decade..decade + 10).contains(&year)))
        && filter.rating_min.is_none_or(|least| movie.rating.is_some_and(|rating| rating >= least))
        && any(&filter.genres, &movie.genres)
        && any(&filter.countries, &movie.countries)
        && any(&filter.languages, &movie.languages)
        && (filter.director.is_empty() || directors.iter().any(|name| is(name, &filter.director)))
        && filter.cast.iter().all(|wanted| movie.cast.iter().any(|name| is(name, wanted)))
        && fold(&movie.title).starts_with(&filter.title_prefix)
}

/// Compares two movies in a sort order.
pub(super) fn compare(one: &Movie, other: &Movie, order: &[OrderBy]) -> Ordering {
    /// Compares two values, of which unknown ones come last.
    fn known<T: PartialOrd + Copy>(one: Option<T>, other: Option<T>, descending: bool) -> Ordering {
        match (&one, &other) {
            (Some(one), Some(other)) if descending => other.partial_cmp(one).unwrap(),
            (Some(one), Some(other)) => one.partial_cmp(other).unwrap(),
            _ => other.is_some().cmp(&one.is_some()),
        }
    }
    let compare_by = |&OrderBy { field, descending }: &OrderBy| {
        let positive = |number: i64| Some(number).filter(|number| *number > 0);
        let time = |time: Option<Timestamp>| time.map(|time| (time.seconds, time.nanos));
        match field {
            OrderField::Title => {
                let ordering = collation::compare(one.title.as_bytes(), other.title.as_bytes());
                if descending { ordering.reverse() } else { ordering }
            }
            OrderField::Year => known(positive(one.year), positive(other.year), descending),
            OrderField::Rating => known(one.rating, other.rating, descending),
            OrderField::RatingCount => {
                known(positive(one.rating_count), positive(other.rating_count), descending)
            }
            OrderField::CreateTime => known(time(one.create_time), time(other.create_time), descending),
            OrderField::UpdateTime => known(time(one.update_time), time(other.update_time), descending),
        }
    };
    order.iter().map(compare_by).fold(Ordering::Equal, Ordering::then).then_with(|| one.id.cmp(&other.id))
}

/// Makes short lists of texts that differ by case and accents.
fn texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[abÄä]", 0..3)
}

pub(super) fn entry() -> impl Strategy<Value = Movie> {
    // Titles that share their start or differ by case and accents, and some that fill segments.
    let title = prop_oneof![
        4 => "The Long [a-c]{1,3}", 2 => "[a-cA-Cäéß]{1,3}", 1 => "x{9000,12000}",
    ];
    let rating = proptest::option::of(prop_oneof![Just(0.0_f32), Just(5.5), Just(10.0)]);
    let year = prop_oneof![Just(0_i64), 1998..2003_i64];
    let rating_count = prop_oneof![Just(0_i64), 1..4_i64, Just(1_000_000_000_000)];
    let time = || {
        proptest::option::of((0..3_i64, 0..3_i32).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }))
    };
    let director = prop_oneof!["[abÄ]{0,1}", "[abä], [abÄ]"];
    let values = (title, rating, director, year, rating_count, (time(), time()));
    let lists = (texts(), texts(), texts(), texts());
    let movie = |(id, values, lists)| {
        let (title, rating, director, year, rating_count, (create_time, update_time)) = values;
        let (genres, countries, languages, cast) = lists;
        Movie {
            id: format!("id {id}"),
            title,
            rating,
            director,
            year,
            rating_count,
            create_time,
            update_time,
            genres,
            countries,
            languages,
            cast,
            ..Movie::default()
        }
    };
    (0..30_u8, values, lists).prop_map(movie)
}

/// Makes folded texts of a filter; mostly none, so that some movies match.
fn wanted(text: &'static str) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(text, 1..3)]
}

pub(super) fn filter() -> impl Strategy<Value = Filter> {
    let year = || prop_oneof![3 => Just(0_u32), 1 => 1998..2003_u32];
    let decades = prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![1990]), 1 => Just(vec![1870, 2000])];
    let rating_min = prop_oneof![2 => Just(None), 1 => Just(Some(0.0_f32)), 1 => Just(Some(5.5))];
    let director = prop_oneof![2 => Just(String::new()), 1 => "[abc]", 1 => "[ab], [ab]"];
    let title_prefix =
        prop_oneof![2 => Just(String::new()), 1 => "[a-cs]{1,2}", 1 => Just("the long a".to_owned())];
    let numbers = (year(), year(), decades, rating_min);
    let people = (director, wanted("[abc]"), title_prefix);
    (numbers, people, wanted("[abc]"), wanted("[abc]"), wanted("[abc]")).prop_map(
        |((year_from, year_to, decades, rating_min), people, genres, countries, languages)| {
            let (director, cast, title_prefix) = people;
            Filter {
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
            }
        },
    )
}

pub(super) fn order() -> impl Strategy<Value = Order> {
    let fields = Just(OrderField::ALL.to_vec()).prop_shuffle();
    let order = (fields, 0..=MAX_ORDER_FIELDS, any::<[bool; MAX_ORDER_FIELDS]>());
    order.prop_map(|(fields, length, descending)| {
        let by = fields.into_iter().zip(descending);
        by.take(length).map(|(field, descending)| OrderBy { field, descending }).collect()
    })
}
