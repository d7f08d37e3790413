//! Plans against a plain model: a map of movies, and the rules of the contract as it states them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::catalogue::{Catalogue, Change};

/// Which etag a request has.
#[derive(Clone, Copy, Debug)]
enum Etag {
    None,
    Current,
    Other,
}

/// A write before it is known which etags there are.
#[derive(Clone, Debug)]
enum Step {
    Create(Movie, String),
    Update(Movie, Vec<Field>, bool, Etag),
    Delete(String, bool, Etag),
    Import(Vec<Movie>),
}

/// What a write comes to; of what is invalid, the model does not say more.
#[derive(Debug, PartialEq)]
enum Outcome {
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

impl Outcome {
    fn of(result: Result<Written, WriteError>) -> Self {
        match result {
            Ok(Written::Movie(movie)) => Self::Movie(plain(&movie)),
            Ok(Written::Deleted) => Self::Deleted,
            Ok(Written::Imported(Imported { created, updated, unchanged, rejected })) => {
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
            Err(error @ (WriteError::ReadOnly | WriteError::Unavailable(_) | WriteError::Unknown)) => {
                panic!("a plan has no store: {error}")
            }
        }
    }
}

/// Without what differs from run to run, or is asked of the movie itself.
fn plain(movie: &Movie) -> Movie {
    let made = Uuid::parse_str(&movie.id).is_ok();
    let id = if made { "made".to_owned() } else { movie.id.clone() };
    Movie { id, ..movie::without_output(movie) }
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

    /// Makes a write; `is_stale` says whether its etag is another than that of the movie there is.
    fn write(&mut self, step: &Step, made: Option<&str>, is_stale: bool) -> Outcome {
        match step {
            Step::Create(movie, request) => {
                if let Some((asked, made)) = self.requests.get(request) {
                    return if asked == movie {
                        Outcome::Movie(plain(made))
                    } else {
                        Outcome::RequestIdReused
                    };
                }
                let id = if movie.id.is_empty() { made.unwrap_or("made") } else { &movie.id };
                let new = Movie { id: id.into(), ..movie.clone() };
                if !Self::is_valid(&new) {
                    return Outcome::Invalid;
                }
                if self.movies.contains_key(id) {
                    return Outcome::Exists;
                }
                if !request.is_empty() {
                    self.requests.insert(request.clone(), (movie.clone(), new.clone()));
                }
                self.put(new)
            }
            Step::Update(movie, fields, allow_missing, etag) => {
                let Some(current) = self.movies.get(&movie.id) else {
                    return match (movie.id.is_empty(), allow_missing, Self::is_valid(movie), etag) {
                        (true, ..) | (_, true, false, _) => Outcome::Invalid,
                        (_, false, ..) => Outcome::NotFound,
                        (_, true, true, Etag::None) => self.put(movie.clone()),
                        (_, true, true, Etag::Current | Etag::Other) => Outcome::Stale,
                    };
                };
                if is_stale {
                    return Outcome::Stale;
                }
                let mut new = current.clone();
                for field in fields {
                    field.copy(movie, &mut new);
                }
                if Self::is_valid(&new) { self.put(new) } else { Outcome::Invalid }
            }
            Step::Delete(id, allow_missing, _) => match self.movies.contains_key(id) {
                _ if id.is_empty() => Outcome::Invalid,
                false if !allow_missing => Outcome::NotFound,
                true if is_stale => Outcome::Stale,
                _ => {
                    self.movies.remove(id);
                    Outcome::Deleted
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
                Outcome::Imported(counts)
            }
        }
    }

    fn put(&mut self, movie: Movie) -> Outcome {
        let outcome = Outcome::Movie(plain(&movie));
        self.movies.insert(movie.id.clone(), movie);
        outcome
    }
}

/// A store without a disk: plans, and what was committed of them.
#[derive(Default)]
struct Committed {
    catalogue: Catalogue,
    requests: HashMap<String, Remembered>,
}

impl Committed {
    fn commit(&mut self, planned: &[Planned], requests: &[(String, u64, usize)]) {
        for (id, fingerprint, number) in requests {
            let record = planned[*number].record.clone().unwrap();
            self.requests.insert(id.clone(), Remembered { fingerprint: *fingerprint, record });
        }
        let changes = planned.iter().map(|Planned { id, record }| match record {
            Some(record) => Change::Put(record.movie()),
            None => Change::Delete(id),
        });
        self.catalogue.apply(changes).unwrap();
    }
}

/// Returns the write that a step stands for, and whether its etag is stale.
fn write(step: &Step, current: Option<&Record>) -> (Write, bool) {
    let tag = |etag: Etag| match etag {
        Etag::None => String::new(),
        Etag::Current => current.map_or("\"gone\"".into(), Record::etag),
        Etag::Other => "\"other\"".into(),
    };
    match step.clone() {
        Step::Create(movie, request_id) => (Write::Create { movie, request_id }, false),
        Step::Update(movie, fields, allow_missing, etag) => {
            let movie = Movie { etag: tag(etag), ..movie };
            (Write::Update { movie, fields, allow_missing }, matches!(etag, Etag::Other))
        }
        Step::Delete(id, allow_missing, etag) => {
            (Write::Delete { id, etag: tag(etag), allow_missing }, matches!(etag, Etag::Other))
        }
        Step::Import(movies) => (Write::Import(movies), false),
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
                id,
                title,
                rating,
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
        let (mut model, mut committed) = (Model::default(), Committed::default());
        for (steps, second) in plans.iter().zip(1..) {
            let snapshot = committed.catalogue.snapshot();
            let now = Timestamp { seconds: second, nanos: 0 };
            let mut plan = Plan::new(&snapshot, committed.requests.clone(), now);
            for step in steps {
                let current = match step {
                    Step::Update(movie, ..) => plan.current(&movie.id),
                    Step::Delete(id, ..) => plan.current(id),
                    Step::Create(..) | Step::Import(_) => None,
                };
                let (write, is_stale) = write(step, current.as_ref());
                let before = plan.changes.len();
                let result = plan.add(&write);
                let made = plan.changes.get(before).map(|change| change.id.as_str());
                let expected = model.write(step, made, is_stale);
                if !matches!(expected, Outcome::Movie(_) | Outcome::Deleted | Outcome::Imported(_)) {
                    prop_assert_eq!(plan.changes.len(), before);
                }
                prop_assert_eq!(Outcome::of(result), expected, "{:?}", step);
            }
            let (planned, requests) = plan.into_changes();
            committed.commit(&planned, &requests);
            let movies = committed.catalogue.snapshot();
            let movies: BTreeMap<_, _> = movies.movies().map(|movie| {
                let movie = movie::from_record(&Record::new(&movie));
                (movie.id.clone(), movie::without_output(&movie))
            }).collect();
            prop_assert_eq!(&movies, &model.movies);
        }
    }
}

#[test]
fn a_movie_keeps_when_it_was_made_and_tells_when_it_was_changed() {
    let mut committed = Committed::default();
    let creed = Movie { id: "7".into(), title: "Creed".into(), ..Movie::default() };
    let renamed = Movie { title: "Creed II".into(), ..creed.clone() };
    let second = |seconds| Some(Timestamp { seconds, nanos: 0 });
    for (seconds, movie, changed) in [(1, &creed, 1), (2, &renamed, 2), (3, &renamed, 2)] {
        let snapshot = committed.catalogue.snapshot();
        let mut plan = Plan::new(&snapshot, HashMap::new(), Timestamp { seconds, nanos: 0 });
        plan.add(&Write::Import(vec![movie.clone()])).unwrap();
        let (planned, requests) = plan.into_changes();
        committed.commit(&planned, &requests);
        let movies = committed.catalogue.snapshot();
        let movie = movie::from_record(&Record::new(&movies.get("7").unwrap()));
        assert_eq!((movie.create_time, movie.update_time), (second(1), second(changed)));
    }
}
