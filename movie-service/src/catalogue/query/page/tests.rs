//! Pages at any revision against a plain list.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::catalogue::order::{OrderBy, OrderField};
use crate::catalogue::{Catalogue, Change};
use crate::movie::Movie;

/// A movie of the model.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    id: String,
    title: String,
    rating: Option<f32>,
    year: u32,
    genres: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Put(Entry),
    Delete(String),
    /// Pages are asked for now, and later.
    Keep,
}

impl Entry {
    fn record(&self) -> Record {
        let Self { id, title, rating, year, genres } = self.clone();
        Record::of(&Movie { id, title, rating, year: year.into(), genres, ..Movie::default() })
    }

    fn of(record: &Record) -> Self {
        let Movie { id, title, rating, year, genres, .. } = record.to_movie();
        Self { id, title, rating, year: u32::try_from(year).unwrap(), genres }
    }

    fn fits(&self, filter: &Filter) -> bool {
        let known = self.year > 0;
        (filter.year_from == 0 || (known && self.year >= filter.year_from))
            && (filter.year_to == 0 || (known && self.year <= filter.year_to))
            && filter.rating_min.is_none_or(|least| self.rating.is_some_and(|rating| rating >= least))
            && (filter.genres.is_empty() || filter.genres.iter().any(|genre| self.genres.contains(genre)))
    }

    fn compare(&self, other: &Self, order: &[OrderBy]) -> Ordering {
        let known = |one: bool, other: bool, descending: bool, ordering: Ordering| match (one, other) {
            (true, true) if descending => ordering.reverse(),
            (true, true) => ordering,
            _ => other.cmp(&one),
        };
        order
            .iter()
            .map(|by| match by.field {
                OrderField::Title => known(true, true, by.descending, self.title.cmp(&other.title)),
                OrderField::Year => {
                    known(self.year > 0, other.year > 0, by.descending, self.year.cmp(&other.year))
                }
                OrderField::Rating => known(
                    self.rating.is_some(),
                    other.rating.is_some(),
                    by.descending,
                    self.rating.partial_cmp(&other.rating).unwrap(),
                ),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| self.id.cmp(&other.id))
    }
}

/// What a query lists of the model.
fn listed(model: &[Entry], query: &Query) -> Vec<Entry> {
    let mut listed: Vec<_> = model.iter().filter(|entry| entry.fits(&query.filter)).cloned().collect();
    if !query.order.is_empty() {
        listed.sort_by(|one, other| one.compare(other, &query.order));
    }
    listed
}

fn entry() -> impl Strategy<Value = Entry> {
    // Titles that share their start, and some that fill segments.
    let title = prop_oneof![4 => "The Long [a-c]{1,3}", 2 => "[a-c]{1,2}", 1 => "x{9000,12000}"];
    let rating = proptest::option::of(prop_oneof![Just(0.0_f32), Just(5.5), Just(10.0)]);
    let year = prop_oneof![Just(0_u32), 2000..2003_u32];
    let genres = proptest::collection::vec("[a-c]", 0..2);
    ((0..30_u8).prop_map(|id| format!("id {id}")), title, rating, year, genres)
        .prop_map(|(id, title, rating, year, genres)| Entry { id, title, rating, year, genres })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => entry().prop_map(Step::Put),
        3 => (0..30_u8).prop_map(|id| Step::Delete(format!("id {id}"))),
        1 => Just(Step::Keep),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let years = (prop_oneof![Just(0_u32), 2000..2003_u32], prop_oneof![Just(0_u32), 2000..2003_u32]);
    let rating_min = proptest::option::of(prop_oneof![Just(0.0_f32), Just(5.5)]);
    let genres = proptest::collection::vec("[a-d]", 0..3);
    let filter = (years, rating_min, genres).prop_map(|((year_from, year_to), rating_min, genres)| Filter {
        year_from,
        year_to,
        rating_min,
        genres,
        ..Filter::default()
    });
    let fields = Just(vec![OrderField::Title, OrderField::Year, OrderField::Rating]).prop_shuffle();
    let order = (fields, 0..=3_usize, any::<[bool; 3]>()).prop_map(|(fields, length, descending)| {
        let by = fields.into_iter().zip(descending);
        by.take(length).map(|(field, descending)| OrderBy { field, descending }).collect()
    });
    (prop_oneof![Just(Filter::default()), filter], order).prop_map(|(filter, order)| Query { filter, order })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_pages_together_are_the_list_at_the_revision_of_the_first_whatever_changed_since(
        steps in proptest::collection::vec(step(), 1..80),
        queries in proptest::collection::vec((query(), 1..6_usize), 1..4),
    ) {
        let catalogue = Catalogue::default();
        let (mut model, mut kept) = (Vec::<Entry>::new(), Vec::new());
        for step in steps {
            match step {
                Step::Put(entry) => {
                    catalogue.apply([Change::Put(entry.record().movie())]).unwrap();
                    match model.iter_mut().find(|other| other.id == entry.id) {
                        Some(other) => *other = entry,
                        None => model.push(entry),
                    }
                }
                Step::Delete(id) => {
                    let before = model.len();
                    model.retain(|entry| entry.id != id);
                    prop_assert_eq!(catalogue.apply([Change::Delete(&id)]).is_ok(), model.len() < before);
                }
                Step::Keep => kept.push((catalogue.snapshot().point(), model.clone())),
            }
            for (point, model) in kept.iter().chain([&(catalogue.snapshot().point(), model.clone())]) {
                let past = PastCatalogue::new(catalogue.snapshot(), &catalogue.changes(*point, usize::MAX).unwrap());
                for (query, size) in &queries {
                    let expected = listed(model, query);
                    let (mut seen, mut after) = (Vec::new(), None::<String>);
                    loop {
                        let page = past.page(query, after.as_deref(), *size).unwrap();
                        prop_assert_eq!(page.total, expected.len());
                        seen.extend(page.movies.iter().map(Entry::of));
                        prop_assert!(seen.len() <= expected.len());
                        if !page.more {
                            break;
                        }
                        after = seen.last().map(|entry| entry.id.clone());
                    }
                    prop_assert_eq!(&seen, &expected);
                }
            }
        }
    }
}

#[test]
fn a_page_after_a_movie_that_was_never_there_is_an_error() {
    let catalogue = Catalogue::default();
    let past = PastCatalogue::new(catalogue.snapshot(), &[]);
    assert_eq!(past.page(&Query::default(), Some("7"), 1).unwrap_err(), UnknownStart);
}
