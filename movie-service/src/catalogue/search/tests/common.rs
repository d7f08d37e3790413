//! Helpers of the tests.

use crate::catalogue::search::document::{Document, Documents};
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::ParsedQuery;
use crate::catalogue::search::searcher::{Results, SearchOptions, search};

/// Ids in the order of the keys.
pub(super) struct Ids(pub(super) Vec<String>);

impl Ids {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|number| format!("tt{number:07}")).collect())
    }
}

impl Documents for Ids {
    fn id(&self, key: u64) -> &str {
        &self.0[key as usize]
    }
}

/// An index of these titles and the directors after a `|`, the most popular first.
pub(super) struct Films {
    pub(super) titles: Vec<&'static str>,
    pub(super) index: SearchIndex,
    ids: Ids,
}

impl Films {
    pub(super) fn new(lines: &[&'static str]) -> Self {
        let titles: Vec<&str> = lines.iter().map(|line| line.split('|').next().unwrap_or(line)).collect();
        let index = SearchIndex::build(lines.iter().enumerate().map(|(number, line)| Document {
            key: number as u64,
            title: titles[number],
            directors: line.split('|').skip(1).collect(),
            rating_count: 1 << (30 - number.min(30)),
            ..Document::default()
        }));
        Self { ids: Ids::new(titles.len()), titles, index }
    }

    pub(super) fn results(&self, query: &str) -> Results {
        search(&self.index, &ParsedQuery::new(query), &SearchOptions::default(), &self.ids)
    }

    pub(super) fn search(&self, query: &str) -> Vec<&'static str> {
        self.results(query).hits.iter().map(|hit| self.titles[hit.key as usize]).collect()
    }

    #[track_caller]
    pub(super) fn assert_first(&self, query: &str, title: &str) {
        assert_eq!(self.search(query).first().copied(), Some(title), "{query:?}: {:?}", self.search(query));
    }
}
