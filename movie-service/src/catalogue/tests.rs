//! The catalogue against a plain list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use movie_proto::MovieData;
use proptest::prelude::*;
use prost::Message;

use super::*;

/// Returns the number of cases of a property test whose cases take long: eight for each of the rounds in `MOVIE_TEST_ROUNDS`,
/// which is 2 by default.
pub(super) fn slow_cases() -> u32 {
    8 * std::env::var("MOVIE_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// A movie of the model.
type Entry = (String, String);

#[derive(Clone, Debug)]
enum Step {
    /// Changes, all or none.
    Apply(Vec<Op>),
    /// Other movies instead of those there are.
    Replace(Vec<Entry>),
    /// Keeps the snapshot of now to the end.
    Keep,
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Entry),
    Update(Entry),
    Delete(String),
}

impl Op {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Insert(entry) => Change::Insert(movie(entry)),
            Self::Update(entry) => Change::Update(movie(entry)),
            Self::Delete(id) => Change::Delete(id),
        }
    }

    /// Makes the change in the model; says whether it fits.
    fn model(&self, model: &mut Vec<Entry>) -> bool {
        let location = |id: &String| model.iter().position(|(other, _)| other == id);
        match self {
            Self::Insert((id, title)) if !title.is_empty() && location(id).is_none() => {
                model.push((id.clone(), title.clone()));
            }
            Self::Update((id, title)) if !title.is_empty() && location(id).is_some() => {
                let location = location(id).unwrap();
                model[location].1.clone_from(title);
            }
            Self::Delete(id) if location(id).is_some() => {
                let location = location(id).unwrap();
                model.remove(location);
            }
            Self::Insert(_) | Self::Update(_) | Self::Delete(_) => return false,
        }
        true
    }
}

fn movie((id, title): &Entry) -> MovieView<'_> {
    MovieView { title, rating: 5.0, director: "", id, details: Details::default() }
}

fn build<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Snapshot {
    let (mut draft, mut builder) = (Draft::default(), Builder::default());
    for entry in entries {
        if let Some(full) = draft.push(&movie(entry)).unwrap() {
            builder.push(&full).unwrap();
        }
    }
    builder.push(&draft).unwrap();
    builder.finish().unwrap()
}

/// Asserts that every way to read a snapshot gives the model.
fn assert_is(snapshot: &Arc<Snapshot>, model: &[Entry]) {
    let own = |movie: MovieView<'_>| (movie.id.to_owned(), movie.title.to_owned());
    assert_eq!(snapshot.len(), model.len());
    assert_eq!(snapshot.movies().map(own).collect::<Vec<_>>(), model);
    let mut frames = Vec::new();
    for (id, title) in model {
        let message =
            MovieData { id: id.clone(), title: title.clone(), rating: 5.0, director: String::new() };
        let message = message.encode_to_vec();
        let frame = [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), &message].concat();
        assert_eq!(snapshot.frame(id.as_bytes()).unwrap(), frame);
        assert!(snapshot.longest_frame() >= frame.len());
        assert_eq!(snapshot.get(id).map(own), Some((id.clone(), title.clone())));
        frames.extend(frame);
    }
    assert_eq!(snapshot.frames().collect::<Vec<_>>().concat(), frames);
}

fn id() -> impl Strategy<Value = String> {
    (0..40u8).prop_map(|id| format!("id {id}"))
}

fn entry() -> impl Strategy<Value = Entry> {
    // Long titles fill segments; an empty one is not allowed.
    (id(), prop_oneof![4 => "[a-é]{1,9}", 4 => "x{4000,9000}", 1 => ""])
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => entry().prop_map(Op::Insert),
        2 => entry().prop_map(Op::Update),
        2 => id().prop_map(Op::Delete),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let replacement = proptest::collection::vec(entry(), 0..40).prop_map(|mut entries| {
        let mut seen = HashSet::new();
        entries.retain(|(id, title)| !title.is_empty() && seen.insert(id.clone()));
        Step::Replace(entries)
    });
    prop_oneof![
        12 => proptest::collection::vec(op(), 0..4).prop_map(Step::Apply),
        1 => replacement,
        3 => Just(Step::Keep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(slow_cases()))]

    #[test]
    fn any_changes_give_what_they_give_in_a_list_and_snapshots_stay_what_they_were(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        // As many changes are kept as there can be.
        let catalogue = Catalogue::with_kept_changes(10_000, Snapshot::default());
        let (mut model, mut kept, mut revision) = (Vec::new(), Vec::new(), Revision::default());
        for step in steps {
            match step {
                Step::Apply(ops) => {
                    let mut next = model.clone();
                    let fits = ops.iter().all(|op| op.model(&mut next));
                    let applied = catalogue.apply(ops.iter().map(Op::change));
                    prop_assert_eq!(applied.is_ok(), fits);
                    if let Ok(applied) = applied {
                        prop_assert_eq!(applied, revision.plus(ops.len() as u64));
                        (model, revision) = (next, applied);
                    }
                }
                Step::Replace(entries) => {
                    let replaced = catalogue.replace(build(&entries));
                    prop_assert!(replaced >= revision);
                    (model, revision) = (entries, replaced);
                }
                Step::Keep => kept.push((catalogue.snapshot(), model.clone(), revision)),
            }
            assert_is(&catalogue.snapshot(), &model);
        }
        for (snapshot, kept, revision) in kept {
            assert_is(&snapshot, &kept);
            prop_assert_eq!(snapshot.revision(), revision);
            // Who follows the changes has the movies that there are.
            let mut followed: HashMap<String, String> = kept.into_iter().collect();
            let events = catalogue.changes(snapshot.point(), usize::MAX).unwrap();
            let mut point = snapshot.point();
            for (event, expected) in events.into_iter().zip(revision.number() + 1..) {
                prop_assert_eq!(event.point.revision.number(), expected);
                point = point.next(&event.id, event.after.as_ref().map(|record| &**record.bytes()));
                prop_assert_eq!(event.point, point);
                let title = |record: &Record| record.movie().title.to_owned();
                let before = match &event.after {
                    Some(after) => followed.insert(event.id.to_string(), title(after)),
                    None => followed.remove(&*event.id),
                };
                prop_assert_eq!(before, event.before.as_ref().map(title));
            }
            prop_assert_eq!(followed, model.iter().cloned().collect());
        }
    }
}

#[test]
fn the_longest_frame_is_known_however_it_came() {
    let title = |length| "x".repeat(length);
    let built = build(&[("1".into(), title(9)), ("2".into(), title(7))]);
    let [longer, longest] = [title(20), title(100)];
    let movie = |id, title| MovieView { title, id, ..MovieView::default() };
    let inserted = built.with([Change::Insert(movie("3", &longer))]).unwrap();
    let updated = inserted.with([Change::Update(movie("2", &longest))]).unwrap();
    for (snapshot, id) in [(built, "1"), (inserted, "3"), (updated, "2")] {
        assert_eq!(snapshot.longest_frame(), snapshot.frame(id.as_bytes()).unwrap().len());
    }
}

#[test]
fn a_change_that_does_not_fit_is_refused_with_the_reason_and_changes_nothing() {
    let catalogue = Catalogue::default();
    let [one, two] = [("1", "one"), ("2", "two")].map(|(id, title)| (id.to_owned(), title.to_owned()));
    catalogue.apply([Change::Insert(movie(&one))]).unwrap();

    let insert = |id, title| Change::Insert(MovieView { title, id, ..MovieView::default() });
    let exists = ChangeError::Exists { id: "1".to_owned(), title: "one".to_owned() };
    for (change, error) in [
        (insert("1", "other"), exists),
        (insert("", "title"), InvalidMovie::NoId.into()),
        (insert("3", ""), InvalidMovie::NoTitle.into()),
        (Change::Update(movie(&("9".to_owned(), "nine".to_owned()))), ChangeError::NotFound("9".to_owned())),
        (Change::Delete("9"), ChangeError::NotFound("9".to_owned())),
    ] {
        assert_eq!(catalogue.apply([Change::Insert(movie(&two)), change]), Err(error));
        assert_is(&catalogue.snapshot(), std::slice::from_ref(&one));
    }
    let long = "x".repeat(encoding::frame::MAX_MESSAGE_BYTES);
    let Err(ChangeError::Invalid(InvalidMovie::TooLarge(_))) = catalogue.apply([insert("3", &long)]) else {
        panic!()
    };
}

#[test]
fn many_movies_that_come_and_go_leave_no_room_behind() {
    let catalogue = Catalogue::default();
    let title = "a title of some length".to_owned();
    for round in 0..50 {
        let entries: Vec<Entry> = (0..500).map(|id| (format!("{round} {id}"), title.clone())).collect();
        catalogue.apply(entries.iter().map(|entry| Change::Insert(movie(entry)))).unwrap();
        catalogue.apply(entries.iter().skip(1).map(|(id, _)| Change::Delete(id))).unwrap();
    }
    let snapshot = catalogue.snapshot();
    assert_eq!(snapshot.len(), 50);
    assert!(snapshot.segments().len() < 20, "{} segments for 50 movies", snapshot.segments().len());
    assert!(snapshot.get("7 0").is_some() && snapshot.get("7 1").is_none());
}

fn committed(start: HistoryPoint, entries: &[Entry]) -> Vec<CommittedChange> {
    let mut point = start;
    let commit = |entry: &Entry| {
        let change = CommittedChange::after(point, &entry.0, Some(Record::new(&movie(entry))));
        point = change.point;
        change
    };
    entries.iter().map(commit).collect()
}

fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
    numbers.map(|number| (number.to_string(), format!("title {number}"))).collect()
}

#[test]
fn committed_changes_are_applied_once_however_often_and_in_whatever_parts_they_are_told() {
    let catalogue = Catalogue::default();
    let changes = committed(HistoryPoint::default(), &entries(0..6));
    for part in [&changes[..2], &changes[..2], &changes[1..4], &changes[..3], &changes[..], &changes[3..5]] {
        catalogue.apply_committed(part).unwrap();
    }
    assert_is(&catalogue.snapshot(), &entries(0..6));
    assert_eq!(catalogue.snapshot().point(), changes[5].point);
    let told = catalogue.changes(HistoryPoint::default(), usize::MAX).unwrap();
    assert_eq!(
        told.iter().map(|event| event.point.revision.number()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn changes_of_another_history_are_never_applied() {
    let catalogue = Catalogue::default();
    let ours = committed(HistoryPoint::default(), &entries(0..4));
    catalogue.apply_committed(&ours).unwrap();
    // From the same start, and from a later one, with as many changes, fewer and more.
    for (start, number) in
        [(HistoryPoint::default(), 10..13), (ours[1].point, 10..14), (ours[2].point, 10..11)]
    {
        let others = committed(start, &entries(number));
        assert_eq!(catalogue.apply_committed(&others), Err(ApplyError::HistoryChanged));
    }
    // Nor changes with a gap, or that do not fit the movies.
    let ahead = committed(HistoryPoint { revision: Revision::new(5), ..ours[3].point }, &entries(4..5));
    assert_eq!(catalogue.apply_committed(&ahead), Err(ApplyError::HistoryChanged));
    let gone = CommittedChange::after(ours[3].point, "9", None);
    assert_eq!(catalogue.apply_committed(&[gone]), Err(ChangeError::NotFound("9".into()).into()));
    assert_is(&catalogue.snapshot(), &entries(0..4));
}

#[test]
fn after_a_reset_followers_of_the_common_part_go_on_and_others_learn_that_it_is_another_history() {
    let catalogue = Catalogue::default();
    let common = committed(HistoryPoint::default(), &entries(0..3));
    let lost = committed(common[2].point, &entries(3..6));
    catalogue.apply_committed(&common).unwrap();
    catalogue.apply_committed(&lost).unwrap();
    let new = committed(common[2].point, &entries(10..12));
    let snapshot = build(&[entries(0..3), entries(10..12)].concat()).at(new[1].point);
    let latest = LoadedChanges::after(common[0].point, &[&common[1..], &new[..]].concat());
    let before = catalogue.reset(StoreContent { snapshot, latest });
    assert_eq!(before.count_differences(&catalogue.snapshot()), 5);

    let revisions = |point| -> Result<Vec<_>, _> {
        catalogue
            .changes(point, 9)
            .map(|events| events.iter().map(|event| event.point.revision.number()).collect())
    };
    assert_eq!(revisions(common[2].point), Ok(vec![4, 5]));
    assert_eq!(revisions(lost[0].point), Err(ChangesError::HistoryChanged));
    assert_eq!(revisions(lost[2].point), Err(ChangesError::HistoryChanged));
    // A bare revision up to the highest ever published is ambiguous.
    assert_eq!(catalogue.point_at(Revision::new(6)), Err(ChangesError::HistoryChanged));
    assert_eq!(catalogue.point_at(Revision::new(5)), Err(ChangesError::HistoryChanged));
    assert_eq!(catalogue.point_at(Revision::new(7)), Err(ChangesError::Ahead { newest: Revision::new(5) }));
}

#[test]
fn the_same_movies_in_the_same_order_have_the_same_digest() {
    let digest = |entries: &[Entry]| build(entries).digest();
    let (mut movies, many) = (entries(0..3), entries(0..3_000));
    assert_eq!(digest(&movies), digest(&movies.clone()));
    assert_ne!(digest(&movies), digest(&movies[..2]));
    movies.swap(0, 1);
    assert_ne!(digest(&movies), digest(&entries(0..3)));
    // However they came to lie in segments.
    let catalogue = Catalogue::default();
    catalogue.apply(many.iter().map(|entry| Change::Insert(movie(entry)))).unwrap();
    assert_eq!(catalogue.snapshot().digest(), digest(&many));
}
