//! Imports and exports of whole files: samples, interruptions, and unwritable files.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use movie_proto::catalog::v1::ImportMoviesResponse;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::support::program::{Outcome, UNREACHABLE_ADDRESS, client, outcome, over, workspace};
use crate::support::proxy::Proxy;
use crate::support::scripted::{ScriptedServer, Step};
use crate::support::service::Service;

fn sample(path: &str) -> PathBuf {
    workspace("movie-client/tests/samples").join(path)
}

/// Imports a file, and returns the numbers of created, updated, unchanged and rejected movies.
async fn import(service: &Service, file: &Path) -> [u64; 4] {
    let Outcome { code, stdout, stderr } =
        outcome(client(&service.address).args(["import", "-o", "csv", "--timeout", "2m"]).arg(file)).await;
    // Most rows of some samples are invalid.
    assert!(matches!(code, Some(0 | 9)), "{stderr}");
    counts(&stdout)
}

/// Parses the summary of an import in CSV.
fn counts(csv: &str) -> [u64; 4] {
    let value = |name| {
        let line = csv.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(','));
        line.unwrap_or_else(|| panic!("no {name}: {csv}")).parse().unwrap()
    };
    ["created", "updated", "unchanged", "rejected"].map(value)
}

/// Compresses the files of a directory.
fn compressed(directory: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        let mut gzip = GzEncoder::new(fs::File::create(to.path().join(name)).unwrap(), Compression::fast());
        gzip.write_all(&fs::read(path).unwrap()).unwrap();
        gzip.finish().unwrap();
    }
    to
}

#[tokio::test]
async fn a_second_import_of_the_same_file_changes_nothing() {
    let samples = ["imdb/title.basics.tsv", "movielens/movies.csv", "dirty.ndjson"].map(sample);
    for file in samples.into_iter().chain([workspace("databases/movies.json")]) {
        let service = Service::writable();
        let [created, updated, unchanged, rejected] = import(&service, &file).await;
        assert!(created > 0 && (updated, unchanged) == (0, 0), "{file:?}");
        assert_eq!(import(&service, &file).await, [0, 0, created, rejected], "{file:?}");
    }
}

#[tokio::test]
async fn an_import_says_why_it_fails_or_has_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::writable();
    let import = async |rows: &str| {
        let path = folder.path().join("movies.ndjson");
        fs::write(&path, rows).unwrap();
        outcome(client(&service.address).arg("import").arg(path)).await
    };
    let (good, without_id) = ("{\"id\": 1, \"title\": \"A\"}\n", "{\"title\": \"A\"}\n");
    for (rows, exit, last_line) in [
        ([good, without_id, without_id].concat(), 9, "error: 2 of 3 rows were rejected, more than half\n"),
        (without_id.to_owned(), 3, "error: no row could be imported\n"),
        (" \n".to_owned(), 0, "movies.ndjson is empty\n"),
        ([good, without_id].concat(), 0, "--make-ids generates ids from title, year and director\n"),
    ] {
        let Outcome { code, stderr, .. } = import(&rows).await;
        assert_eq!(code, Some(exit), "{stderr}");
        assert!(stderr.ends_with(last_line), "{stderr}");
    }
}

#[tokio::test]
async fn a_compressed_file_has_the_same_movies() {
    for (directory, file) in [("imdb", "title.basics.tsv"), ("movielens", "movies.csv")] {
        let service = Service::writable();
        let [created, ..] = import(&service, &sample(directory).join(file)).await;
        let packed = compressed(&sample(directory));
        let [again, updated, unchanged, _] =
            import(&service, &packed.path().join(format!("{file}.gz"))).await;
        assert_eq!([again, updated, unchanged], [0, 0, created]);
    }
}

/// Starts a proxy to an address that closes a connection after this number of bytes from the client.
async fn cut_after(bytes: u64, to: SocketAddr) -> SocketAddr {
    let proxy = Proxy::to(to).await;
    proxy.limit_request_bytes(bytes);
    proxy.address
}

#[tokio::test]
async fn an_interrupted_import_reports_its_progress_and_is_completed_by_another() {
    let service = Service::writable();
    let films = workspace("databases/films.json");
    // More than the first batches.
    let address = cut_after(4_000_000, service.socket_address()).await;
    let Outcome { code, stdout, stderr } =
        outcome(client(&address).args(["--tries", "1", "--timeout", "2m", "import"]).arg(&films)).await;
    assert_eq!((code, stdout.as_str()), (Some(5), ""), "{stderr}");
    let (error, so_far) = stderr.split_once("\n  ").unwrap();
    assert!(error.starts_with("error: ") && error.contains(&address.to_string()), "{error}");
    let written = so_far.strip_prefix("so far ").unwrap();
    let (written, rest) = written.split_once(" written and 0 unchanged; ").unwrap();
    assert!(rest.starts_with("import again to continue"), "{so_far}");
    let written: u64 = written.parse().unwrap();
    let [created, updated, unchanged, rejected] = import(&service, &films).await;
    assert_eq!((created + unchanged, updated, rejected), (17_470, 0, 0));
    assert!(unchanged >= written && written > 0 && created > 0, "{written} written, {unchanged} unchanged");
    let exported = outcome(client(&service.address).arg("export")).await;
    assert_eq!((exported.code, exported.stdout), (Some(0), fs::read_to_string(films).unwrap()));
}

#[tokio::test]
async fn the_timeout_of_an_import_is_for_each_thousand_movies_and_its_error_says_how_to_continue() {
    let service = ScriptedServer::start(|call| match call.number {
        0 | 1 => {
            vec![Step::message(&ImportMoviesResponse { created: 999, updated: 1, ..Default::default() })]
        }
        _ => vec![Step::Hang],
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("movies.ndjson");
    let rows = (0..3_000).map(|id| format!("{{\"id\":\"{id}\",\"title\":\"A title\"}}\n"));
    fs::write(&file, rows.collect::<String>()).unwrap();
    let import = async |timeout: &str, file: &Path| {
        outcome(client(&service.address).args(["import", "--timeout", timeout]).arg(file)).await
    };
    let Outcome { code, stderr, .. } = import("5s", &file).await;
    let expected = format!(
        "error: {} did not respond within 5 seconds\n  so far 2000 written and 0 unchanged; import again with a longer \
         --timeout to continue: unchanged movies are not written again\n",
        service.address
    );
    assert_eq!((code, stderr), (Some(6), expected));
    assert_eq!(service.calls().len(), 3);
    // Also if the first call takes too long.
    let Outcome { code, stderr, .. } = import("300ms", &file).await;
    assert!(
        code == Some(6) && stderr.contains("\n  so far 0 written and 0 unchanged; import again with"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_export_of_the_films_equals_their_database_and_has_default_permissions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("export.json");
    let to_file = outcome(client(&over("films.json")).arg("export").arg(&path)).await;
    let printed = format!("17470 movies written to {}\n", path.display());
    assert_eq!((to_file.code, to_file.stdout.as_str(), to_file.stderr), (Some(0), "", printed));
    let original = fs::read_to_string(workspace("databases/films.json")).unwrap();
    assert!(fs::read_to_string(&path).unwrap() == original, "the export differs");
    for arguments in [&["export"][..], &["export", "-"]] {
        let to_stdout =
            outcome(client(&over("films.json")).current_dir(directory.path()).args(arguments)).await;
        assert_eq!((to_stdout.code, to_stdout.stderr.as_str()), (Some(0), ""));
        assert!(to_stdout.stdout == original, "the export differs");
    }
    let another = directory.path().join("another");
    fs::write(&another, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(path), mode(another));
}

#[tokio::test]
async fn a_failed_export_leaves_the_old_file_and_no_temporary_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("movies.json");
    let is_untouched = || {
        let names = fs::read_dir(directory.path()).unwrap().count();
        (names, fs::read_to_string(&file).unwrap()) == (1, "old".to_owned())
    };
    fs::write(&file, "old").unwrap();
    let unreachable = outcome(client(&UNREACHABLE_ADDRESS).args(["--tries", "1", "export"]).arg(&file)).await;
    assert_eq!(unreachable.code, Some(5), "{}", unreachable.stderr);
    assert!(is_untouched());
    // A list that is interrupted.
    let address = cut_after(400, over("films.json")).await;
    let cut = outcome(client(&address).args(["--tries", "1", "export"]).arg(&file)).await;
    assert_eq!(cut.code, Some(5), "{}", cut.stderr);
    assert!(is_untouched());
    // On standard output, no part of a document precedes the error.
    for address in [address.to_string(), UNREACHABLE_ADDRESS.to_owned()] {
        let cut = outcome(client(&address).args(["--tries", "1", "export"])).await;
        assert_eq!((cut.code, cut.stdout.as_str()), (Some(5), ""), "{}", cut.stderr);
    }
    // A directory has the name of the file.
    let subdirectory = directory.path().join("subdirectory");
    fs::create_dir(&subdirectory).unwrap();
    fs::write(subdirectory.join("file"), "").unwrap();
    let to_directory = outcome(client(&over("movies.json")).arg("export").arg(&subdirectory)).await;
    assert_eq!(to_directory.code, Some(8));
    let error = format!("error: cannot write {}: ", subdirectory.display());
    assert!(to_directory.stderr.starts_with(&error), "{}", to_directory.stderr);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    // The directory does not exist.
    let nowhere = directory.path().join("nowhere/movies.json");
    let outcome = outcome(client(&over("movies.json")).arg("export").arg(&nowhere)).await;
    let error = format!("error: cannot write {}: entity not found\n", nowhere.display());
    assert_eq!((outcome.code, outcome.stderr), (Some(8), error));
}

#[tokio::test]
async fn an_export_replaces_the_target_of_a_symbolic_link_and_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    fs::create_dir(path("data")).unwrap();
    fs::write(path("data/old.json"), "old").unwrap();
    fs::set_permissions(path("data/old.json"), fs::Permissions::from_mode(0o640)).unwrap();
    // A link to a link, and a link to a missing file.
    symlink("data/old.json", path("one")).unwrap();
    symlink(path("one"), path("two")).unwrap();
    symlink("data/new.json", path("new")).unwrap();
    symlink("circle", path("circle")).unwrap();
    for (link, file) in [("two", "data/old.json"), ("new", "data/new.json")] {
        let outcome = outcome(client(&over("films.json")).arg("export").arg(path(link))).await;
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let original = fs::read_to_string(workspace("databases/films.json")).unwrap();
        assert!(fs::read_to_string(path(file)).unwrap() == original, "the export differs");
        assert!(fs::symlink_metadata(path(link)).unwrap().is_symlink());
    }
    assert_eq!(fs::metadata(path("data/old.json")).unwrap().permissions().mode() & 0o777, 0o640);
    let outcome = outcome(client(&over("movies.json")).arg("export").arg(path("circle"))).await;
    assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_export_writes_into_a_named_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let (pipe, link) = (directory.path().join("pipe"), directory.path().join("link"));
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    symlink(&pipe, &link).unwrap();
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    let outcome = outcome(client(&over("films.json")).arg("export").arg(&link)).await;
    let printed = format!("17470 movies written to {}\n", link.display());
    assert_eq!((outcome.code, outcome.stderr), (Some(0), printed));
    // The reader would wait for ever if the pipe had been replaced.
    assert!(!fs::metadata(&pipe).unwrap().is_file() && fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the directory has another file");
    assert!(reader.join().unwrap() == fs::read_to_string(workspace("databases/films.json")).unwrap());
}
