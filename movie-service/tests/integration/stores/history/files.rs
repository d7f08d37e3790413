//! SQLite: a copy replaces the file of a running service.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::stores::{list, sqlite};
use crate::support::catalog::{create, delete, import, movie, stub};

/// Starts a node over a file, and makes a copy of the file with `added` other changes.
async fn with_copy(store: &TestStore, added: usize) -> (Node, Other, PathBuf) {
    let mut node = Node::start(store).await;
    let copy = store.file("copy.db");
    let connection = Connection::open(file(store)).unwrap();
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(connection);
    node.write_lost().await;
    let copied = TestStore::at(format!("sqlite:{}", copy.display()));
    let other = write_other(&copied, added).await;
    // The last connection moves the write-ahead log into the file when it is closed.
    Connection::open(&copy).unwrap().execute_batch("PRAGMA user_version").unwrap();
    (node, other, copy)
}

fn file(store: &TestStore) -> &Path {
    Path::new(store.url.strip_prefix("sqlite:").unwrap())
}

/// Replaces the file of a running service by a copy.
async fn restore(added: usize, put: fn(&Path, &Path)) {
    let store = sqlite();
    let (node, other, copy) = with_copy(&store, added).await;
    put(&copy, file(&store));
    node.assert_serves(&other).await;
}

/// As `cp` does.
fn overwrite(copy: &Path, file: &Path) {
    fs::copy(copy, file).unwrap();
}

/// As `mv` does.
fn rename(copy: &Path, file: &Path) {
    fs::rename(copy, file).unwrap();
}

/// Removes the write-ahead log, as a restore must.
fn remove_log(file: &Path) {
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.display())).unwrap();
    }
}

#[tokio::test]
async fn a_copy_with_the_same_number_of_changes_that_overwrites_the_file_is_detected() {
    restore(LOST, |copy, file| {
        remove_log(file);
        overwrite(copy, file);
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_replaces_the_file_is_detected() {
    restore(0, |copy, file| {
        remove_log(file);
        rename(copy, file);
    })
    .await;
}

#[tokio::test]
async fn a_copy_with_the_same_number_of_changes_that_replaces_the_file_is_detected() {
    restore(LOST, rename).await;
}

#[tokio::test]
async fn an_emptied_file_is_not_taken_for_a_new_store() {
    let store = sqlite();
    let service = store.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("before", "movie")).await.unwrap();
    let saved = store.file("saved.db");
    Connection::open(file(&store)).unwrap().execute("VACUUM INTO ?1", [saved.to_str().unwrap()]).unwrap();
    fs::write(file(&store), "").unwrap();
    let refused = create(&mut client, movie("after", "movie")).await.unwrap_err();
    assert!(refused.message().contains("its database file is gone or empty"), "{refused}");
    assert_eq!(list(&mut client).await.len(), 1);
    assert_eq!(fs::metadata(file(&store)).unwrap().len(), 0, "the service writes to the emptied file");
    overwrite(&saved, file(&store));
    let created = once_available(async || create(&mut client.clone(), movie("after", "movie")).await);
    timeout(TIMEOUT, created).await.unwrap().unwrap();
    assert_eq!(list(&mut client).await.len(), 2);
}

#[tokio::test]
async fn commits_are_kept_although_the_write_ahead_log_is_removed() {
    let store = sqlite();
    let mut service = store.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("before", "movie")).await.unwrap();
    remove_log(file(&store));
    create(&mut client, movie("after", "movie")).await.unwrap();
    service.signal("KILL");
    service.wait().await;
    assert_eq!(list(&mut stub(&store.start()).await).await.len(), 2);
}

/// Replaces the file of a running service by a compacted copy, whose pages have other numbers and whose last commit is the
/// same.
async fn compacted(put: fn(&Path, &Path)) {
    let store = sqlite();
    let mut service = store.start();
    let mut client = stub(&service).await;
    let title = "title ".repeat(60);
    import(&mut client, (0..300).map(|number| movie(&format!("movie {number}"), &title)).collect())
        .await
        .unwrap();
    for number in 100..150 {
        delete(&mut client, &format!("movie {number}")).await.unwrap();
    }
    let copy = store.file("copy.db");
    let connection = Connection::open(file(&store)).unwrap();
    let free_pages: u32 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert!(free_pages > 0, "the copy has the same pages");
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(connection);
    put(&copy, file(&store));
    // A service that looks while a copy has emptied the file refuses writes until it looks again.
    let created = once_available(async || create(&mut client.clone(), movie("after", "movie")).await);
    timeout(TIMEOUT, created).await.unwrap().unwrap();
    let served = list(&mut client).await;
    assert_eq!(served.len(), 251);

    service.signal("TERM");
    service.wait().await;
    let connection = Connection::open(file(&store)).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    assert_eq!(list(&mut stub(&store.start()).await).await, served);
}

#[tokio::test]
async fn a_compacted_copy_that_replaces_the_file_is_not_mixed_with_its_log() {
    compacted(rename).await;
}

#[tokio::test]
async fn a_compacted_copy_that_overwrites_the_file_is_not_mixed_with_its_log() {
    compacted(overwrite).await;
}
