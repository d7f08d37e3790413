//! Searches at any revision against a plain scan of the movies.

use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::catalogue::fold::fold;
use crate::catalogue::query::tests::{compare, entry, filter, fits, order};
use crate::catalogue::search::document::Document;
use crate::catalogue::search::index::{Merge, Merged};
use crate::catalogue::search::reference::scan;
use crate::catalogue::tests::slow_cases;
use crate::catalogue::{Builder, Catalogue, Change, Draft, HistoryPoint, LoadedChanges, StoreContent};
use crate::movie::Movie;

#[derive(Clone, Debug)]
enum Step {
    /// Changes in one batch.
    Apply(Vec<Op>),
    /// Replaces all movies, as a new version of a file does.
    Replace(Vec<Movie>),
    /// Replaces all movies by those of another history.
    Reset(Vec<Movie>),
    /// Moves the movies to other locations, as after many deletions.
    Compact,
    /// Indexes the movies as they are now.
    BuildIndex,
    /// Publishes the index that was built, whatever has changed since.
    PublishIndex,
    /// Merges the index as it is now.
    Merge,
    /// Publishes the merge, whatever has changed since.
    PublishMerge,
    /// Searches are made of this revision, now and later.
    Keep,
}

#[derive(Clone, Debug)]
enum Op {
    Put(Box<Movie>),
    Delete(String),
}

/// Makes texts of words that resemble each other, and some that only look like words of a filter.
fn words(count: Range<usize>) -> impl Strategy<Value = String> {
    const WORDS: &str = "the a b of star stars starr wars starwars two 2 ii x men xmen a.b. o'ab k 9 ab abc abd - ' ½ ä 千 尋 мир & $";
    let word = prop::sample::select(WORDS.split(' ').collect::<Vec<_>>());
    prop::collection::vec(word, count).prop_map(|words| words.join(" "))
}

fn movie() -> impl Strategy<Value = Movie> {
    let names = || prop::collection::vec(words(1..3), 0..3);
    let title = prop::option::weighted(0.8, words(1..5));
    let originals = prop_oneof![3 => Just(String::new()), 1 => words(1..4)];
    let director = prop::option::of(names().prop_map(|names| names.join(", ")));
    (entry(), title, originals, director, names(), names()).prop_map(
        |(entry, title, original_title, director, names, writers)| {
            let cast = [entry.cast, names].concat();
            let (title, director) = (title.unwrap_or(entry.title), director.unwrap_or(entry.director));
            Movie { title, director, original_title, cast, writers, ..entry }
        },
    )
}

fn movies() -> impl Strategy<Value = Vec<Movie>> {
    prop::collection::vec(movie(), 0..30).prop_map(|mut movies| {
        movies.sort_by(|one, other| one.id.cmp(&other.id));
        movies.dedup_by(|one, other| one.id == other.id);
        movies
    })
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        3 => movie().prop_map(|movie| Op::Put(movie.into())),
        1 => (0..30_u8).prop_map(|id| Op::Delete(format!("id {id}"))),
    ];
    prop_oneof![
        10 => prop::collection::vec(op, 1..6).prop_map(Step::Apply),
        1 => movies().prop_map(Step::Replace),
        1 => movies().prop_map(Step::Reset),
        1 => Just(Step::Compact),
        1 => Just(Step::BuildIndex),
        2 => Just(Step::PublishIndex),
        2 => Just(Step::Merge),
        3 => Just(Step::PublishMerge),
        2 => Just(Step::Keep),
    ]
}

/// Makes searches, most of which find some movies, and page sizes.
fn search() -> impl Strategy<Value = (Search, usize)> {
    let title_prefix = prop_oneof![3 => Just(String::new()), 1 => words(1..3)];
    let director = prop_oneof![3 => Just(String::new()), 1 => words(1..3)];
    let narrowed = (filter(), title_prefix, director).prop_map(|(filter, title_prefix, director)| {
        let [title_prefix, director] = [title_prefix, director].map(|text| fold(&text).into_owned());
        Filter { director, title_prefix, ..filter }
    });
    let filter = prop_oneof![2 => Just(Filter::default()), 1 => filter(), 1 => narrowed];
    let facets = prop::sample::subsequence(Facet::ALL.to_vec(), 0..=4);
    let order = prop_oneof![2 => Just(Order::new()), 1 => order()];
    (words(0..4), filter, facets, order, 1..9_usize)
        .prop_map(|(text, filter, facets, order, size)| (Search { text, filter, facets, order }, size))
}

fn snapshot(movies: &[Movie]) -> Snapshot {
    let (mut draft, mut builder) = (Draft::default(), Builder::default());
    for movie in movies {
        if let Some(full) = draft.push(&Record::of(movie).movie()).unwrap() {
            builder.push(&full).unwrap();
        }
    }
    builder.push(&draft).unwrap();
    builder.finish().unwrap()
}

/// The movies that a search is made of, and the conditions that the index does not know of.
struct Model<'a> {
    movies: &'a [Movie],
    filter: Filter,
}

impl Model<'_> {
    fn movie(&self, key: u64) -> &Movie {
        &self.movies[usize::try_from(key).unwrap()]
    }
}

impl Documents for Model<'_> {
    fn id(&self, key: u64) -> &str {
        &self.movie(key).id
    }

    fn matches(&self, key: u64) -> bool {
        fits(self.movie(key), &self.filter)
    }
}

/// Returns what a search must find in these movies: the movies in order, the level and the facets.
fn expected(movies: &[Movie], search: &Search) -> (Vec<Movie>, Option<Level>, Vec<FacetCounts>) {
    let Search { text, filter, facets, order } = search;
    let decades: Vec<_> = movies.iter().map(|movie| (movie.year / 10 * 10).to_string()).collect();
    let documents: Vec<_> = (0..)
        .zip(movies.iter().zip(&decades))
        .map(|(key, (movie, decade))| {
            let lists = [
                (Facet::Genres, &movie.genres),
                (Facet::Countries, &movie.countries),
                (Facet::Languages, &movie.languages),
            ];
            let values =
                lists.into_iter().flat_map(|(facet, texts)| texts.iter().map(move |text| (facet, &**text)));
            let decade = Some((Facet::Decades, &**decade)).filter(|_| movie.year > 0);
            Document {
                key,
                title: &movie.title,
                original_title: &movie.original_title,
                directors: movie.director.split(", ").collect(),
                cast: movie.cast.iter().map(String::as_str).collect(),
                writers: movie.writers.iter().map(String::as_str).collect(),
                facet_values: values.chain(decade).collect(),
                rating_count: u64::try_from(movie.rating_count).unwrap(),
                rating: movie.rating.unwrap_or_default(),
            }
        })
        .collect();
    let decades: Vec<_> = filter.decades.iter().map(ToString::to_string).collect();
    let by_facets = [
        (Facet::Genres, &filter.genres),
        (Facet::Countries, &filter.countries),
        (Facet::Languages, &filter.languages),
        (Facet::Decades, &decades),
    ]
    .into_iter()
    .fold(search::filter::IndexFilter::default(), |all, (facet, values)| {
        all.with_values(facet, values.iter().map(String::as_str))
    });
    let model = Model {
        movies,
        filter: Filter {
            genres: Vec::new(),
            countries: Vec::new(),
            languages: Vec::new(),
            decades: Vec::new(),
            ..filter.clone()
        },
    };
    let options = SearchOptions {
        limit: usize::MAX,
        filter: by_facets,
        facets: facets.clone(),
        ..SearchOptions::default()
    };
    let found = scan(&documents, &ParsedQuery::new(text), &options, &model);
    let mut hits: Vec<_> = found.hits.iter().map(|hit| model.movie(hit.key).clone()).collect();
    if !order.is_empty() {
        hits.sort_by(|one, other| compare(one, other, order));
    }
    (hits, found.level, found.facets)
}

/// Asserts that all pages of a search together are what it must find in these movies.
fn assert_finds(snapshot: &Arc<Snapshot>, movies: &[Movie], search: &Search, size: usize) {
    let (movies, level, facets) = expected(movies, search);
    let query = ParsedQuery::new(&search.text);
    let (mut seen, mut has_more) = (Vec::new(), true);
    while has_more {
        let page = search.page(snapshot, seen.len(), size);
        assert_eq!((page.total, &page.facets), (movies.len(), &facets), "{search:?}");
        assert!(page.matches.len() <= size && (page.matches.len() == size || !page.has_more));
        for Match { movie, highlights } in page.matches {
            assert_eq!(highlights, level.map_or_else(Vec::new, |level| texts_matched(&query, level, &movie)));
            seen.push(movie.to_movie());
        }
        has_more = page.has_more;
    }
    assert_eq!(seen, movies, "{search:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(slow_cases()))]

    #[test]
    fn a_search_finds_what_a_scan_finds_whatever_changed_before_and_since(
        steps in prop::collection::vec(step(), 1..40),
        searches in prop::collection::vec(search(), 1..4),
    ) {
        let catalogue = Catalogue::default();
        let mut model: Vec<Movie> = Vec::new();
        let mut kept: Vec<(Arc<Snapshot>, Vec<Movie>)> = Vec::new();
        let mut built: Option<Snapshot> = None;
        let mut merge: Option<(Merge, Merged)> = None;
        for step in steps {
            let now = catalogue.snapshot();
            match step {
                Step::Apply(mut ops) => {
                    ops.retain(|op| apply(&mut model, op));
                    let records: Vec<_> = ops.iter().map(|op| match op {
                        Op::Put(movie) => Some(Record::of(movie)),
                        Op::Delete(_) => None,
                    }).collect();
                    let changes = ops.iter().zip(&records).map(|(op, record)| match (op, record) {
                        (Op::Delete(id), _) => Change::Delete(id),
                        (Op::Put(_), record) => Change::Put(record.as_ref().unwrap().movie()),
                    });
                    catalogue.apply(changes).unwrap();
                }
                Step::Replace(movies) => {
                    catalogue.replace(snapshot(&movies));
                    model = movies;
                }
                Step::Reset(movies) => {
                    let movies_now = snapshot(&movies);
                    let point = HistoryPoint { revision: now.revision().plus(1), chain: movies_now.digest() };
                    let snapshot = movies_now.at(point);
                    let latest = LoadedChanges::after(point, &[]);
                    catalogue.reset(StoreContent { snapshot, latest });
                    model = movies;
                }
                Step::Compact => catalogue.current.store(Arc::new(now.compacted().unwrap())),
                Step::BuildIndex => built = Some(Snapshot::clone(&now).indexed()),
                Step::PublishIndex => {
                    let _ = built.take().is_some_and(|built| catalogue.publish_index_of(&built));
                }
                Step::Merge => {
                    merge = now.search_index().map(SearchIndex::merge_of_all).map(|merge| {
                        let merged = merge.run();
                        (merge, merged)
                    });
                }
                Step::PublishMerge => {
                    let _ = merge.take().is_some_and(|(merge, merged)| catalogue.publish_merge(&merge, merged));
                }
                Step::Keep => kept.push((now, model.clone())),
            }
            check(&catalogue, &model, &kept, &searches);
        }
        // An index that is built at the end has the same movies as one that has followed the changes.
        catalogue.current.store(Arc::new(Snapshot::clone(&catalogue.snapshot()).indexed()));
        check(&catalogue, &model, &kept, &searches);
    }
}

/// Applies a change to the model. Returns whether it fits.
fn apply(model: &mut Vec<Movie>, op: &Op) -> bool {
    let id = match op {
        Op::Put(movie) => &movie.id,
        Op::Delete(id) => id,
    };
    let known = model.iter().position(|movie| movie.id == *id);
    match (op, known) {
        (Op::Put(movie), Some(at)) => model[at] = Movie::clone(movie),
        (Op::Put(movie), None) => model.push(Movie::clone(movie)),
        (Op::Delete(_), Some(at)) => drop(model.remove(at)),
        (Op::Delete(_), None) => return false,
    }
    true
}

/// Checks searches now, at the kept revisions by undoing the changes since, and in the kept snapshots.
fn check(
    catalogue: &Catalogue,
    model: &[Movie],
    kept: &[(Arc<Snapshot>, Vec<Movie>)],
    searches: &[(Search, usize)],
) {
    let now = catalogue.snapshot();
    let mut all = vec![(now.clone(), model)];
    for (then, model) in kept {
        all.push((then.clone(), model));
        if then.revision() >= now.ordered_since()
            && let Ok(since) = catalogue.changes(then.point(), usize::MAX)
        {
            all.push((Arc::new(now.without(&since).unwrap()), model));
        }
    }
    for (snapshot, model) in all.iter().filter(|(snapshot, _)| snapshot.search_index().is_some()) {
        for (search, size) in searches {
            assert_finds(snapshot, model, search, *size);
        }
    }
}

#[test]
fn a_title_that_begins_with_a_symbol_is_found_by_its_beginning() {
    let titles = ["- a film", "' a film", "A film"].map(str::to_owned);
    let movies = titles.map(|title| Movie { id: title.clone(), title, ..Movie::default() });
    let snapshot = Arc::new(snapshot(&movies).indexed());
    for (text, title_prefix) in [("", "- a"), ("film", "- a"), ("film", "' a f"), ("", "a f"), ("film", "a")]
    {
        let filter = Filter { title_prefix: title_prefix.into(), ..Filter::default() };
        let search = Search { text: text.into(), filter, ..Search::default() };
        assert_eq!(search.page(&snapshot, 0, 9).total, 1, "{search:?}");
        assert_finds(&snapshot, &movies, &search, 9);
    }
}

#[test]
fn an_index_that_has_missed_many_changes_is_brought_up_to_date_before_changes_wait_for_it() {
    let movies = |numbers: Range<usize>, word: &str| -> Vec<_> {
        numbers
            .map(|id| Movie { title: format!("{word} {id}"), id: id.to_string(), ..Movie::default() })
            .collect()
    };
    let search = Search { text: "new 2399".into(), ..Search::default() };
    // Fewer changes than a write waits for, more than that, and more than half of the movies.
    for changed in [1_000, 2_400, 5_000] {
        let catalogue = Catalogue::new(snapshot(&movies(0..5_000, "old")));
        let built = Snapshot::clone(&catalogue.snapshot()).indexed();
        let records: Vec<_> =
            movies(2_400 - changed.min(2_400)..changed.max(2_400), "new").iter().map(Record::of).collect();
        catalogue.apply(records.iter().map(|record| Change::Put(record.movie()))).unwrap();
        let is_published = catalogue.publish_index_of(&built);
        assert_eq!(is_published, changed == 1_000);
        assert!(is_published || catalogue.publish_index_of(&catalogue.with_index_of(&built)));
        let page = search.page(&catalogue.snapshot(), 0, 1);
        assert_eq!(page.matches[0].movie.movie().title, "new 2399");
    }
}

#[test]
fn every_write_is_found_at_once_while_the_index_is_built_and_merged_in_the_background() {
    const MOVIES: usize = 600;
    let catalogue = Arc::new(Catalogue::default());
    let put = |number: usize| {
        let (id, title) = ((number % MOVIES).to_string(), format!("word{number}"));
        catalogue.apply([Change::Put(Record::of(&Movie { title, id, ..Movie::default() }).movie())]).unwrap();
    };
    let first = |number: usize| {
        let search = Search { text: format!("word{number}"), ..Search::default() };
        let found = search.page(&catalogue.snapshot(), 0, 1).matches;
        found.first().map(|found| found.movie.movie().title.to_owned())
    };
    (0..MOVIES).for_each(put);
    catalogue.start_indexing().unwrap();
    let is_built = catalogue.index_built();
    let end = Instant::now() + Duration::from_mins(2);
    let (mut last, mut searches) = (0, 0);
    // More writes than a write merges, so that the thread merges, too.
    for number in MOVIES.. {
        put(number);
        last = number;
        if *is_built.borrow() && number.is_multiple_of(50) {
            assert_eq!(first(number), Some(format!("word{number}")));
            assert_ne!(first(number - MOVIES), Some(format!("word{}", number - MOVIES)));
            searches += 1;
        }
        if number > 6 * MOVIES && searches > 20 {
            break;
        }
        assert!(Instant::now() < end, "the index is not built");
    }
    while catalogue.snapshot().search_index().is_some_and(|index| index.merge_due().is_some()) {
        assert!(Instant::now() < end, "the index is not merged");
        thread::sleep(Duration::from_millis(5));
    }
    for number in (last - MOVIES + 1..=last).step_by(97) {
        assert_eq!(first(number), Some(format!("word{number}")));
    }
}
