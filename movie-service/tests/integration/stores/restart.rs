//! Restarts after a kill, compaction, and offline imports and exports.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use movie_proto::catalog::v1::CreateMovieRequest;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::{Empty, MovieId};

use super::{TIMEOUT, TestStore, followed, list, reason, revision, watch};
use crate::support::catalog::{create, delete, import, movie, stub, update};
use crate::support::databases::database;
use crate::support::process::{bare_command, outcome};

super::on_each_store!(
    all_writes_survive_a_kill,
    a_repeated_request_creates_one_movie,
    a_watch_is_resumed_after_a_kill,
    changes_beyond_keep_changes_are_removed,
    the_course_contract_shows_each_change_at_once,
    an_export_equals_the_import,
    a_killed_import_can_be_repeated,
);

async fn all_writes_survive_a_kill(store: &TestStore) {
    let mut service = store.start();
    let mut client = stub(&service).await;
    let first = create(&mut client, movie("b", "first")).await.unwrap();
    create(&mut client, movie("a", "second")).await.unwrap();
    create(&mut client, movie("c", "gone")).await.unwrap();
    let many = (0..1_500).map(|number| movie(&format!("many {number}"), "many")).collect();
    assert_eq!(import(&mut client, many).await.unwrap().created, 1_500);
    let changed = update(&mut client, movie("b", "changed")).await.unwrap();
    delete(&mut client, "c").await.unwrap();
    // A movie that is created again is listed last.
    delete(&mut client, "many 0").await.unwrap();
    create(&mut client, movie("many 0", "back")).await.unwrap();
    assert!(changed.etag != first.etag && changed.create_time == first.create_time);

    let (before, at) = (list(&mut client).await, revision(&mut client).await);
    assert_eq!((before.len(), at), (1_502, 1_507));
    assert_eq!(before[0], changed);
    assert_eq!(before.last().unwrap().title, "back");
    service.signal("KILL");
    service.wait().await;
    let service = store.start();
    let mut client = stub(&service).await;
    assert_eq!(list(&mut client).await, before);
    assert_eq!(revision(&mut client).await, at);

    let followed = followed(&mut client, at).await;
    assert_eq!(followed.len(), before.len());
    assert!(before.iter().all(|movie| followed.get(&movie.id) == Some(movie)));
}

async fn a_repeated_request_creates_one_movie(store: &TestStore) {
    let request = |title: &str| CreateMovieRequest {
        movie: Some(movie("", title)),
        request_id: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
    };
    let mut service = store.start();
    let mut client = stub(&service).await;
    let made = client.create_movie(request("once")).await.unwrap().into_inner();
    assert_eq!(client.create_movie(request("once")).await.unwrap().into_inner(), made);
    service.signal("KILL");
    service.wait().await;
    let service = store.start();
    let mut client = stub(&service).await;
    assert_eq!(client.create_movie(request("once")).await.unwrap().into_inner(), made);
    let other = client.create_movie(request("another")).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    assert_eq!(list(&mut client).await, [made]);
}

async fn a_watch_is_resumed_after_a_kill(store: &TestStore) {
    let mut service = store.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("1", "one")).await.unwrap();
    let at = revision(&mut client).await;
    create(&mut client, movie("2", "two")).await.unwrap();
    delete(&mut client, "1").await.unwrap();
    service.signal("KILL");
    service.wait().await;
    let service = store.start();
    let mut client = stub(&service).await;
    let mut watch = watch(&mut client, at).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(watch.message().await.unwrap().unwrap().event.unwrap());
    }
    let two = list(&mut client).await.remove(0);
    assert_eq!(sent, [Event::Upserted(two), Event::DeletedId("1".into()), Event::CaughtUp(true)]);
    create(&mut client, movie("3", "three")).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().revision, at + 3);
}

async fn changes_beyond_keep_changes_are_removed(store: &TestStore) {
    let mut service = store.start_with(&["--keep-changes", "10"]);
    let mut client = stub(&service).await;
    for number in 0..30 {
        create(&mut client, movie(&number.to_string(), "movie")).await.unwrap();
    }
    let compacted = async |client: &mut super::Stub| {
        let mut watch = watch(client, 0).await.unwrap();
        watch.message().await.map_err(|status| reason(&status))
    };
    assert_eq!(compacted(&mut client).await, Err("REVISION_COMPACTED".to_owned()));
    // The store is compacted in the background. A service that keeps more changes shows which are left.
    for _ in 0..100 {
        service.signal("KILL");
        service.wait().await;
        service = store.start_with(&["--keep-changes", "1000"]);
        client = stub(&service).await;
        if compacted(&mut client).await.is_err() {
            let mut watch = watch(&mut client, 20).await.unwrap();
            assert_eq!(watch.message().await.unwrap().unwrap().revision, 21);
            return;
        }
        service.signal("KILL");
        service.wait().await;
        service = store.start_with(&["--keep-changes", "10"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the store keeps all changes");
}

async fn the_course_contract_shows_each_change_at_once(store: &TestStore) {
    let service = store.start();
    let (mut client, mut course) = (stub(&service).await, service.stub().await);
    let id = || MovieId { id: "7".into() };
    for title in ["one", "two"] {
        if title == "one" {
            create(&mut client, movie("7", title)).await.unwrap();
        } else {
            update(&mut client, movie("7", title)).await.unwrap();
        }
        assert_eq!(course.get_movie_by_id(id()).await.unwrap().into_inner().title, title);
        let mut list = course.get_list_movies(Empty {}).await.unwrap().into_inner();
        assert_eq!(list.message().await.unwrap().unwrap().title, title);
    }
    delete(&mut client, "7").await.unwrap();
    assert_eq!(course.get_movie_by_id(id()).await.unwrap().into_inner().title, "");
}

/// Returns the command that imports files into a store.
fn import_command(store: &TestStore, files: &[&Path]) -> Command {
    let mut command = bare_command();
    command.arg("import").args(files).args(["--database", &store.url]);
    command
}

/// Writes some of the films to a file, as an export writes them.
fn write_films(path: &Path, numbers: Range<usize>) {
    let films = fs::read_to_string(database("films.json")).unwrap();
    let films: Vec<_> = films.lines().skip(1 + numbers.start).take(numbers.len()).collect();
    let films = films.join("\n");
    fs::write(path, format!("{{\"movies\": [\n{}\n]}}\n", films.trim_end_matches(','))).unwrap();
}

async fn an_export_equals_the_import(store: &TestStore) {
    let films = store.file("films.json");
    // More movies than an import writes in one transaction.
    write_films(&films, 0..2_500);
    let mut import = import_command(store, &[&films]);
    let (status, printed, errors) = outcome(&mut import);
    assert!(status.success(), "{errors}");
    assert_eq!(printed, "2500 created, 0 updated, 0 unchanged, 0 rejected\n");
    let (_, printed, errors) = outcome(&mut import);
    assert_eq!(printed, "0 created, 0 updated, 2500 unchanged, 0 rejected\n", "{errors}");

    let copy = store.file("copy.json");
    let mut export = bare_command();
    export.args(["export", "--database", &store.url, "--output"]).arg(&copy);
    let (status, _, errors) = outcome(&mut export);
    assert!(status.success(), "{errors}");
    assert!(fs::read(copy).unwrap() == fs::read(&films).unwrap(), "the copy differs");
    let mut export = bare_command();
    export.args(["export", "--database", &store.url, "--output", "-"]);
    assert!(outcome(&mut export).1 == fs::read_to_string(films).unwrap(), "what is printed differs");
    let mut unread = export.spawn().unwrap();
    drop(unread.stdout.take());
    let Output { status, stderr, .. } = unread.wait_with_output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));

    let mut export = bare_command();
    export.args(["export", "--database", &store.url, "--output", "/no/folder/films.json"]);
    let (status, _, errors) = outcome(&mut export);
    assert!(!status.success() && errors.contains("the directory `/no/folder` does not exist"), "{errors}");
}

async fn a_killed_import_can_be_repeated(store: &TestStore) {
    let (first, second) = (store.file("first.json"), store.file("second.json"));
    write_films(&first, 0..2_500);
    assert!(Command::new("mkfifo").arg(&second).status().unwrap().success());
    let mut import = import_command(store, &[&first, &second]);
    let mut killed = import.spawn().unwrap();
    // Opening a named pipe waits for the other end: the import opens it when all movies of the first file are written,
    // and then waits for those of the second.
    let (opened, is_open) = mpsc::channel();
    let path = second.clone();
    thread::spawn(move || opened.send(File::options().write(true).open(path)));
    let writer = is_open.recv_timeout(TIMEOUT).expect("the import does not open the second file").unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(writer);
    assert_eq!(list(&mut stub(&store.start()).await).await.len(), 2_500);

    fs::remove_file(&second).unwrap();
    write_films(&second, 2_500..3_000);
    let (status, printed, errors) = outcome(&mut import);
    assert!(status.success(), "{errors}");
    assert_eq!(printed, "500 created, 0 updated, 2500 unchanged, 0 rejected\n");
}
