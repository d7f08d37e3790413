//! Sending of movies, and the results of imports.

use super::service::Service;
use super::*;
use crate::Config;
use crate::cli::failure;
use crate::cli::output::Format;

fn args(files: &[PathBuf]) -> args::Import {
    args::Import { files: files.to_vec(), strict: false, make_ids: false, dry_run: false }
}

fn counts(outcome: &Outcome) -> (u64, u64, u64, u64, u64) {
    let ImportSummary { created, updated, unchanged, rejected, .. } = outcome.imported;
    (created, updated, unchanged, rejected, outcome.dirty + outcome.related)
}

#[tokio::test]
async fn unchanged_movies_are_not_written_and_rejected_movies_are_reported_by_line() {
    let service = Service::writable();
    let client = service.client();
    let args = args(&[sample("imdb/title.basics.tsv"), sample("movielens/movies.csv")]);
    let mut reported = Vec::new();
    let outcome = run(&client, &args, &mut reported).await.unwrap();
    // Two movies are in both files. The later file replaces them.
    assert_eq!(counts(&outcome), (6, 2, 0, 2, 11));
    let reported = String::from_utf8(reported).unwrap();
    assert_eq!(reported.lines().count(), 13, "{reported}");
    let year = format!("{}:7: (id `tt0000106`) ", sample("imdb/title.basics.tsv").display());
    assert!(
        reported.lines().any(|line| line.starts_with(&year) && line.contains("1870 to 2200")),
        "{reported}"
    );
    assert_eq!(client.get("tt0000101").await.unwrap().rating, Some(7.5));

    let only = args::Import { files: vec![sample("movielens/movies.csv")], ..args };
    assert_eq!(counts(&run(&client, &only, &mut Vec::new()).await.unwrap()), (0, 0, 5, 0, 4));
}

#[tokio::test]
async fn a_strict_import_stops_at_the_first_rejected_row() {
    let folder = TempDir::new().unwrap();
    let service = Service::writable();
    let client = service.client();
    let file = folder.path().join("movies.ndjson");
    let text = "{\"id\": \"1\", \"title\": \"A\"}\n{\"id\": \"2\", \"title\": \"B\"}\nnonsense\n{\"id\": \"4\", \"title\": \"D\"}\n";
    fs::write(&file, text).unwrap();
    let args = args::Import { strict: true, ..args(slice::from_ref(&file)) };
    let error = run(&client, &args, &mut Vec::new()).await.unwrap_err();
    assert_eq!(failure::exit(&error), Exit::Refused);
    let error = format!("{error:#}");
    assert!(error.starts_with("so far 2 written and 0 unchanged; "), "{error}");
    assert!(error.ends_with("movies.ndjson:3: expected ident at column 2"), "{error}");
    assert_eq!(client.catalog().await.unwrap().movie_count, 2);

    fs::write(&file, "{\"id\": \"5\", \"title\": \"\"}\n").unwrap();
    let mut reported = Vec::new();
    let error = run(&client, &args, &mut reported).await.unwrap_err();
    assert_eq!((failure::exit(&error), reported.as_slice()), (Exit::Refused, &b""[..]));
    let error = error.to_string();
    assert!(error.contains("movies.ndjson:1: (id `5`) ") && error.contains("title"), "{error}");

    // The service stores the other movies of the call.
    let text = (0..150)
        .map(|id| format!("{{\"id\": \"{id}\", \"title\": \"{}\"}}\n", if id == 7 { "" } else { "A" }));
    fs::write(&file, text.collect::<String>()).unwrap();
    let error = run(&client, &args, &mut Vec::new()).await.unwrap_err();
    assert!(
        error.downcast_ref::<RejectedRow>().unwrap().0.contains("movies.ndjson:8: (id `7`) "),
        "{error:#}"
    );
    assert_eq!(client.catalog().await.unwrap().movie_count, 99);
}

#[tokio::test]
async fn imports_with_most_or_all_rows_rejected_have_their_own_exit_codes() {
    let folder = TempDir::new().unwrap();
    let service = Service::writable();
    let client = service.client();
    let file = folder.path().join("movies.ndjson");
    let options = OutputOptions { format: Format::Csv, width: None, colours: false };
    let good = "{\"id\": 1, \"title\": \"A\"}\n";
    let (untitled, invalid, without_id) = ("{\"id\": 2}\n", "{\"id\": true}\n", "{\"title\": \"A\"}\n");
    for (rows, expected) in [
        (&[untitled][..], Exit::Refused),
        (&[invalid], Exit::Refused),
        (&[without_id, invalid], Exit::Refused),
        (&[untitled, good, invalid], Exit::MostRowsRejected),
        (&[good, untitled, untitled], Exit::MostRowsRejected),
        (&[without_id, good, without_id], Exit::MostRowsRejected),
        (&[good, invalid], Exit::Done),
        (&[good, untitled, good, invalid], Exit::Done),
        (&[], Exit::Done),
    ] {
        fs::write(&file, rows.concat()).unwrap();
        let exit = import(&client, &args(slice::from_ref(&file)), &options, &mut Vec::new()).await.unwrap();
        assert_eq!(exit, expected, "{rows:?}");
    }
    let dry_run = args::Import { dry_run: true, ..args(slice::from_ref(&file)) };
    for (rows, expected) in
        [([invalid, good, invalid], Exit::MostRowsRejected), ([invalid, good, good], Exit::Done)]
    {
        fs::write(&file, rows.concat()).unwrap();
        assert_eq!(import(&client, &dry_run, &options, &mut Vec::new()).await.unwrap(), expected, "{rows:?}");
    }
}

#[tokio::test]
async fn invalid_rows_of_a_related_file_reject_no_movies() {
    let folder = TempDir::new().unwrap();
    let service = Service::writable();
    let client = service.client();
    let file = folder.path().join("movies.csv");
    fs::write(&file, "movieId,title,genres\n1,Ran (1985),Drama\n").unwrap();
    fs::write(folder.path().join("ratings.csv"), format!("movieId,rating\n{}", "1,many\n".repeat(5)))
        .unwrap();
    let options = OutputOptions { format: Format::Csv, width: None, colours: false };
    let mut out = Vec::new();
    let exit = import(&client, &args(slice::from_ref(&file)), &options, &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(exit, Exit::Done, "{out}");
    assert!(out.contains("created,1\n") && out.contains("dirty_rows,5\n"), "{out}");
}

#[tokio::test]
async fn missing_ids_are_reported_once_per_file_with_the_flag_that_generates_them() {
    let folder = TempDir::new().unwrap();
    let service = Service::writable();
    let client = service.client();
    let file = folder.path().join("movies.ndjson");
    let movies: Vec<_> = (0..30).map(|number| format!("{{\"title\": \"{number}\"}}\n")).collect();
    fs::write(&file, movies.concat()).unwrap();
    let without = args(slice::from_ref(&file));
    let mut printed = Vec::new();
    let outcome = run(&client, &without, &mut printed).await.unwrap();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!((outcome.without_id, printed.lines().count()), (30, 1), "{printed}");
    assert!(
        printed.starts_with(&format!("{}:1: ", file.display())) && printed.contains("--make-ids"),
        "{printed}"
    );
    let strict = args::Import { strict: true, ..without.clone() };
    let error = run(&client, &strict, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("movies.ndjson:1: ") && error.contains("--make-ids"), "{error}");

    let with_ids = args::Import { make_ids: true, ..without };
    assert_eq!(counts(&run(&client, &with_ids, &mut Vec::new()).await.unwrap()), (30, 0, 0, 0, 0));
    assert_eq!(counts(&run(&client, &with_ids, &mut Vec::new()).await.unwrap()), (0, 0, 30, 0, 0));
}

#[tokio::test]
async fn a_missing_related_file_is_reported() {
    let folder = TempDir::new().unwrap();
    let unreachable = Client::connect(&Config::new(["127.0.0.1:1".parse().unwrap()])).unwrap();
    for (from, name, missing) in [
        (
            "imdb/title.basics.tsv",
            "titles",
            &["no title.ratings.tsv", "no title.crew.tsv", "no title.principals.tsv", "no name.basics.tsv"][..],
        ),
        ("movielens/movies.csv", "movies", &["no ratings.csv", "no links.csv"]),
    ] {
        let file = folder.path().join(name);
        fs::copy(sample(from), &file).unwrap();
        let args = args::Import { dry_run: true, ..args(slice::from_ref(&file)) };
        let mut printed = Vec::new();
        run(&unreachable, &args, &mut printed).await.unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let beside = format!(" beside {}: the movies get no ", file.display());
        let printed: Vec<_> = printed.lines().filter_map(|line| Some(line.split_once(&beside)?.0)).collect();
        assert_eq!(printed, missing);
    }
}

#[tokio::test]
async fn a_missing_or_unusable_file_is_a_usage_error() {
    let unreachable = Client::connect(&Config::new(["127.0.0.1:1".parse().unwrap()])).unwrap();
    let options = OutputOptions { format: Format::Csv, width: None, colours: false };
    for file in ["none.json", "imdb"] {
        let error =
            import(&unreachable, &args(&[sample(file)]), &options, &mut Vec::new()).await.unwrap_err();
        assert_eq!(failure::exit(&error), Exit::UsageError, "{error:#}");
        assert!(error.to_string().contains(file), "{error:#}");
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("movies");
    for bytes in [&b"hello"[..], b"{\n\"films\": []}", b"[{]", b"PK\x03\x04", &gzip(b"{\"id\": 1}")[..12]] {
        fs::write(&file, bytes).unwrap();
        let error =
            import(&unreachable, &args(slice::from_ref(&file)), &options, &mut Vec::new()).await.unwrap_err();
        assert_eq!(failure::exit(&error), Exit::UsageError, "{error:#}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error:#}");
    }
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let unreachable = Client::connect(&Config::new(["127.0.0.1:1".parse().unwrap()])).unwrap();
    let args = args::Import { dry_run: true, ..args(&[sample("movielens/movies.csv")]) };
    let mut out = Vec::new();
    let options = OutputOptions { format: Format::Csv, width: None, colours: false };
    assert_eq!(import(&unreachable, &args, &options, &mut out).await.unwrap(), Exit::Done);
    assert_eq!(String::from_utf8(out).unwrap(), "name,value\nwould_import,5\ndirty_rows,4\n");
}

#[tokio::test]
async fn a_failed_import_reports_its_error_and_the_first_rejected_rows() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("movies.ndjson");
    fs::write(&file, format!("{{\"id\": 1}}\n{}", "\u{1b}[31m\n".repeat(30))).unwrap();
    let unreachable = Client::connect(&Config {
        retry: crate::RetryPolicy::disabled(),
        ..Config::new(["127.0.0.1:1".parse().unwrap()])
    });
    let mut reported = Vec::new();
    let error = run(&unreachable.unwrap(), &args(&[file]), &mut reported).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::Unreachable { .. })), "{error:#}");
    let reported = String::from_utf8(reported).unwrap();
    assert_eq!(reported.lines().count(), 21, "{reported}");
    assert!(reported.ends_with("\nand 10 more\n") && !reported.contains('\u{1b}'), "{reported}");
}

#[tokio::test]
async fn files_are_sent_in_batches_in_order() {
    let folder = TempDir::new().unwrap();
    let service = Service::writable();
    let client = service.client();
    let file = folder.path().join("movies.ndjson");
    // Each of ten movies occurs many times; its last occurrence stays.
    let lines: Vec<_> = (0..25_000)
        .map(|number| format!("{{\"id\": \"{}\", \"title\": \"{number}\"}}\n", number % 10))
        .collect();
    fs::write(&file, lines.concat()).unwrap();
    let outcome = run(&client, &args(&[file]), &mut Vec::new()).await.unwrap();
    assert_eq!(outcome.read, 25_000);
    assert_eq!(outcome.imported.created, 10);
    assert_eq!(client.get("9").await.unwrap().title, "24999");
}
