//! The JSON file changes while the service runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieId};
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::metrics;
use crate::process::{Service, command, database};

/// A service over a file of the test's own.
struct Fixture {
    service: Service,
    stub: MovieClient<Channel>,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn json(title: &str) -> String {
    format!(r#"{{"movies": [{{"id": "1", "title": "{title}"}}]}}"#)
}

impl Fixture {
    async fn start() -> Self {
        Self::over(&json("first")).await
    }

    async fn over(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("movies.json");
        fs::write(&path, text).unwrap();
        let service = Service::run(&mut command(&path));
        let stub = service.stub().await;
        Self { service, stub, path, _dir: dir }
    }

    async fn title(&mut self) -> String {
        self.stub.get_movie_by_id(MovieId { id: "1".into() }).await.unwrap().into_inner().title
    }

    /// Calls until the answer has the title; each call on the way has to succeed.
    async fn wait_for(&mut self, title: &str) {
        for _ in 0..3_000 {
            if self.title().await == title {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the service does not serve {title:?}");
    }

    /// Asserts that the version there is now is refused, in one line that holds `parts`, and the old one is served.
    async fn assert_refused(&mut self, title: &str, parts: &[&str]) {
        let line = self.service.log_line();
        assert!(line.contains("ERROR still serving the previous movies: "), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part:?} is missing: {line}");
        }
        assert_eq!(self.title().await, title);
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_file_written_in_place_is_served() {
    let mut fixture = Fixture::start().await;
    fs::write(&fixture.path, json("second")).unwrap();
    fixture.wait_for("second").await;
    let line = fixture.service.log_line();
    assert!(line.contains("INFO serving 1 movies from the new version of "), "{line}");
}

#[tokio::test]
async fn a_file_that_replaces_the_old_one_is_served() {
    let mut fixture = Fixture::start().await;
    replace(&fixture.path, &json("second"));
    fixture.wait_for("second").await;
    // As long as the first, and another file than the second.
    replace(&fixture.path, &json("third"));
    fixture.wait_for("third").await;
}

#[tokio::test]
async fn of_several_writes_in_a_row_the_last_is_served() {
    let mut fixture = Fixture::start().await;
    for title in ["second", "third!", "fourth"] {
        fs::write(&fixture.path, json(title)).unwrap();
        replace(&fixture.path, &json(title));
    }
    fixture.wait_for("fourth").await;
}

#[tokio::test]
async fn a_broken_version_is_refused_with_its_place_until_it_is_mended() {
    let mut fixture = Fixture::start().await;
    fs::write(&fixture.path, "{\"movies\": [\n{\"id\": \"1\"}]}").unwrap();
    fixture
        .assert_refused(
            "first",
            &["movies.json:2:1: movie 1 (id `1`): `title`: expected 1 to 1000 characters"],
        )
        .await;
    fs::write(&fixture.path, json("mended")).unwrap();
    fixture.wait_for("mended").await;
}

#[tokio::test]
async fn a_truncated_file_a_folder_and_no_file_are_refused() {
    let mut fixture = Fixture::start().await;
    let text = json("second");
    fs::write(&fixture.path, &text[..text.len() - 2]).unwrap();
    fixture.assert_refused("first", &["movies.json:1:", "the file ends here"]).await;

    fs::remove_file(&fixture.path).unwrap();
    fixture.assert_refused("first", &["read ", "movies.json: No such file"]).await;

    fs::create_dir(&fixture.path).unwrap();
    fixture.assert_refused("first", &["read ", "movies.json: ", "directory"]).await;

    fs::remove_dir(&fixture.path).unwrap();
    fs::write(&fixture.path, json("second")).unwrap();
    fixture.wait_for("second").await;
}

#[tokio::test]
async fn no_movies_and_a_movie_with_the_longest_title_are_served() {
    let mut fixture = Fixture::start().await;
    fs::write(&fixture.path, r#"{"movies": []}"#).unwrap();
    fixture.wait_for("").await;
    let long = "é".repeat(1_000);
    fs::write(&fixture.path, json(&long)).unwrap();
    fixture.wait_for(&long).await;
    let list = fixture.stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    let titles: Vec<String> = list.map(|movie| movie.unwrap().title).collect().await;
    assert_eq!(titles, [long]);
}

#[tokio::test]
async fn a_list_that_is_being_read_stays_as_it_was_when_it_began() {
    let films = fs::read_to_string(database("films.json")).unwrap();
    let mut fixture = Fixture::over(&films).await;
    // Of a million bytes, the windows let some hundred thousand through before somebody reads.
    let mut list = fixture.stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    let first = list.message().await.unwrap().unwrap();

    replace(&fixture.path, &json("second"));
    fixture.wait_for("second").await;

    let rest: Vec<String> = list.map(|movie| movie.unwrap().title).collect().await;
    assert_eq!(first.title, "Abe Lincoln in Illinois");
    assert_eq!(1 + rest.len(), 17_470);
    assert!(!rest.contains(&"second".to_owned()));
}

#[cfg(unix)]
#[tokio::test]
async fn on_sighup_the_file_is_read_again_at_once() {
    let (mut service, page) = metrics::run(&mut metrics::with_metrics(&database("movies.json")));
    let reloads =
        |taken| format!(r#"movie_service_reloads_total{{what="database",outcome="taken"}} {taken}"#);
    metrics::assert_shows(page, &[&reloads(0)]).await;
    // The file is as it was: only the signal can be the reason.
    service.signal("HUP");
    metrics::assert_shows(page, &[&reloads(1)]).await;
    service.log_line_with("serving 7 movies from the new version of ");
}
