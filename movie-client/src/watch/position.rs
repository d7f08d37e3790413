//! Position of a watch in the history, and removal of changes that were delivered before a reconnect.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use super::copy_tracker::CopyTracker;
use super::{Change, Event, Start};

/// Position of a watch in the history.
#[derive(Debug)]
pub(super) struct Position {
    /// Start of the next stream.
    start: Start,
    /// Whether `start` comes from the service instead of the caller.
    is_from_service: bool,
    /// Newest delivered revision.
    newest: u64,
    /// State of a watch with a copy.
    copy: Option<CopyTracker>,
    has_caught_up: bool,
    /// Changes to deliver before the next message is read.
    pending: VecDeque<Change>,
}

impl Position {
    pub(super) fn new(start: Start) -> Self {
        let copy = (start == Start::FullCopy).then(CopyTracker::new);
        let newest = if let Start::After(revision) = start { revision } else { 0 };
        Self { start, is_from_service: false, newest, copy, has_caught_up: false, pending: VecDeque::new() }
    }

    /// Returns the start of the next stream.
    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// Returns whether this start comes from the service.
    pub(super) fn is_from_service(&self) -> bool {
        self.is_from_service
    }

    /// Returns whether the watch began with a copy.
    pub(super) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Requests another copy, because the watch cannot resume.
    pub(super) fn start_over(&mut self) {
        self.start = Start::FullCopy;
        self.has_caught_up = false;
        self.accept_older_copy();
    }

    /// Accepts a copy that is older than the newest delivered revision.
    pub(super) fn accept_older_copy(&mut self) {
        if self.start == Start::FullCopy {
            self.newest = 0;
        }
    }

    /// Records that the stream was interrupted.
    pub(super) fn connection_lost(&mut self) {
        // A partial copy cannot be resumed.
        if self.start == Start::FullCopy
            && let Some(copy) = &mut self.copy
        {
            copy.restart();
        }
    }

    /// Processes a change, and queues it unless it was delivered before. Returns `false` for a copy that is older
    /// than the delivered changes, which comes from a lagging node.
    pub(super) fn take(&mut self, change: Change) -> bool {
        let is_copying = self.start == Start::FullCopy;
        if is_copying && change.revision < self.newest {
            return false;
        }
        let is_new = match change.event {
            Event::CaughtUp => !mem::replace(&mut self.has_caught_up, true),
            Event::Upserted(_) | Event::Deleted(_) => is_copying || change.revision > self.newest,
        };
        self.newest = self.newest.max(change.revision);
        if !change.resume_token.is_empty() {
            (self.start, self.is_from_service) = (Start::Resume(change.resume_token.clone()), true);
        } else if !is_copying || change.event == Event::CaughtUp {
            // Earlier versions of the service send no resume tokens.
            (self.start, self.is_from_service) = (Start::After(self.newest), true);
        }
        match &mut self.copy {
            Some(copy) if is_new => copy.take(change, |change| self.pending.push_back(change)),
            None if is_new => self.pending.push_back(change),
            _ => {}
        }
        true
    }

    /// Returns the next change to deliver.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        self.pending.pop_front()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Start::Now => f.write_str("with the next change"),
            Start::After(_) => write!(f, "after revision {}", self.newest),
            Start::Resume(_) if self.newest > 0 => write!(f, "after revision {}", self.newest),
            Start::Resume(_) => f.write_str("after the resume token"),
            Start::FullCopy => f.write_str("with a full copy"),
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

    fn emitted(position: &mut Position, changes: &[Change]) -> Vec<Change> {
        for change in changes {
            assert!(position.take(change.clone()));
        }
        std::iter::from_fn(|| position.next_change()).collect()
    }

    #[test]
    fn a_watch_resumes_after_the_last_change_and_catches_up_once() {
        let mut position = Position::new(Start::Now);
        assert_eq!(emitted(&mut position, &[caught_up(7)]), [caught_up(7)]);
        assert_eq!(position.start(), &Start::After(7));
        assert_eq!(emitted(&mut position, &[upserted(8, "a", "1")]), [upserted(8, "a", "1")]);
        position.connection_lost();
        assert_eq!(position.start(), &Start::After(8));
        let again = [upserted(8, "a", "1"), deleted(9, "a"), caught_up(9)];
        assert_eq!(emitted(&mut position, &again), [deleted(9, "a")]);
    }

    #[test]
    fn a_watch_resumes_with_the_last_token() {
        let mut position = Position::new(Start::Resume("one".to_owned()));
        assert!(!position.is_from_service());
        emitted(&mut position, &[with_token("two", upserted(8, "a", "1"))]);
        assert_eq!(position.start(), &Start::Resume("two".to_owned()));
        emitted(&mut position, &[with_token("three", caught_up(8))]);
        assert_eq!(position.start(), &Start::Resume("three".to_owned()));
        assert!(position.is_from_service());
    }

    #[test]
    fn an_interrupted_copy_is_requested_again_and_only_differences_are_delivered() {
        let mut position = Position::new(Start::FullCopy);
        let first = [upserted(5, "a", "1"), upserted(5, "b", "1"), upserted(5, "c", "1")];
        assert_eq!(emitted(&mut position, &first), first);
        position.connection_lost();
        assert_eq!(position.start(), &Start::FullCopy);
        let second = [upserted(9, "a", "1"), upserted(9, "c", "2"), upserted(9, "d", "1"), caught_up(9)];
        let news = [upserted(9, "c", "2"), upserted(9, "d", "1"), deleted(9, "b"), caught_up(9)];
        assert_eq!(emitted(&mut position, &second), news);
        assert_eq!(position.start(), &Start::After(9));
    }

    #[test]
    fn another_copy_is_compared_with_changes_that_arrived_during_the_first() {
        let mut position = Position::new(Start::FullCopy);
        emitted(&mut position, &[upserted(5, "a", "1"), upserted(6, "b", "1"), deleted(7, "a")]);
        position.connection_lost();
        assert_eq!(position.start(), &Start::FullCopy);
        let again = [upserted(8, "b", "1"), with_token("t", caught_up(8))];
        assert_eq!(emitted(&mut position, &again), [with_token("t", caught_up(8))]);
    }

    #[test]
    fn an_older_copy_is_accepted_only_if_nodes_do_not_catch_up() {
        let mut position = Position::new(Start::FullCopy);
        emitted(&mut position, &[upserted(9, "a", "2")]);
        position.connection_lost();
        assert!(!position.take(upserted(7, "a", "1")) && !position.take(caught_up(8)));
        let again = [upserted(9, "a", "2"), upserted(9, "b", "1")];
        assert_eq!(emitted(&mut position, &again), [upserted(9, "b", "1")]);
        position.connection_lost();
        position.accept_older_copy();
        let older = [upserted(7, "a", "1"), caught_up(7)];
        assert_eq!(emitted(&mut position, &older), [upserted(7, "a", "1"), deleted(7, "b"), caught_up(7)]);
    }

    #[test]
    fn a_watch_resumes_after_its_copy_is_complete() {
        let mut position = Position::new(Start::FullCopy);
        let all = [upserted(5, "a", "1"), upserted(6, "b", "1"), deleted(7, "a"), caught_up(7)];
        assert_eq!(emitted(&mut position, &all), all);
        position.connection_lost();
        assert_eq!(position.start(), &Start::After(7));
    }

    #[test]
    fn the_first_change_of_an_empty_catalogue_is_delivered() {
        let mut position = Position::new(Start::FullCopy);
        assert_eq!(emitted(&mut position, &[caught_up(3), upserted(4, "a", "1")]).len(), 2);
        let mut position = Position::new(Start::FullCopy);
        assert_eq!(emitted(&mut position, &[upserted(4, "a", "1"), deleted(5, "a"), caught_up(5)]).len(), 3);
    }

    #[test]
    fn another_copy_delivers_its_differences_even_if_its_revision_is_older() {
        let mut position = Position::new(Start::FullCopy);
        let copy = [upserted(5, "a", "1"), upserted(5, "b", "1"), with_token("t", caught_up(5))];
        emitted(&mut position, &copy);
        emitted(
            &mut position,
            &[with_token("u", upserted(6, "lost", "1")), with_token("v", deleted(7, "a"))],
        );
        position.start_over();
        position.connection_lost();
        assert_eq!(position.start(), &Start::FullCopy);
        let other = [upserted(6, "a", "1"), upserted(6, "b", "1"), with_token("w", caught_up(6))];
        let news = [upserted(6, "a", "1"), deleted(6, "lost"), with_token("w", caught_up(6))];
        assert_eq!(emitted(&mut position, &other), news);
        assert_eq!(position.start(), &Start::Resume("w".to_owned()));
    }
}
