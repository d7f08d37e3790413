//! SQLite files that cannot be used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rlimit::Resource;
use rusqlite::Connection;

use super::{TestStore, list, reason, sqlite};
use crate::support::catalog::{create, movie, stub};
use crate::support::databases::database;
use crate::support::process::{bare_command, command, outcome};

fn path(store: &TestStore) -> &Path {
    Path::new(store.url.strip_prefix("sqlite:").unwrap())
}

#[tokio::test]
async fn a_second_service_on_the_same_file_is_refused() {
    let store = sqlite();
    let service = store.start();
    let line = store.refused();
    assert!(line.contains("movies.db` is in use by another service; stop that first"), "{line}");
    drop(service);
    store.start();
}

#[test]
fn an_import_into_a_file_in_use_names_the_import_through_the_service() {
    let store = sqlite();
    let _service = store.start();
    let mut import = bare_command();
    let (status, _, line) =
        outcome(import.arg("import").arg(database("movies.json")).args(["--database", &store.url]));
    assert_eq!(status.code(), Some(1), "{line}");
    assert!(line.contains("is in use") && line.contains("`movie-client import FILE`"), "{line}");
}

#[tokio::test]
async fn a_second_service_on_the_same_file_is_refused_under_any_name() {
    let store = sqlite();
    let _service = store.start();
    let alias = store.dir.path().join("alias.db");
    symlink(path(&store), &alias).unwrap();
    let by_alias =
        TestStore { url: format!("sqlite:{}", alias.display()), dir: tempfile::tempdir().unwrap() };
    let line = by_alias.refused();
    assert!(line.contains("alias.db` is in use by another service"), "{line}");
    fs::remove_file(&alias).unwrap();
    fs::hard_link(path(&store), &alias).unwrap();
    let line = by_alias.refused();
    assert!(line.contains("alias.db` is in use by another service"), "{line}");
}

#[test]
fn a_file_with_two_hard_links_is_refused() {
    let store = sqlite();
    drop(store.start());
    fs::hard_link(path(&store), store.dir.path().join("other.db")).unwrap();
    let line = store.refused();
    assert!(line.contains("movies.db` has more than one hard link"), "{line}");
}

#[test]
fn a_database_in_memory_is_refused_with_what_to_use_instead() {
    let (status, _, errors) = outcome(&mut command(Path::new("sqlite::memory:")));
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("keeps nothing; name a file, as in sqlite:movies.db"), "{errors}");
}

#[test]
fn a_file_that_is_no_database_is_refused_in_one_line() {
    let store = sqlite();
    fs::write(path(&store), "these are no movies, and more than a few bytes of it".repeat(100)).unwrap();
    let line = store.refused();
    assert!(
        line.contains("the file is not an SQLite database; to serve a JSON file, omit `sqlite:`"),
        "{line}"
    );
}

#[test]
fn the_database_of_another_program_is_refused_and_keeps_its_tables() {
    let store = sqlite();
    let other = Connection::open(path(&store)).unwrap();
    other.execute_batch("CREATE TABLE movies (name TEXT); INSERT INTO movies VALUES ('Creed')").unwrap();
    let line = store.refused();
    assert!(line.contains("movies.db` is the database of another program"), "{line}");
    let count = "SELECT count(*) FROM sqlite_master";
    assert_eq!(other.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn a_missing_folder_is_named() {
    let store = sqlite();
    let store = TestStore { url: format!("{}/no/movies.db", store.url), dir: store.dir };
    let line = store.refused();
    let (folder, _) = store.url.rsplit_once('/').unwrap();
    let folder = folder.strip_prefix("sqlite:").unwrap();
    let expected = format!(
        "error: cannot open {}: the file cannot be used: the directory `{folder}` does not exist",
        store.url
    );
    assert_eq!(line.trim_end(), expected);
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    let store = sqlite();
    drop(store.start());
    let later = Connection::open(path(&store)).unwrap();
    let row = "INSERT INTO _sqlx_migrations VALUES (999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)";
    later.execute(row, []).unwrap();
    drop(later);
    let line = store.refused();
    assert!(line.contains("by a later version of the service"), "{line}");
}

#[tokio::test]
async fn on_a_full_disk_writes_fail_reads_go_on_and_the_service_recovers() {
    let store = sqlite();
    let mut service = store.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("0", "first")).await.unwrap();
    let pid = service.pid().try_into().unwrap();
    let limit = |bytes| rlimit::prlimit(pid, Resource::FSIZE, Some((bytes, u64::MAX)), None).unwrap();
    limit(200_000);
    let (mut written, mut failed) = (1, None);
    for number in 1..10_000 {
        match create(&mut client, movie(&number.to_string(), &"x".repeat(500))).await {
            Ok(_) => written += 1,
            Err(status) => {
                failed = Some(status);
                break;
            }
        }
    }
    let failed = failed.expect("no write fails");
    assert_eq!(reason(&failed), "STORE_UNAVAILABLE", "{failed}");
    assert!(failed.message().contains("its disk is full"), "{failed}");
    assert_eq!(list(&mut client).await.len(), written);
    service.log_line_with("the store is unavailable, reads continue");

    limit(u64::MAX);
    service.log_line_with("the store is available again");
    create(&mut client, movie("last", "last")).await.unwrap();
    let all = list(&mut client).await;
    assert_eq!(all.len(), written + 1);
    service.signal("KILL");
    service.wait().await;
    let service = store.start();
    assert_eq!(list(&mut stub(&service).await).await, all);
}
