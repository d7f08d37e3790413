//! The search index of a snapshot: built once, then changed with each change of the movies.

use std::collections::HashMap;

use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::filter::{decade, director_names};
use crate::catalogue::layout::segment::Location;
use crate::catalogue::search::Document;
use crate::catalogue::search::document::Facet;
use crate::catalogue::search::index::{DocumentChange, SearchIndex};
use crate::catalogue::snapshot::Snapshot;
use crate::movie::Field;

impl Snapshot {
    /// Returns the snapshot with a search index, which all snapshots that are made from it have, too.
    #[must_use]
    pub fn indexed(self) -> Self {
        let index =
            SearchIndex::build(self.locations().map(|location| document(location, self.movie(location))));
        self.with_index(index)
    }

    /// Returns the search index, if there is one.
    pub(crate) fn search_index(&self) -> Option<&SearchIndex> {
        self.search.as_ref()
    }

    /// Returns the index of an earlier snapshot, brought up to date; `None` if more movies than `max_changes` have changed
    /// since, or moved.
    pub(super) fn index_from(&self, earlier: &Self, max_changes: usize) -> Option<SearchIndex> {
        let index = earlier.search.as_ref()?;
        let mut changes = Vec::new();
        for number in 0..earlier.segments().len().max(self.segments().len()) {
            if let (Some(before), Some(now)) = (earlier.segments().get(number), self.segments().get(number))
                && before.frames().as_ptr() == now.frames().as_ptr()
            {
                // A changed segment would have other buffers.
                continue;
            }
            let before = earlier.locations_in(number).map(|location| (location, earlier.movie(location)));
            let mut before: HashMap<_, _> = before.collect();
            for location in self.locations_in(number) {
                let movie = self.movie(location);
                if before.remove(&location) != Some(movie) {
                    changes.push(DocumentChange::Put(document(location, movie)));
                }
            }
            changes.extend(before.keys().map(|location| DocumentChange::Remove(location.number())));
            if changes.len() > max_changes {
                return None;
            }
        }
        Some(index.with(&changes))
    }

    /// Brings the index up to date after changes of the movies with these ids and locations.
    pub(super) fn index_changes<'a>(&mut self, changed: impl Iterator<Item = (&'a str, Location)>) {
        let Some(index) = self.search.take() else { return };
        let documents: Vec<_> = changed
            .map(|(id, at)| {
                if self.find(id.as_bytes()) == Some(at) {
                    DocumentChange::Put(document(at, self.movie(at)))
                } else {
                    DocumentChange::Remove(at.number())
                }
            })
            .collect();
        self.search = Some(index.with(&documents));
    }
}

/// Returns the index of a snapshot for its compacted copy, whose movies have other locations, in the same order.
pub(super) fn remapped(index: &SearchIndex, from: &Snapshot, to: &Snapshot) -> SearchIndex {
    let locations: Vec<_> = from.locations().zip(to.locations()).collect();
    index.with_keys(|key| {
        let at = locations.binary_search_by_key(&key, |(from, _)| from.number());
        at.map_or(key, |at| locations[at].1.number())
    })
}

/// Returns the document to index for a movie.
fn document(location: Location, movie: MovieView<'_>) -> Document<'_> {
    let texts = |field| movie.details.texts(field);
    let lists = [
        (Facet::Genres, Field::Genres),
        (Facet::Countries, Field::Countries),
        (Facet::Languages, Field::Languages),
    ];
    let values = lists.into_iter().flat_map(|(facet, field)| texts(field).map(move |text| (facet, text)));
    let decade = decade(movie.year()).map(|decade| (Facet::Decades, decade));
    Document {
        key: location.number(),
        title: movie.title,
        original_title: texts(Field::OriginalTitle).last().unwrap_or_default(),
        directors: director_names(movie.director).collect(),
        cast: texts(Field::Cast).collect(),
        writers: texts(Field::Writers).collect(),
        facet_values: values.chain(decade).collect(),
        rating_count: u64::try_from(movie.details.number(Field::RatingCount)).unwrap_or_default(),
        rating: movie.rating().unwrap_or_default(),
    }
}
