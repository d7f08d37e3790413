//! The values of facets in a segment, and the documents that have them.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::segment::places::{PlaceSet, Places};

/// The labels of a segment, by ordinal, in order of facet and value.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    labels: Box<[Label]>,
}

/// A value of a facet.
#[derive(Debug)]
struct Label {
    facet: Facet,
    value: Box<str>,
    /// The value without case and accents.
    folded: Box<str>,
    places: PlaceSet,
}

impl Labels {
    /// Returns the ordinals of the labels of a facet.
    pub(crate) fn of(&self, facet: Facet) -> Range<usize> {
        let start = self.labels.partition_point(|label| label.facet < facet);
        start..self.labels.partition_point(|label| label.facet <= facet)
    }

    /// Returns the facet and the value of a label.
    pub(crate) fn get(&self, ordinal: usize) -> (Facet, &str) {
        (self.labels[ordinal].facet, &self.labels[ordinal].value)
    }

    /// Returns the folded value of a label.
    pub(crate) fn folded(&self, ordinal: usize) -> &str {
        &self.labels[ordinal].folded
    }

    /// Returns the documents that have a label.
    pub(crate) fn places(&self, ordinal: usize) -> &PlaceSet {
        &self.labels[ordinal].places
    }

    /// Adds the documents that have one of some folded values to `places`.
    pub(crate) fn add_places(&self, facet: Facet, folded: &[String], places: &mut Places) {
        for label in &self.labels[self.of(facet)] {
            if folded.iter().any(|folded| **folded == *label.folded) {
                label.places.add_to(places);
            }
        }
    }

    /// Returns the number of labels.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }
}

/// The number and the folded form of each value of a facet.
type Values = HashMap<Box<str>, (u32, Box<str>), RandomState>;

/// Makes the labels of a segment.
#[derive(Debug, Default)]
pub(crate) struct LabelsBuilder {
    /// For each facet, its values.
    values: [Values; Facet::ALL.len()],
    len: u32,
}

impl LabelsBuilder {
    /// Returns the number of a label, in the order in which labels came. `folded` is asked for if it is new.
    pub(crate) fn intern(&mut self, facet: Facet, value: &str, folded: impl FnOnce() -> Box<str>) -> u32 {
        let values = &mut self.values[facet as usize];
        if let Some((number, _)) = values.get(value) {
            return *number;
        }
        values.insert(value.into(), (self.len, folded()));
        self.len += 1;
        self.len - 1
    }

    /// Returns the labels that documents have, and the ordinal of each number. `documents` are the numbers of the labels of
    /// each document, by place.
    pub(crate) fn finish<'a>(
        self,
        documents: impl ExactSizeIterator<Item = &'a [u32]>,
    ) -> (Labels, Vec<u32>) {
        let count = documents.len();
        let mut places = vec![Vec::new(); self.len as usize];
        for (place, numbers) in (0..).zip(documents) {
            for number in numbers {
                places[*number as usize].push(place);
            }
        }
        let of_facets = Facet::ALL.into_iter().zip(self.values);
        let mut labels: Vec<(Facet, Box<str>, u32, Box<str>)> = of_facets
            .flat_map(|(facet, values)| {
                values.into_iter().map(move |(value, (number, folded))| (facet, value, number, folded))
            })
            .filter(|(_, _, number, _)| !places[*number as usize].is_empty())
            .collect();
        labels.sort_unstable();
        let mut ordinals = vec![0; places.len()];
        let labels = (0..).zip(labels).map(|(ordinal, (facet, value, number, folded))| {
            ordinals[number as usize] = ordinal;
            let places = PlaceSet::new(std::mem::take(&mut places[number as usize]), count);
            Label { facet, value, folded, places }
        });
        (Labels { labels: labels.collect() }, ordinals)
    }
}
