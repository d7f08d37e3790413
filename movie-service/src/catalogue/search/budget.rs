//! The work that one search may do, counted in units that do not depend on the machine.

/// Nodes of vocabularies, at each level.
const MAX_NODES: usize = 30_000;
/// Postings that are read, at each level.
const MAX_POSTINGS: usize = 100_000;
/// Documents that are ranked, at each level. One counts more than once if much of it matches.
const MAX_DOCUMENTS: usize = 5_000;

/// Steps that a document and a posting count as; a node is one. A step takes about 25 ns.
const STEPS_PER_DOCUMENT: usize = 12;
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
    /// Other work, and that of earlier levels, in steps.
    pub(crate) steps: usize,
    /// Whether the level found all that there is.
    pub(crate) is_complete: bool,
}

impl Work {
    /// Returns the budgets of a level, after this many steps of earlier levels.
    pub(crate) fn after(steps: usize) -> Self {
        let [nodes, postings, documents] = [MAX_NODES, MAX_POSTINGS, MAX_DOCUMENTS].map(Budget::new);
        Self { nodes, postings, documents, steps, is_complete: true }
    }

    /// Returns all work done, in steps.
    pub(crate) fn steps(&self) -> usize {
        let documents = self.documents.spent * STEPS_PER_DOCUMENT;
        self.nodes.spent + self.postings.spent / POSTINGS_PER_STEP + documents + self.steps
    }
}
