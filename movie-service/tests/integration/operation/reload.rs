//! Reloads of the JSON file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieId};
use tokio_stream::StreamExt;
use tonic::transport::Channel;

use crate::support::databases::database;
use crate::support::metrics;
use crate::support::process::{Service, command};

/// A service over a temporary file.
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
        let mut service = Service::run(&mut command(&path));
        // The last line of the start.
        service.log_line_with("search index");
        let stub = service.stub().await;
        Self { service, stub, path, _dir: dir }
    }

    async fn title(&mut self) -> String {
        self.stub.get_movie_by_id(MovieId { id: "1".into() }).await.unwrap().into_inner().title
    }

    /// Waits until the service serves a movie with this title; returns the log line of that reload.
    async fn wait_for(&mut self, title: &str) -> String {
        loop {
            let line = self.service.log_line_with("from the new version of ");
            if self.title().await == title {
                return line;
            }
        }
    }

    /// Asserts that the new version is refused, in one log line that contains `parts`, and the previous one is served.
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
async fn a_file_that_is_overwritten_is_reloaded() {
    let mut fixture = Fixture::start().await;
    fs::write(&fixture.path, json("second")).unwrap();
    let line = fixture.wait_for("second").await;
    assert!(line.contains("INFO serving 1 movies from the new version of "), "{line}");
}

#[tokio::test]
async fn a_file_that_replaces_another_is_reloaded() {
    let mut fixture = Fixture::start().await;
    replace(&fixture.path, &json("second"));
    fixture.wait_for("second").await;
    // The same length as the first version, in another file than the second.
    replace(&fixture.path, &json("third"));
    fixture.wait_for("third").await;
}

#[tokio::test]
async fn the_last_of_several_versions_is_served() {
    let mut fixture = Fixture::start().await;
    for title in ["second", "third!", "fourth"] {
        fs::write(&fixture.path, json(title)).unwrap();
        replace(&fixture.path, &json(title));
    }
    fixture.wait_for("fourth").await;
}

#[tokio::test]
async fn an_invalid_version_is_refused_with_its_position_until_it_is_corrected() {
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
async fn a_pipe_in_place_of_the_file_is_refused_and_the_next_file_is_served() {
    let mut fixture = Fixture::start().await;
    let pipe = fixture.path.with_extension("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(&pipe, &fixture.path).unwrap();
    fixture.assert_refused("first", &["movies.json: it is a special file"]).await;
    replace(&fixture.path, &json("second"));
    fixture.wait_for("second").await;
}

#[tokio::test]
async fn an_empty_database_and_a_movie_with_the_longest_title_are_served() {
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
async fn a_list_in_flight_is_not_changed_by_a_reload() {
    let films = fs::read_to_string(database("films.json")).unwrap();
    let mut fixture = Fixture::over(&films).await;
    // The list has a million bytes, of which the windows let about a hundred thousand through.
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
async fn sighup_reloads_the_file_at_once() {
    let (mut service, page) = metrics::run(&mut metrics::with_metrics(&database("movies.json")));
    let reloads =
        |taken| format!(r#"movie_service_reloads_total{{what="database",outcome="taken"}} {taken}"#);
    metrics::assert_shows(page, &[&reloads(0)]).await;
    // The file is unchanged, so only the signal can cause the reload.
    service.signal("HUP");
    metrics::assert_shows(page, &[&reloads(1)]).await;
    service.log_line_with("serving 7 movies from the new version of ");
}
