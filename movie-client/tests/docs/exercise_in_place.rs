//! The finished exercise in a copy of the workspace.

use std::fs;

use movie_proto::MovieData;
use movie_proto::best_movie::BestMovieServicer;
use movie_proto::exercise::v1::GetBestMovieRequest;
use movie_proto::exercise::v1::best_movie_server::BestMovie;
use tonic::{Code, Request};

use crate::check::follow;
use crate::files::{copy, members};

/// Calls the servicer of the exercise.
async fn best_movie(director: &str) -> Result<MovieData, Code> {
    let file = xtask::root().join("databases/movies.json");
    let catalogue = crate::catalogue::Catalogue::new(crate::store::json::load(&file).unwrap());
    let request = Request::new(GetBestMovieRequest { director: director.to_owned() });
    let response = BestMovieServicer::new(catalogue.into()).get_best_movie(request).await;
    response.map(|response| response.into_inner().movie.unwrap()).map_err(|status| status.code())
}

#[tokio::test]
async fn the_servicer_of_the_finished_exercise_picks_the_best_movie() {
    assert_eq!(best_movie("").await.unwrap().title, "Creed");
    assert_eq!(best_movie("Sam Mendes").await.unwrap().title, "Spectre");
    assert_eq!(best_movie("Nobody").await, Err(Code::NotFound));
}

/// Follows the tutorial in a copy of the workspace, as a reader does.
#[test]
#[ignore = "builds the workspace again, and runs all its tests"]
fn with_the_exercise_in_place_all_tests_pass() {
    let root = xtask::root();
    let tutorial = fs::read_to_string(root.join("docs/tutorial.md")).unwrap();
    let (files, problems) = follow("docs/tutorial.md", &tutorial);
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let workspace = target.join("exercise");
    let _ = fs::remove_dir_all(&workspace);
    for directory in
        members().iter().map(String::as_str).chain(["databases", "deploy", "docs", "proto", ".cargo", ".ci"])
    {
        copy(&root.join(directory), &workspace.join(directory));
    }
    for entry in fs::read_dir(&root).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), workspace.join(entry.file_name())).unwrap();
        }
    }
    copy(files.workspace(), &workspace);
    let mut command = xtask::cargo(&workspace);
    command.args(["test", "--workspace", "--locked"]);
    // In the folder of this workspace, cargo would take the crates of the copy for those of this workspace.
    command.env("CARGO_TARGET_DIR", target.join("exercise-build"));
    let status = command.status().unwrap();
    assert!(status.success(), "the tests of {} fail", workspace.display());
}
