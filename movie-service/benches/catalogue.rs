//! Benchmarks of the catalogue without a server: `cargo bench -p movie-service`.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use movie_service::catalogue::{Builder, Catalogue, Change, Draft, HistoryPoint, MovieView, Snapshot};
use movie_service::store::json;

const SIZES: [u64; 3] = [7, 100_000, 1_000_000];

fn id(movie: u64) -> String {
    format!("{:016x}-{movie:019}", movie.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn view<'a>(id: &'a str, title: &'a str, rating: f32, director: &'a str) -> MovieView<'a> {
    MovieView { title, rating, director, id, ..MovieView::default() }
}

fn catalogue(movies: u64) -> Catalogue {
    let (mut draft, mut builder) = (Draft::default(), Builder::default());
    builder.reserve(usize::try_from(movies).unwrap_or_default());
    for movie in 0..movies {
        let (id, title) = (id(movie), format!("A title of the usual length {movie}"));
        let movie = view(&id, &title, 7.5, "A Director");
        if let Some(full) = draft.push(&movie).expect("the movie fits") {
            builder.push(&full).expect("every id is new");
        }
    }
    builder.push(&draft).expect("every id is new");
    Catalogue::new(builder.finish().expect("every id is new"))
}

fn load(criterion: &mut Criterion) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
    let movies: Vec<String> = (0..100_000)
        .map(|movie| format!(r#"{{"title": "A title of the usual length {movie}", "rating": 7.5, "director": "A Director", "id": "{}"}}"#, id(movie)))
        .collect();
    write!(file, r#"{{"movies": [{}]}}"#, movies.join(",\n")).expect("the file can be written");
    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Elements(100_000)).sample_size(20);
    group.bench_function("100000", |bencher| {
        bencher.iter(|| json::load(file.path()).expect("the file is a database"));
    });
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    for size in SIZES {
        let catalogue = catalogue(size);
        let mut movie = 0;
        group.bench_function(BenchmarkId::new("hit", size), |bencher| {
            bencher.iter_batched(
                || {
                    movie = (movie + 7_919) % size;
                    id(movie)
                },
                |id| catalogue.read(|movies| movies.frame(id.as_bytes())).expect("the id is known"),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("miss", size), |bencher| {
            bencher.iter(|| catalogue.read(|movies| movies.frame(black_box(b"no such id"))));
        });
    }
    group.finish();
}

fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    // Each durable write computes it twice: when it is planned, and when it is applied.
    group.bench_function("chain value", |bencher| {
        let mut point = HistoryPoint::default();
        bencher.iter(|| {
            point = point.next(black_box("a8034f44-aee4-44cf-b32c-74cf452aaaae"), Some(black_box(&[7; 150])));
            point
        });
    });
    for size in SIZES {
        let catalogue = catalogue(size);
        let mut movie = 0;
        group.bench_function(BenchmarkId::new("update", size), |bencher| {
            bencher.iter(|| {
                movie = (movie + 7_919) % size;
                let id = id(movie);
                let update = Change::Update(view(&id, "Another title", 1.0, ""));
                catalogue.apply([update]).expect("the id is known")
            });
        });
        group.bench_function(BenchmarkId::new("insert and delete", size), |bencher| {
            let new = view("new", "A new title", 1.0, "");
            bencher.iter(|| {
                catalogue.apply([Change::Insert(new)]).expect("the id is new");
                catalogue.apply([Change::Delete("new")]).expect("the id is known")
            });
        });
    }
    group.finish();
}

fn list(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("list");
    for size in SIZES {
        let snapshot: Arc<Snapshot> = catalogue(size).snapshot();
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("frames", size), |bencher| {
            bencher.iter(|| snapshot.frames().map(|frames| frames.len()).sum::<usize>());
        });
        group.bench_function(BenchmarkId::new("movies", size), |bencher| {
            bencher.iter(|| snapshot.movies().map(|movie| movie.title.len()).sum::<usize>());
        });
    }
    group.finish();
}

criterion_group!(benches, load, lookup, change, list);
criterion_main!(benches);
