//! What commands print, and their exit codes, as the files in `tests/commands/` show them. In a folder are the commands
//! for one service. `TRYCMD=overwrite` writes the files anew; they have `/` where the client prints `\`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use trycmd::TestCases;

use crate::service::{Service, over};

/// Returns the cases of a file, or of all that a pattern matches, for the service at an address.
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
fn over_the_course_s_movies_commands_print_what_their_files_show() {
    let cases = cases(Path::new("tests/commands/movies/*.trycmd"), over("movies.json"));
    cases.case("tests/commands/movies/*.toml").run();
}

#[test]
fn over_the_films_commands_print_what_their_files_show() {
    cases(Path::new("tests/commands/films/*.trycmd"), over("films.json")).run();
}

#[test]
fn over_a_store_of_their_own_commands_that_write_print_what_their_files_show() {
    for file in fs::read_dir("tests/commands/sqlite").unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::writable(folder.path());
        cases(&file.unwrap().path(), service.address).run();
    }
}
