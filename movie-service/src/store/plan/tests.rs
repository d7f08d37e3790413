//! Plans against a plain model: a map of movies, and the rules of the contract as it states them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use uuid::Uuid;

use super::*;
use crate::catalogue::Catalogue;
use crate::store::command::Command;

/// Which etag a request has.
#[derive(Clone, Copy, Debug)]
enum Etag {
    None,
    Current,
    Other,
}

/// A command before it is known which etags there are.
#[derive(Clone, Debug)]
enum Step {
    Create(Movie, String),
    Update(Movie, Vec<Field>, bool, Etag),
    Delete(String, bool, Etag),
    Import(Vec<Movie>),
}

/// Expected outcome; the model does not distinguish kinds of invalid commands.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a test has few of them")]
enum Expected {
    Movie(Movie),
    Deleted,
    /// Created, updated, unchanged, rejected.
    Imported([usize; 4]),
    Invalid,
    RequestIdReused,
    NotFound,
    Exists,
    Stale,
}

impl Expected {
    fn of(result: Result<Outcome, WriteError>) -> Self {
        match result {
            Ok(Outcome::Movie(movie)) => Self::Movie(plain(&movie.to_movie())),
            Ok(Outcome::Deleted) => Self::Deleted,
            Ok(Outcome::Imported(Imported { created, updated, unchanged, rejected })) => {
                let [created, updated, unchanged] =
                    [created, updated, unchanged].map(|count| usize::try_from(count).unwrap());
                Self::Imported([created, updated, unchanged, rejected.len()])
            }
            Err(WriteError::Invalid(violations)) => {
                assert!(!violations.is_empty());
                Self::Invalid
            }
            Err(WriteError::RequestIdReused) => Self::RequestIdReused,
            Err(WriteError::NotFound(_)) => Self::NotFound,
            Err(WriteError::Exists(_)) => Self::Exists,
            Err(WriteError::Stale(_)) => Self::Stale,
            Err(
                error @ (WriteError::ReadOnly
                | WriteError::StoreReadOnly
                | WriteError::StoreFileGone
                | WriteError::Rejected
                | WriteError::Unavailable(_)
                | WriteError::OutcomeUnknown),
            ) => panic!("a plan has no store: {error}"),
        }
    }
}

/// Removes generated ids and times.
fn plain(movie: &Movie) -> Movie {
    let made = Uuid::parse_str(&movie.id).is_ok();
    let id = if made { "made".to_owned() } else { movie.id.clone() };
    Movie { id, ..movie.clone().without_times() }
}

/// The movies as the contract has them.
#[derive(Debug, Default)]
struct Model {
    movies: BTreeMap<String, Movie>,
    requests: BTreeMap<String, (Movie, Movie)>,
}

impl Model {
    fn is_valid(movie: &Movie) -> bool {
        !movie.title.is_empty() && !movie.id.is_empty() && (movie.year == 0 || movie.year >= 1870)
    }

    /// Does what a command asks for; `is_stale` says whether its etag is another than that of the movie there is.
    fn write(&mut self, step: &Step, made: Option<&str>, is_stale: bool) -> Expected {
        match step {
            Step::Create(movie, request) => {
                let id = if movie.id.is_empty() { made.unwrap_or("made") } else { &movie.id };
                let new = Movie { id: id.into(), ..movie.clone() };
                if !Self::is_valid(&new) {
                    return Expected::Invalid;
                }
                if let Some((asked, made)) = self.requests.get(request) {
                    return if asked == movie {
                        Expected::Movie(plain(made))
                    } else {
                        Expected::RequestIdReused
                    };
                }
                if self.movies.contains_key(id) {
                    return Expected::Exists;
                }
                if !request.is_empty() {
                    self.requests.insert(request.clone(), (movie.clone(), new.clone()));
                }
                self.put(new)
            }
            Step::Update(movie, fields, allow_missing, etag) => {
                let is_invalid = |field: &Field| {
                    (*field == Field::Title && movie.title.is_empty())
                        || (*field == Field::Year && movie.year == 1)
                };
                if movie.id.is_empty() || fields.iter().any(is_invalid) {
                    return Expected::Invalid;
                }
                let Some(current) = self.movies.get(&movie.id) else {
                    return match (allow_missing, Self::is_valid(movie), etag) {
                        (false, ..) => Expected::NotFound,
                        (true, false, _) => Expected::Invalid,
                        (true, true, Etag::None) => self.put(movie.clone()),
                        (true, true, Etag::Current | Etag::Other) => Expected::Stale,
                    };
                };
                if is_stale {
                    return Expected::Stale;
                }
                let mut new = current.clone();
                for field in fields {
                    field.copy(movie, &mut new);
                }
                self.put(new)
            }
            Step::Delete(id, allow_missing, _) => match self.movies.contains_key(id) {
                _ if id.is_empty() => Expected::Invalid,
                false if !allow_missing => Expected::NotFound,
                true if is_stale => Expected::Stale,
                _ => {
                    self.movies.remove(id);
                    Expected::Deleted
                }
            },
            Step::Import(movies) => {
                let mut counts = [0; 4];
                for movie in movies {
                    let what = match self.movies.get(&movie.id) {
                        _ if !Self::is_valid(movie) => 3,
                        None => 0,
                        Some(current) if current == movie => 2,
                        Some(_) => 1,
                    };
                    counts[what] += 1;
                    if what < 2 {
                        self.put(movie.clone());
                    }
                }
                Expected::Imported(counts)
            }
        }
    }

    fn put(&mut self, movie: Movie) -> Expected {
        let outcome = Expected::Movie(plain(&movie));
        self.movies.insert(movie.id.clone(), movie);
        outcome
    }
}

/// An in-memory store: applies what was planned and committed.
#[derive(Default)]
struct Ledger {
    catalogue: Catalogue,
    requests: HashMap<String, StoredRequest>,
}

impl Ledger {
    fn commit(&mut self, changes: &[CommittedChange], requests: &[NewRequest]) {
        for NewRequest { id, fingerprint, revision } in requests {
            let change = changes.iter().find(|change| change.point.revision == *revision).unwrap();
            let stored = StoredRequest { fingerprint: *fingerprint, record: change.record.clone().unwrap() };
            self.requests.insert(id.clone(), stored);
        }
        self.catalogue.apply_committed(changes).unwrap();
    }
}

/// Adds a command to a plan as a store does: invalid commands are never planned.
fn add(plan: &mut Plan<'_>, command: Command) -> Result<Outcome, WriteError> {
    let (command, rejected) = command.validate().map_err(WriteError::Invalid)?;
    match plan.add(&command)? {
        Outcome::Imported(imported) => Ok(Outcome::Imported(Imported { rejected, ..imported })),
        outcome @ (Outcome::Movie(_) | Outcome::Deleted) => Ok(outcome),
    }
}

/// Returns the command that a step stands for, and whether its etag is stale.
fn command(step: &Step, current: Option<&Record>) -> (Command, bool) {
    let tag = |etag: Etag| match etag {
        Etag::None => String::new(),
        Etag::Current => current.map_or("\"gone\"".into(), Record::etag),
        Etag::Other => "\"other\"".into(),
    };
    match step.clone() {
        Step::Create(movie, request_id) => (Command::Create { movie, request_id }, false),
        Step::Update(movie, fields, allow_missing, etag) => {
            (Command::Update { movie, etag: tag(etag), fields, allow_missing }, matches!(etag, Etag::Other))
        }
        Step::Delete(id, allow_missing, etag) => {
            (Command::Delete { id, etag: tag(etag), allow_missing }, matches!(etag, Etag::Other))
        }
        Step::Import(movies) => (Command::Import(movies), false),
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = || prop_oneof![1 => Just(String::new()), 6 => "[abc]"];
    let movie = move || {
        let rating = proptest::option::of(prop_oneof![Just(0.0_f32), Just(8.5)]);
        (
            id(),
            prop_oneof![1 => "", 5 => "[xy]"],
            rating,
            prop_oneof![4 => Just(0), 4 => Just(2015), 1 => Just(1)],
        )
            .prop_map(|(id, title, rating, year)| Movie {
                title,
                rating,
                id,
                year,
                ..Movie::default()
            })
    };
    let etag = || prop_oneof![Just(Etag::None), Just(Etag::Current), Just(Etag::Other)];
    let fields = proptest::sample::subsequence(vec![Field::Title, Field::Rating, Field::Year], 0..=3);
    prop_oneof![
        (movie(), "[rs]?").prop_map(|(movie, request)| Step::Create(movie, request)),
        (movie(), fields, any::<bool>(), etag())
            .prop_map(|(movie, fields, missing, etag)| Step::Update(movie, fields, missing, etag)),
        (id(), any::<bool>(), etag()).prop_map(|(id, missing, etag)| Step::Delete(id, missing, etag)),
        proptest::collection::vec(movie(), 0..4).prop_map(Step::Import),
    ]
}

proptest! {
    #[test]
    fn writes_come_to_what_the_contract_says_also_when_many_are_committed_at_once(
        plans in proptest::collection::vec(proptest::collection::vec(any_step(), 1..8), 1..5),
    ) {
        let (mut model, mut ledger) = (Model::default(), Ledger::default());
        for (steps, second) in plans.iter().zip(1..) {
            let snapshot = ledger.catalogue.snapshot();
            let now = Timestamp { seconds: second, nanos: 0 };
            let mut plan = Plan::new(&snapshot, ledger.requests.clone(), now);
            for step in steps {
                let current = match step {
                    Step::Update(movie, ..) => plan.current(&movie.id),
                    Step::Delete(id, ..) => plan.current(id),
                    Step::Create(..) | Step::Import(_) => None,
                };
                let (command, is_stale) = command(step, current.as_ref());
                let before = plan.changes.len();
                let result = add(&mut plan, command);
                let made = plan.changes.get(before).map(|change| &*change.id);
                let expected = model.write(step, made, is_stale);
                if !matches!(expected, Expected::Movie(_) | Expected::Deleted | Expected::Imported(_)) {
                    prop_assert_eq!(plan.changes.len(), before);
                }
                prop_assert_eq!(Expected::of(result), expected, "{:?}", step);
            }
            let (changes, requests) = plan.finish();
            ledger.commit(&changes, &requests);
            let movies = ledger.catalogue.snapshot();
            let movies: BTreeMap<_, _> = movies.movies().map(|movie| {
                let movie = Record::new(&movie).to_movie();
                (movie.id.clone(), movie.without_times())
            }).collect();
            prop_assert_eq!(&movies, &model.movies);
        }
    }
}

#[test]
fn a_movie_keeps_its_create_time_and_has_the_time_of_its_last_change() {
    let mut ledger = Ledger::default();
    let creed = Movie { id: "7".into(), title: "Creed".into(), ..Movie::default() };
    let renamed = Movie { title: "Creed II".into(), ..creed.clone() };
    let second = |seconds| Some(Timestamp { seconds, nanos: 0 });
    for (seconds, movie, changed) in [(1, &creed, 1), (2, &renamed, 2), (3, &renamed, 2)] {
        let snapshot = ledger.catalogue.snapshot();
        let mut plan = Plan::new(&snapshot, HashMap::new(), Timestamp { seconds, nanos: 0 });
        add(&mut plan, Command::Import(vec![movie.clone()])).unwrap();
        let (changes, requests) = plan.finish();
        ledger.commit(&changes, &requests);
        let movies = ledger.catalogue.snapshot();
        let movie = Record::new(&movies.get("7").unwrap()).to_movie();
        assert_eq!((movie.create_time, movie.update_time), (second(1), second(changed)));
    }
}
