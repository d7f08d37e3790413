//! SQLite: a copy takes the place of the file while a service runs.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::stores::{create, delete, import, list, movie, sqlite, stub};

/// Starts a node over a file, and makes a copy of it with so many other changes.
async fn with_copy(kept: &Kept, added: usize) -> (Node, Other, PathBuf) {
    let mut node = Node::start(kept).await;
    let copy = kept.file("copy.db");
    let connection = Connection::open(file(kept)).unwrap();
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(connection);
    node.write_lost().await;
    let copied = Kept::at(format!("sqlite:{}", copy.display()));
    let other = write_other(&copied, added).await;
    // The last connection that is closed leaves everything in one file.
    Connection::open(&copy).unwrap().execute_batch("PRAGMA user_version").unwrap();
    (node, other, copy)
}

fn file(kept: &Kept) -> &Path {
    Path::new(kept.url.strip_prefix("sqlite:").unwrap())
}

/// Has a copy take the place of the file while a service runs.
async fn restore(added: usize, put: fn(&Path, &Path)) {
    let kept = sqlite();
    let (node, other, copy) = with_copy(&kept, added).await;
    put(&copy, file(&kept));
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

/// Removes what is beside the file, as has to be done before a service is started again.
fn remove_log(file: &Path) {
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.display())).unwrap();
    }
}

#[tokio::test]
async fn a_copy_with_as_many_changes_that_is_written_over_the_file_is_noticed() {
    restore(LOST, |copy, file| {
        remove_log(file);
        overwrite(copy, file);
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_takes_the_name_of_the_file_is_noticed() {
    restore(0, |copy, file| {
        remove_log(file);
        rename(copy, file);
    })
    .await;
}

#[tokio::test]
async fn a_copy_with_as_many_changes_that_takes_the_name_of_the_file_is_noticed() {
    restore(LOST, rename).await;
}

#[tokio::test]
async fn commits_outlive_a_log_that_is_removed() {
    let kept = sqlite();
    let mut service = kept.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("before", "movie")).await.unwrap();
    remove_log(file(&kept));
    create(&mut client, movie("after", "movie")).await.unwrap();
    service.signal("KILL");
    service.wait().await;
    assert_eq!(list(&mut stub(&kept.start()).await).await.len(), 2);
}

/// The pages of such a copy are in other places, and its latest commit is the same.
async fn compacted(put: fn(&Path, &Path)) {
    let kept = sqlite();
    let mut service = kept.start();
    let mut client = stub(&service).await;
    let title = "title ".repeat(60);
    import(&mut client, (0..300).map(|number| movie(&format!("movie {number}"), &title)).collect())
        .await
        .unwrap();
    for number in 100..150 {
        delete(&mut client, &format!("movie {number}")).await.unwrap();
    }
    let copy = kept.file("copy.db");
    let connection = Connection::open(file(&kept)).unwrap();
    let free_pages: u32 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert!(free_pages > 0, "the copy has the same pages");
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(connection);
    put(&copy, file(&kept));
    create(&mut client, movie("after", "movie")).await.unwrap();
    let served = list(&mut client).await;
    assert_eq!(served.len(), 251);

    service.signal("TERM");
    service.wait().await;
    let connection = Connection::open(file(&kept)).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    assert_eq!(list(&mut stub(&kept.start()).await).await, served);
}

#[tokio::test]
async fn a_compacted_copy_that_takes_the_name_of_the_file_is_not_mixed_with_its_log() {
    compacted(rename).await;
}

#[tokio::test]
async fn a_compacted_copy_that_is_written_over_the_file_is_not_mixed_with_its_log() {
    compacted(overwrite).await;
}
