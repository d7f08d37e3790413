//! Snapshots of output and exit codes in `tests/commands/`. Each directory has the commands for one service.
//! `TRYCMD=overwrite` writes the files anew; they have `/` where the client prints `\`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use trycmd::TestCases;

use crate::support::program::over;
use crate::support::service::Service;

/// Returns the test cases of a file, or of all files that match a pattern, for the service at an address.
fn cases(files: &Path, address: SocketAddr) -> TestCases {
    let address = address.to_string();
    let cases = TestCases::new();
    cases
        .register_bin("movie-client", Path::new(env!("CARGO_BIN_EXE_movie-client")))
        .env("MOVIE_ADDRESS", &address)
        .insert_var("[ADDRESS]", address)
        .unwrap()
        .case(files);
    cases
}

#[test]
fn commands_over_the_movies_of_the_course_match_their_snapshots() {
    let cases = cases(Path::new("tests/commands/movies/*.trycmd"), over("movies.json"));
    cases.case("tests/commands/movies/*.toml").run();
}

#[test]
fn commands_over_the_films_match_their_snapshots() {
    cases(Path::new("tests/commands/films/*.trycmd"), over("films.json")).run();
}

#[test]
fn commands_over_a_writable_store_match_their_snapshots() {
    for file in fs::read_dir("tests/commands/sqlite").unwrap() {
        let service = Service::writable();
        cases(&file.unwrap().path(), service.socket_address()).run();
    }
}
