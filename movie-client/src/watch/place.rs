//! How far a watch has come, and what of a new stream has been told already.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::mem;

use super::{Change, Event, Start};

/// How far a watch has come.
#[derive(Debug)]
pub(super) struct Place {
    start: Start,
    copy: Option<Copy>,
    has_caught_up: bool,
    /// What is to be told before the next message is read.
    due: VecDeque<Change>,
}

/// A copy that is not complete. The changes since would not bring what is missing of it, so one that is cut has to be
/// made anew, and what has been told of it is not told again.
#[derive(Debug, Default)]
struct Copy {
    revision: Option<u64>,
    /// The newest revision of which something has been told.
    newest: u64,
    /// The movies told since this copy began, by their ids, with their etags.
    told: HashMap<String, String>,
    /// The movies told before it began, and not since.
    before: HashMap<String, String>,
}

impl Place {
    pub(super) fn new(start: Start) -> Self {
        let copy = (start == Start::Copy).then(Copy::default);
        Self { start, copy, has_caught_up: false, due: VecDeque::new() }
    }

    /// Returns where a stream has to begin to go on from here.
    pub(super) fn start(&self) -> Start {
        self.start
    }

    /// Notes that the stream was cut.
    pub(super) fn cut(&mut self) {
        if let Some(copy) = &mut self.copy {
            let told = mem::take(&mut copy.told);
            copy.before.extend(told);
            copy.revision = None;
        }
    }

    /// Takes what comes from a stream, unless it has been told before. What is due is told first. Returns whether it can
    /// be taken: a copy of an older catalogue than has been told, by a node that is behind, cannot.
    pub(super) fn take(&mut self, change: Change) -> bool {
        if let Some(copy) = &mut self.copy {
            if change.revision < copy.newest {
                return false;
            }
            if copy.holds(&change) {
                if copy.is_news(&change) {
                    self.due.push_back(change);
                }
                return true;
            }
            // The copy is complete: what was told before and is not in it has been removed since.
            let revision = copy.revision.unwrap_or(change.revision);
            let gone = mem::take(&mut copy.before).into_keys();
            self.due.extend(gone.map(|id| Change { revision, event: Event::Deleted(id) }));
            self.copy = None;
        }
        let is_news = match (self.start, &change.event) {
            (_, Event::CaughtUp) => !mem::replace(&mut self.has_caught_up, true),
            (Start::After(last), _) => change.revision > last,
            (Start::Now | Start::Copy, _) => true,
        };
        let last = match self.start {
            Start::After(last) => last.max(change.revision),
            Start::Now | Start::Copy => change.revision,
        };
        self.start = Start::After(last);
        if is_news {
            self.due.push_back(change);
        }
        true
    }

    /// Returns what is to be told next.
    pub(super) fn next(&mut self) -> Option<Change> {
        self.due.pop_front()
    }
}

impl Copy {
    /// Returns whether a change is a movie of the copy. All of these have the revision of the copy.
    fn holds(&mut self, change: &Change) -> bool {
        matches!(change.event, Event::Upserted(_))
            && *self.revision.get_or_insert(change.revision) == change.revision
    }

    /// Notes a movie of the copy, and returns whether it has not been told as it is.
    fn is_news(&mut self, change: &Change) -> bool {
        let Event::Upserted(movie) = &change.event else { return true };
        self.newest = change.revision;
        let before = self.before.remove(&movie.id);
        self.told.insert(movie.id.clone(), movie.etag.clone());
        before.as_ref() != Some(&movie.etag)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Start::Now => f.write_str("with the next change"),
            Start::After(revision) => write!(f, "after revision {revision}"),
            Start::Copy => f.write_str("with the copy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Movie;

    fn upserted(revision: u64, id: &str, etag: &str) -> Change {
        let movie = Movie { id: id.to_owned(), etag: etag.to_owned(), ..Movie::default() };
        Change { revision, event: Event::Upserted(movie) }
    }

    fn deleted(revision: u64, id: &str) -> Change {
        Change { revision, event: Event::Deleted(id.to_owned()) }
    }

    fn caught_up(revision: u64) -> Change {
        Change { revision, event: Event::CaughtUp }
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
        assert_eq!(place.start(), Start::After(7));
        assert_eq!(told(&mut place, &[upserted(8, "a", "1")]), [upserted(8, "a", "1")]);
        place.cut();
        assert_eq!(place.start(), Start::After(8));
        let again = [upserted(8, "a", "1"), deleted(9, "a"), caught_up(9)];
        assert_eq!(told(&mut place, &again), [deleted(9, "a")]);
    }

    #[test]
    fn a_copy_that_was_cut_is_made_anew_and_only_what_changed_is_told() {
        let mut place = Place::new(Start::Copy);
        let first = [upserted(5, "a", "1"), upserted(5, "b", "1"), upserted(5, "c", "1")];
        assert_eq!(told(&mut place, &first), first);
        place.cut();
        assert_eq!(place.start(), Start::Copy);
        let second = [upserted(9, "a", "1"), upserted(9, "c", "2"), upserted(9, "d", "1"), caught_up(9)];
        let news = [upserted(9, "c", "2"), upserted(9, "d", "1"), deleted(9, "b"), caught_up(9)];
        assert_eq!(told(&mut place, &second), news);
        assert_eq!(place.start(), Start::After(9));
    }

    #[test]
    fn a_copy_of_an_older_catalogue_is_not_taken() {
        let mut place = Place::new(Start::Copy);
        told(&mut place, &[upserted(9, "a", "2")]);
        place.cut();
        assert!(!place.take(upserted(7, "a", "1")) && !place.take(caught_up(8)));
        let again = [upserted(9, "a", "2"), caught_up(9)];
        assert_eq!(told(&mut place, &again), [caught_up(9)]);
    }

    #[test]
    fn changes_follow_a_copy_and_are_gone_on_with() {
        let mut place = Place::new(Start::Copy);
        let all = [upserted(5, "a", "1"), upserted(6, "b", "1"), deleted(7, "a"), caught_up(7)];
        assert_eq!(told(&mut place, &all), all);
        place.cut();
        assert_eq!(place.start(), Start::After(7));
    }

    #[test]
    fn the_first_change_of_an_empty_catalogue_is_told() {
        let mut place = Place::new(Start::Copy);
        assert_eq!(told(&mut place, &[caught_up(3), upserted(4, "a", "1")]).len(), 2);
        let mut place = Place::new(Start::Copy);
        assert_eq!(told(&mut place, &[upserted(4, "a", "1"), deleted(5, "a"), caught_up(5)]).len(), 3);
    }
}
