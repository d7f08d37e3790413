//! Pages at any revision against a plain list.

use proptest::prelude::*;

use super::*;
use crate::catalogue::query::tests::{compare, entry, filter, fits, order};
use crate::catalogue::tests::slow_cases;
use crate::catalogue::{Catalogue, Change};
use crate::movie::Movie;

#[derive(Clone, Debug)]
enum Step {
    Put(Box<Movie>),
    Delete(String),
    /// Pages are asked for now, and later.
    Keep,
}

/// What a query lists of the model.
fn listed(model: &[Movie], query: &Query) -> Vec<Movie> {
    let mut listed: Vec<_> = model.iter().filter(|movie| fits(movie, &query.filter)).cloned().collect();
    if !query.order.is_empty() {
        listed.sort_by(|one, other| compare(one, other, &query.order));
    }
    listed
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => entry().prop_map(|movie| Step::Put(movie.into())),
        3 => (0..30_u8).prop_map(|id| Step::Delete(format!("id {id}"))),
        1 => Just(Step::Keep),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    (prop_oneof![Just(Filter::default()), filter()], order())
        .prop_map(|(filter, order)| Query { filter, order })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(slow_cases()))]

    #[test]
    fn all_pages_together_are_the_list_at_the_revision_of_the_first_whatever_changed_since(
        steps in proptest::collection::vec(step(), 1..80),
        queries in proptest::collection::vec((query(), 1..6_usize), 1..4),
    ) {
        let catalogue = Catalogue::default();
        let (mut model, mut kept) = (Vec::<Movie>::new(), Vec::new());
        for step in steps {
            match step {
                Step::Put(entry) => {
                    catalogue.apply([Change::Put(Record::of(&entry).movie())]).unwrap();
                    match model.iter_mut().find(|other| other.id == entry.id) {
                        Some(other) => *other = *entry,
                        None => model.push(*entry),
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
                        seen.extend(page.movies.iter().map(Record::to_movie));
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
