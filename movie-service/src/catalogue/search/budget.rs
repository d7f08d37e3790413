//! The work that one search may do, counted in units that do not depend on the machine.

/// Nodes of vocabularies, at each level.
const MAX_NODES: usize = 30_000;
/// Postings that are read, at each level.
const MAX_POSTINGS: usize = 100_000;
/// Documents that are ranked, at each level. One counts more than once if much of it matches.
const MAX_DOCUMENTS: usize = 5_000;

/// Documents that only the condition on a facet excludes, and that are ranked to be counted, at all levels.
const MAX_EXCLUDED: usize = 5_000;
/// Documents that [`Documents::matches`](crate::catalogue::search::document::Documents::matches) is asked about, at all
/// levels.
const MAX_ASKED: usize = 20_000;

/// Steps that a document, a question and a posting count as; a node is one. A step takes about 25 ns.
const STEPS_PER_DOCUMENT: usize = 12;
const STEPS_PER_QUESTION: usize = 8;
const POSTINGS_PER_STEP: usize = 8;

/// An amount of work that may be done.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    spent: usize,
}

impl Budget {
    /// Returns a budget of which nothing is spent.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, spent: 0 }
    }

    /// Counts work that was done.
    pub(crate) fn spend(&mut self, work: usize) {
        self.spent += work;
    }

    /// Returns what was spent on postings, in steps.
    pub(crate) fn steps_of_postings(&self) -> usize {
        self.spent / POSTINGS_PER_STEP
    }

    /// Returns how much may still be done.
    pub(crate) fn left(&self) -> usize {
        self.limit.saturating_sub(self.spent)
    }

    /// Returns whether nothing may be done any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent >= self.limit
    }
}

/// The work of a search.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) nodes: Budget,
    pub(crate) postings: Budget,
    pub(crate) documents: Budget,
    pub(crate) excluded: Budget,
    pub(crate) asked: Budget,
    /// Other work, and the work of earlier levels, in steps.
    pub(crate) steps: usize,
    /// Whether the level found all that there is.
    pub(crate) is_complete: bool,
    /// Whether all documents are counted that only the condition on a facet excludes.
    pub(crate) counts_all: bool,
}

impl Work {
    /// Returns the work of a search.
    pub(crate) fn new() -> Self {
        let [nodes, postings, documents] = [MAX_NODES, MAX_POSTINGS, MAX_DOCUMENTS].map(Budget::new);
        let [excluded, asked] = [MAX_EXCLUDED, MAX_ASKED].map(Budget::new);
        Self { nodes, postings, documents, excluded, asked, steps: 0, is_complete: true, counts_all: true }
    }

    /// Returns the work of the next level.
    pub(crate) fn next_level(self) -> Self {
        let Self { nodes, postings, documents, steps, .. } = &self;
        let steps = steps_of(nodes, postings, documents) + steps;
        Self { excluded: self.excluded, asked: self.asked, counts_all: self.counts_all, steps, ..Self::new() }
    }

    /// Returns whether no more documents may be ranked.
    pub(crate) fn is_spent(&self) -> bool {
        self.documents.is_spent() || self.asked.is_spent()
    }

    /// Returns all work done, in steps.
    pub(crate) fn steps(&self) -> usize {
        let Self { nodes, postings, documents, excluded, asked, steps, .. } = self;
        steps_of(nodes, postings, documents)
            + excluded.spent * STEPS_PER_DOCUMENT
            + asked.spent * STEPS_PER_QUESTION
            + steps
    }
}

/// Returns the work of one level, in steps.
fn steps_of(nodes: &Budget, postings: &Budget, documents: &Budget) -> usize {
    nodes.spent + postings.steps_of_postings() + documents.spent * STEPS_PER_DOCUMENT
}
