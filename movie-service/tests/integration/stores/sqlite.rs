//! What can be wrong with a file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rlimit::Resource;
use rusqlite::Connection;

use super::{Kept, create, list, movie, reason, sqlite, stub};
use crate::process::{command, outcome};

fn path(kept: &Kept) -> &Path {
    Path::new(kept.url.strip_prefix("sqlite:").unwrap())
}

#[tokio::test]
async fn a_second_service_on_the_same_file_is_refused() {
    let kept = sqlite();
    let service = kept.start();
    let line = kept.refused();
    assert!(line.contains("movies.db` is in use by another service; stop that first"), "{line}");
    drop(service);
    kept.start();
}

#[tokio::test]
async fn a_second_service_is_refused_by_whatever_name_it_opens_the_file() {
    let kept = sqlite();
    let _service = kept.start();
    let alias = kept.dir.path().join("alias.db");
    symlink(path(&kept), &alias).unwrap();
    let by_alias = Kept { url: format!("sqlite:{}", alias.display()), dir: tempfile::tempdir().unwrap() };
    let line = by_alias.refused();
    assert!(line.contains("alias.db` is in use by another service"), "{line}");
    fs::remove_file(&alias).unwrap();
    fs::hard_link(path(&kept), &alias).unwrap();
    let line = by_alias.refused();
    assert!(line.contains("alias.db` is in use by another service"), "{line}");
}

#[test]
fn a_file_with_two_hard_links_is_refused() {
    let kept = sqlite();
    drop(kept.start());
    fs::hard_link(path(&kept), kept.dir.path().join("other.db")).unwrap();
    let line = kept.refused();
    assert!(line.contains("movies.db` has more than one hard link"), "{line}");
}

#[test]
fn a_database_in_memory_is_refused_with_what_to_use_instead() {
    let (status, _, errors) = outcome(&mut command(Path::new("sqlite::memory:")));
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("keeps nothing; name a file, as in sqlite:movies.db"), "{errors}");
}

#[test]
fn what_is_no_database_is_refused_in_a_line() {
    let kept = sqlite();
    fs::write(path(&kept), "these are no movies, and more than a few bytes of it".repeat(100)).unwrap();
    let line = kept.refused();
    assert!(line.contains("the store is damaged") && line.contains("file is not a database"), "{line}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let kept = sqlite();
    let kept = Kept { url: format!("{}/no/movies.db", kept.url), dir: kept.dir };
    let line = kept.refused();
    assert!(line.contains("movies.db/no/movies.db`: No such file or directory"), "{line}");
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    let kept = sqlite();
    drop(kept.start());
    let later = Connection::open(path(&kept)).unwrap();
    let row = "INSERT INTO _sqlx_migrations VALUES (999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)";
    later.execute(row, []).unwrap();
    drop(later);
    let line = kept.refused();
    assert!(line.contains("the store was made by a later version of the service"), "{line}");
}

#[tokio::test]
async fn on_a_full_disk_writes_fail_reads_go_on_and_the_service_recovers() {
    let kept = sqlite();
    let mut service = kept.start();
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
    let failed = failed.expect("there is no limit");
    assert_eq!(reason(&failed), "STORE_UNAVAILABLE", "{failed}");
    assert!(failed.message().contains("its disk is full"), "{failed}");
    assert_eq!(list(&mut client).await.len(), written);
    service.log_line_with("the store is unavailable, reads go on");

    limit(u64::MAX);
    service.log_line_with("the store is available again");
    create(&mut client, movie("last", "last")).await.unwrap();
    let all = list(&mut client).await;
    assert_eq!(all.len(), written + 1);
    service.signal("KILL");
    service.wait().await;
    let service = kept.start();
    assert_eq!(list(&mut stub(&service).await).await, all);
}
