//! How far a watch has come, and what of a new stream has been told already.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use super::copy::Copy;
use super::{Change, Event, Start};

/// How far a watch has come.
#[derive(Debug)]
pub(super) struct Place {
    /// Where a stream has to begin to go on.
    start: Start,
    /// Whether the service has told it, and not the caller.
    is_told: bool,
    /// The newest revision of which something was told.
    newest: u64,
    /// Of a watch that began with a copy.
    copy: Option<Copy>,
    has_caught_up: bool,
    /// What is to be told before the next message is read.
    due: VecDeque<Change>,
}

impl Place {
    pub(super) fn new(start: Start) -> Self {
        let copy = (start == Start::Copy).then(Copy::new);
        let newest = if let Start::After(revision) = start { revision } else { 0 };
        Self { start, is_told: false, newest, copy, has_caught_up: false, due: VecDeque::new() }
    }

    /// Returns where a stream has to begin to go on from here.
    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// Returns whether that is where the service has told the watch to be.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Returns whether the watch began with a copy.
    pub(super) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Begins another copy, as the changes cannot be gone on with.
    pub(super) fn start_over(&mut self) {
        self.start = Start::Copy;
        self.has_caught_up = false;
        self.accept_older_copy();
    }

    /// Has a copy of an older revision taken than that of which something was told.
    pub(super) fn accept_older_copy(&mut self) {
        if self.start == Start::Copy {
            self.newest = 0;
        }
    }

    /// Notes that the stream was cut.
    pub(super) fn cut(&mut self) {
        // The changes since would not bring what is missing of a copy, so it has to be made anew.
        if self.start == Start::Copy
            && let Some(copy) = &mut self.copy
        {
            copy.begin_again();
        }
    }

    /// Takes what comes from a stream, unless it has been told before. What is due is told first. Returns whether it can
    /// be taken: a copy of an older catalogue than has been told, by a node that is behind, cannot.
    pub(super) fn take(&mut self, change: Change) -> bool {
        let is_copying = self.start == Start::Copy;
        if is_copying && change.revision < self.newest {
            return false;
        }
        let is_news = match change.event {
            Event::CaughtUp => !mem::replace(&mut self.has_caught_up, true),
            Event::Upserted(_) | Event::Deleted(_) => is_copying || change.revision > self.newest,
        };
        self.newest = self.newest.max(change.revision);
        if !change.resume_token.is_empty() {
            (self.start, self.is_told) = (Start::Resume(change.resume_token.clone()), true);
        } else if !is_copying || change.event == Event::CaughtUp {
            // A service of an earlier version has no tokens.
            (self.start, self.is_told) = (Start::After(self.newest), true);
        }
        match &mut self.copy {
            Some(copy) if is_news => copy.take(change, |change| self.due.push_back(change)),
            None if is_news => self.due.push_back(change),
            _ => {}
        }
        true
    }

    /// Returns what is to be told next.
    pub(super) fn next(&mut self) -> Option<Change> {
        self.due.pop_front()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Start::Now => f.write_str("with the next change"),
            Start::After(_) => write!(f, "after revision {}", self.newest),
            Start::Resume(_) if self.newest > 0 => write!(f, "after revision {}", self.newest),
            Start::Resume(_) => f.write_str("after the resume token"),
            Start::Copy => f.write_str("with a copy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Movie;

    fn change(revision: u64, event: Event) -> Change {
        Change { revision, event, resume_token: String::new() }
    }

    fn upserted(revision: u64, id: &str, etag: &str) -> Change {
        let movie = Movie { id: id.to_owned(), etag: etag.to_owned(), ..Movie::default() };
        change(revision, Event::Upserted(movie))
    }

    fn deleted(revision: u64, id: &str) -> Change {
        change(revision, Event::Deleted(id.to_owned()))
    }

    fn caught_up(revision: u64) -> Change {
        change(revision, Event::CaughtUp)
    }

    fn with_token(token: &str, change: Change) -> Change {
        Change { resume_token: token.to_owned(), ..change }
    }

    fn told(place: &mut Place, changes: &[Change]) -> Vec<Change> {
        for change in changes {
            assert!(place.take(change.clone()));
        }
        std::iter::from_fn(|| place.next()).collect()
    }

    #[test]
    fn a_watch_goes_on_after_the_last_change_and_says_once_that_it_has_caught_up() {
        let mut place = Place::new(Start::Now);
        assert_eq!(told(&mut place, &[caught_up(7)]), [caught_up(7)]);
        assert_eq!(place.start(), &Start::After(7));
        assert_eq!(told(&mut place, &[upserted(8, "a", "1")]), [upserted(8, "a", "1")]);
        place.cut();
        assert_eq!(place.start(), &Start::After(8));
        let again = [upserted(8, "a", "1"), deleted(9, "a"), caught_up(9)];
        assert_eq!(told(&mut place, &again), [deleted(9, "a")]);
    }

    #[test]
    fn a_watch_goes_on_by_the_last_token() {
        let mut place = Place::new(Start::Resume("one".to_owned()));
        assert!(!place.is_told());
        told(&mut place, &[with_token("two", upserted(8, "a", "1"))]);
        assert_eq!(place.start(), &Start::Resume("two".to_owned()));
        told(&mut place, &[with_token("three", caught_up(8))]);
        assert_eq!(place.start(), &Start::Resume("three".to_owned()));
        assert!(place.is_told());
    }

    #[test]
    fn a_copy_that_was_cut_is_made_anew_and_only_what_changed_is_told() {
        let mut place = Place::new(Start::Copy);
        let first = [upserted(5, "a", "1"), upserted(5, "b", "1"), upserted(5, "c", "1")];
        assert_eq!(told(&mut place, &first), first);
        place.cut();
        assert_eq!(place.start(), &Start::Copy);
        let second = [upserted(9, "a", "1"), upserted(9, "c", "2"), upserted(9, "d", "1"), caught_up(9)];
        let news = [upserted(9, "c", "2"), upserted(9, "d", "1"), deleted(9, "b"), caught_up(9)];
        assert_eq!(told(&mut place, &second), news);
        assert_eq!(place.start(), &Start::After(9));
    }

    #[test]
    fn a_copy_that_was_cut_before_it_had_caught_up_is_made_anew_with_what_was_told_since() {
        let mut place = Place::new(Start::Copy);
        told(&mut place, &[upserted(5, "a", "1"), upserted(6, "b", "1"), deleted(7, "a")]);
        place.cut();
        assert_eq!(place.start(), &Start::Copy);
        let again = [upserted(8, "b", "1"), with_token("t", caught_up(8))];
        assert_eq!(told(&mut place, &again), [with_token("t", caught_up(8))]);
    }

    #[test]
    fn a_copy_of_an_older_catalogue_is_not_taken_unless_that_is_all_there_is() {
        let mut place = Place::new(Start::Copy);
        told(&mut place, &[upserted(9, "a", "2")]);
        place.cut();
        assert!(!place.take(upserted(7, "a", "1")) && !place.take(caught_up(8)));
        let again = [upserted(9, "a", "2"), upserted(9, "b", "1")];
        assert_eq!(told(&mut place, &again), [upserted(9, "b", "1")]);
        place.cut();
        place.accept_older_copy();
        let older = [upserted(7, "a", "1"), caught_up(7)];
        assert_eq!(told(&mut place, &older), [upserted(7, "a", "1"), deleted(7, "b"), caught_up(7)]);
    }

    #[test]
    fn changes_follow_a_copy_and_are_gone_on_with() {
        let mut place = Place::new(Start::Copy);
        let all = [upserted(5, "a", "1"), upserted(6, "b", "1"), deleted(7, "a"), caught_up(7)];
        assert_eq!(told(&mut place, &all), all);
        place.cut();
        assert_eq!(place.start(), &Start::After(7));
    }

    #[test]
    fn the_first_change_of_an_empty_catalogue_is_told() {
        let mut place = Place::new(Start::Copy);
        assert_eq!(told(&mut place, &[caught_up(3), upserted(4, "a", "1")]).len(), 2);
        let mut place = Place::new(Start::Copy);
        assert_eq!(told(&mut place, &[upserted(4, "a", "1"), deleted(5, "a"), caught_up(5)]).len(), 3);
    }

    #[test]
    fn a_copy_that_is_started_over_tells_what_differs_although_its_revision_is_older() {
        let mut place = Place::new(Start::Copy);
        let copy = [upserted(5, "a", "1"), upserted(5, "b", "1"), with_token("t", caught_up(5))];
        told(&mut place, &copy);
        told(&mut place, &[with_token("u", upserted(6, "lost", "1")), with_token("v", deleted(7, "a"))]);
        place.start_over();
        place.cut();
        assert_eq!(place.start(), &Start::Copy);
        let other = [upserted(6, "a", "1"), upserted(6, "b", "1"), with_token("w", caught_up(6))];
        let news = [upserted(6, "a", "1"), deleted(6, "lost"), with_token("w", caught_up(6))];
        assert_eq!(told(&mut place, &other), news);
        assert_eq!(place.start(), &Start::Resume("w".to_owned()));
    }
}
