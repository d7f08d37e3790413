//! What is written is there after the service was killed.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use movie_proto::catalog::v1::CreateMovieRequest;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::{Empty, MovieId};

use super::{
    Kept, TIMEOUT, create, delete, followed, import, list, movie, reason, revision, stub, update, watch,
};
use crate::process::{bare_command, database, outcome};

super::on_each_store!(
    all_that_was_written_is_there_as_it_was,
    a_request_that_is_repeated_makes_one_movie,
    a_watch_goes_on_where_it_was,
    changes_beyond_those_that_are_kept_are_removed,
    the_course_s_contract_shows_each_change_at_once,
    an_export_of_an_import_is_the_import,
    an_import_that_was_killed_goes_on,
);

async fn all_that_was_written_is_there_as_it_was(kept: &Kept) {
    let mut service = kept.start();
    let mut client = stub(&service).await;
    let first = create(&mut client, movie("b", "first")).await.unwrap();
    create(&mut client, movie("a", "second")).await.unwrap();
    create(&mut client, movie("c", "gone")).await.unwrap();
    let many = (0..1_500).map(|number| movie(&format!("many {number}"), "many")).collect();
    assert_eq!(import(&mut client, many).await.unwrap().created, 1_500);
    let changed = update(&mut client, movie("b", "changed")).await.unwrap();
    delete(&mut client, "c").await.unwrap();
    // What comes back is listed last.
    delete(&mut client, "many 0").await.unwrap();
    create(&mut client, movie("many 0", "back")).await.unwrap();
    assert!(changed.etag != first.etag && changed.create_time == first.create_time);

    let (before, at) = (list(&mut client).await, revision(&mut client).await);
    assert_eq!((before.len(), at), (1_502, 1_507));
    assert_eq!(before[0], changed);
    assert_eq!(before.last().unwrap().title, "back");
    service.signal("KILL");
    service.wait().await;
    let service = kept.start();
    let mut client = stub(&service).await;
    assert_eq!(list(&mut client).await, before);
    assert_eq!(revision(&mut client).await, at);

    let followed = followed(&mut client, at).await;
    assert_eq!(followed.len(), before.len());
    assert!(before.iter().all(|movie| followed.get(&movie.id) == Some(movie)));
}

async fn a_request_that_is_repeated_makes_one_movie(kept: &Kept) {
    let request = |title: &str| CreateMovieRequest {
        movie: Some(movie("", title)),
        request_id: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
    };
    let mut service = kept.start();
    let mut client = stub(&service).await;
    let made = client.create_movie(request("once")).await.unwrap().into_inner();
    assert_eq!(client.create_movie(request("once")).await.unwrap().into_inner(), made);
    service.signal("KILL");
    service.wait().await;
    let service = kept.start();
    let mut client = stub(&service).await;
    assert_eq!(client.create_movie(request("once")).await.unwrap().into_inner(), made);
    let other = client.create_movie(request("another")).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    assert_eq!(list(&mut client).await, [made]);
}

async fn a_watch_goes_on_where_it_was(kept: &Kept) {
    let mut service = kept.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("1", "one")).await.unwrap();
    let at = revision(&mut client).await;
    create(&mut client, movie("2", "two")).await.unwrap();
    delete(&mut client, "1").await.unwrap();
    service.signal("KILL");
    service.wait().await;
    let service = kept.start();
    let mut client = stub(&service).await;
    let mut watch = watch(&mut client, at).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(watch.message().await.unwrap().unwrap().event.unwrap());
    }
    let two = list(&mut client).await.remove(0);
    assert_eq!(told, [Event::Upserted(two), Event::DeletedId("1".into()), Event::CaughtUp(true)]);
    create(&mut client, movie("3", "three")).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().revision, at + 3);
}

async fn changes_beyond_those_that_are_kept_are_removed(kept: &Kept) {
    let mut service = kept.start_with(&["--keep-changes", "10"]);
    let mut client = stub(&service).await;
    for number in 0..30 {
        create(&mut client, movie(&number.to_string(), "movie")).await.unwrap();
    }
    let compacted = async |client: &mut super::Stub| {
        let mut watch = watch(client, 0).await.unwrap();
        watch.message().await.map_err(|status| reason(&status))
    };
    assert_eq!(compacted(&mut client).await, Err("REVISION_COMPACTED".to_owned()));
    // The store itself is compacted in the background, which a service shows that would keep more.
    for _ in 0..100 {
        service.signal("KILL");
        service.wait().await;
        service = kept.start_with(&["--keep-changes", "1000"]);
        client = stub(&service).await;
        if compacted(&mut client).await.is_err() {
            let mut watch = watch(&mut client, 20).await.unwrap();
            assert_eq!(watch.message().await.unwrap().unwrap().revision, 21);
            return;
        }
        service.signal("KILL");
        service.wait().await;
        service = kept.start_with(&["--keep-changes", "10"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the store keeps all changes");
}

async fn the_course_s_contract_shows_each_change_at_once(kept: &Kept) {
    let service = kept.start();
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
fn import_command(kept: &Kept, files: &[&Path]) -> Command {
    let mut command = bare_command();
    command.arg("import").args(files).args(["--database", &kept.url]);
    command
}

/// Writes some of the films into a file of the test, as an export writes them.
fn write_films(path: &Path, numbers: Range<usize>) {
    let films = fs::read_to_string(database("films.json")).unwrap();
    let films: Vec<_> = films.lines().skip(1 + numbers.start).take(numbers.len()).collect();
    let films = films.join("\n");
    fs::write(path, format!("{{\"movies\": [\n{}\n]}}\n", films.trim_end_matches(','))).unwrap();
}

async fn an_export_of_an_import_is_the_import(kept: &Kept) {
    let films = kept.file("films.json");
    // More than an import writes in one transaction.
    write_films(&films, 0..2_500);
    let mut import = import_command(kept, &[&films]);
    let (status, printed, errors) = outcome(&mut import);
    assert!(status.success(), "{errors}");
    assert_eq!(printed, "2500 created, 0 updated, 0 unchanged, 0 rejected\n");
    assert_eq!(outcome(&mut import).1, "0 created, 0 updated, 2500 unchanged, 0 rejected\n");

    let copy = kept.file("copy.json");
    let mut export = bare_command();
    export.args(["export", "--database", &kept.url, "--output"]).arg(&copy);
    let (status, _, errors) = outcome(&mut export);
    assert!(status.success(), "{errors}");
    assert!(fs::read(copy).unwrap() == fs::read(&films).unwrap(), "the copy differs");
    let mut export = bare_command();
    export.args(["export", "--database", &kept.url, "--output", "-"]);
    assert!(outcome(&mut export).1 == fs::read_to_string(films).unwrap(), "what is printed differs");
}

async fn an_import_that_was_killed_goes_on(kept: &Kept) {
    let (first, second) = (kept.file("first.json"), kept.file("second.json"));
    write_films(&first, 0..2_500);
    assert!(Command::new("mkfifo").arg(&second).status().unwrap().success());
    let mut import = import_command(kept, &[&first, &second]);
    let mut killed = import.spawn().unwrap();
    // A named pipe is open once both ends are: the import opens its end when all movies of the first file are written,
    // and then waits for those of the second.
    let (opened, is_open) = mpsc::channel();
    let path = second.clone();
    thread::spawn(move || opened.send(File::options().write(true).open(path)));
    let writer = is_open.recv_timeout(TIMEOUT).expect("the import does not come to the second file").unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(writer);
    assert_eq!(list(&mut stub(&kept.start()).await).await.len(), 2_500);

    fs::remove_file(&second).unwrap();
    write_films(&second, 2_500..3_000);
    let (status, printed, errors) = outcome(&mut import);
    assert!(status.success(), "{errors}");
    assert_eq!(printed, "500 created, 0 updated, 2500 unchanged, 0 rejected\n");
}
