//! Checks of the documents: every block, command, path, option and link. Prose is not checked.
//!
//! A document is followed from top to bottom. The text after the three backticks determines the check of a block; an
//! unchecked block is an error.
//!
//! Commands that generate code, serve or call are run: the service in this process on a free port, the requests of `curl`
//! by this program, the code generation in a copy of its files. Commands that build, test, measure or print help are only looked up, like the
//! commands within a sentence.
//!
//! | block | check |
//! |---|---|
//! | `rust file=PATH`, also proto, json, toml | the file has these lines in this order; `…` stands for others |
//! | `proto new=PATH`, also rust | equals the file of the finished exercise in `docs/exercise/` |
//! | `diff file=PATH` | applies to the file, which has the change from then on |
//! | `console` | each `$ ` line is a command that is run or looked up; its output follows, `…` stands for any lines; `^Z` suspends the service |
//! | `json database` | the service loads the database |
//! | `json refused=FILE` | the service rejects the file |
//! | `text refused=FILE` | the error of the service about this file |
//! | `text movie=ID` | the wire format of this movie |
//! | `text exchange=PROTOCOL` | a call in grpc, grpc-web or json, as it is on the wire |
//! | `promql` | the metrics of the query exist |
//! | `ini` | settings of a unit of systemd, in sections |
//! | `text log` | the service has the text of each line of its log; `…` stands for what differs |
//! | `text arrows` | the crates of the workspace and their dependencies |
//!
//! A translation, in `docs/fr/`, is followed in the same way, but its commands are not run again: its headings, blocks and tables
//! are compared with those of its original.
//!
//! The contract and the servicer of the finished exercise are compiled here, where this crate takes the place of `movie-proto` and
//! `movie-service`. An ignored test builds a copy of the workspace with the whole exercise, and runs all tests of the copy.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

extern crate movie_proto as contract;
extern crate movie_service as library;
// From here on, the paths of the exercise refer to this crate.
extern crate self as movie_proto;
extern crate self as movie_service;

mod arrows;
mod check;
mod command;
mod course_table;
mod curl;
mod example;
mod exchange;
mod exercise_in_place;
mod files;
mod http1;
mod markdown;
mod operations;
#[path = "../support/service.rs"]
#[allow(dead_code, reason = "the integration tests use the rest")]
mod service;
mod translation;
mod wire;

#[path = "../../../docs/exercise/movie-service/src/servicer/best_movie/mod.rs"]
pub mod best_movie;
/// The module that the exercise adds to `movie-proto`.
pub mod exercise {
    /// The package `exercise.v1`.
    #[allow(
        clippy::pedantic,
        unreachable_pub,
        unused_qualifications,
        reason = "all the code here is generated"
    )]
    pub mod v1 {
        include!("../../../docs/exercise/movie-proto/src/generated/exercise.v1.rs");
    }
}

use std::fs;

pub use contract::MovieData;
pub use library::*;

use crate::check::problems;
use crate::files::Files;

#[test]
fn the_readme_is_accurate() {
    assert_accurate("README.md");
}

#[test]
fn the_tutorial_is_accurate() {
    assert_accurate("docs/tutorial.md");
}

#[test]
fn the_tutorial_puts_lines_of_the_course_beside_those_of_the_examples() {
    let tutorial = fs::read_to_string(xtask::root().join("docs/tutorial.md")).unwrap();
    assert_eq!(course_table::problems(&tutorial), [""; 0]);
    let row = "| the course | here |\n|---|---|\n| `stub = MovieStub(channel)` | `let stub = a;` |";
    assert_eq!(course_table::problems(row), ["let stub = a;"]);
}

#[test]
fn the_translations_are_accurate_and_match_their_originals() {
    for (original, translation) in [("docs/tutorial.md", "tutoriel.md"), ("README.md", "LISEZMOI.md")] {
        let path = format!("{}{translation}", translation::FOLDER);
        assert_accurate(&path);
        let [original, translation] =
            [original, &path].map(|path| fs::read_to_string(xtask::root().join(path)).unwrap());
        let problems = if path.ends_with("LISEZMOI.md") {
            translation::problems_of_part(&original, &translation)
        } else {
            translation::problems(&original, &translation)
        };
        assert!(problems.is_empty(), "{path}:\n{}\n", problems.join("\n"));
    }
}

#[test]
fn a_translation_that_differs_is_reported_with_its_heading() {
    let original = "# Run\n\n```console\n$ cargo doc\n```\n\n## Test\n\n| a |\n|---|\n| `b` |\n";
    let french = original.replace("Run", "Lancer").replace("Test", "Tester").replace("| a |", "| un |");
    assert_eq!(translation::problems(original, &french), [""; 0]);
    let first = |french: &str| translation::problems(original, french).concat();
    let command = first(&french.replace("doc", "docs"));
    assert!(
        command.starts_with("the original has the block\n```console\n$ cargo doc\n at line 3"),
        "{command}"
    );
    assert!(command.ends_with(" below `# Lancer`"), "{command}");
    let heading = first(&french.replace("## Tester", "### Tester"));
    assert!(heading.contains("has a heading of level 3 at line 7, below `### Tester`"), "{heading}");
    let row = first(&(french.clone() + "| `c` |\n"));
    assert!(
        row.ends_with(
            "has a table of 4 rows with the code [[], [], [\"b\"], [\"c\"]] at line 9, below `## Tester`"
        ),
        "{row}"
    );
    assert!(first("# Lancer").ends_with("the translation has nothing more"));

    let part = "# Lancer\n\n| un |\n|---|\n| `b` |\n";
    assert_eq!(translation::problems_of_part(original, part), [""; 0]);
    let other = translation::problems_of_part(original, &part.replace("`b`", "`c`")).concat();
    assert!(other.ends_with(" below `# Lancer`"), "{other}");
}

#[test]
fn the_other_documents_are_accurate() {
    let pages = pages();
    for path in
        ["docs/client.md", "docs/http.md", "docs/operations/limits.md", "databases/README.md", "CHANGELOG.md"]
    {
        assert!(pages.iter().any(|page| page == path), "{path} is not checked");
    }
    for path in &pages {
        assert_accurate(path);
    }
}

/// Returns the documents in these folders, except for those that have a test of their own.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["", "databases/", "deploy/", "docs/", "docs/operations/", "docs/operations/runbook/"] {
        for entry in fs::read_dir(xtask::root().join(folder)).unwrap() {
            let file = entry.unwrap().path();
            let path = format!("{folder}{}", file.file_name().unwrap().display());
            let is_document = file.extension().is_some_and(|extension| extension == "md");
            if is_document && !["README.md", "docs/tutorial.md"].contains(&path.as_str()) {
                pages.push(path);
            }
        }
    }
    pages
}

/// Asserts that a document is accurate.
fn assert_accurate(path: &str) {
    let problems = problems(path, &fs::read_to_string(xtask::root().join(path)).unwrap());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_generated_code_of_the_finished_exercise_is_up_to_date() {
    let files = Files::new();
    let contract = "proto/exercise/v1/best_movie.proto";
    files.change(contract, &files.finished(contract).unwrap());
    xtask::regen_proto::write(files.workspace()).unwrap();
    files.check_finished_generated().unwrap();
}

#[test]
fn a_quote_or_diff_that_does_not_match_its_file_is_reported_with_its_line() {
    let lib = "movie-client/src/lib.rs";
    let quote = format!("```rust file={lib}");
    let missing = format!("d.md:3: {lib} does not have the line `mod clients;` there");
    assert_wrong(&[&quote, "mod address;", "mod clients;", "```"], &missing);
    let late = format!("d.md:4: {lib} does not have the line `mod address;` there");
    assert_wrong(&[&quote, "mod client;", "…", "mod address;", "```"], &late);
    let change = format!("```diff file={lib}");
    assert_wrong(&[&change, " mod address;", "-mod clients;", "+mod a;", "```"], &missing);
    assert_wrong(&[&quote, "…", "```"], "d.md:1: the block is empty");
    assert_wrong(&["```rust file=src/gone.rs", "mod a;", "```"], "d.md:1: there is no `src/gone.rs`");
}

#[test]
fn differing_bytes_arrows_and_new_files_are_errors() {
    let bytes = "```text movie=a8034f44-aee4-44cf-b32c-74cf452aaaae";
    assert_wrong(&[bytes, "01", "```"], "d.md:2: the block has `01`, the bytes are `00 00 00 00 46  ");
    let arrows = "movie-client ──▶ movie-service ──▶ movie-proto xtask workspace-hack";
    assert_wrong(&["```text arrows", arrows, "```"], "d.md:1: the dependencies between the crates are");
    let arrows = "movie-client ──▶ movie-proto ◀── movie-service";
    assert_wrong(&["```text arrows", arrows, "```"], "d.md:1: the crates of the workspace are");
    let new = "```proto new=proto/exercise/v1/best_movie.proto";
    assert_wrong(&[new, "syntax = \"proto2\";", "```"], "d.md:2: the block has `syntax = \"proto2\";`");
}

#[test]
fn a_rejected_database_or_a_wrong_rejection_is_an_error() {
    let refused = "d.md:1: the service refuses it: example.json:2:1: the file ends here";
    assert_wrong(&["```json database", "{}", "```"], refused);
    let empty = "{\"movies\": []}";
    assert_wrong(&["```json refused=a.json", empty, "```"], "d.md:1: the service loads a.json");
    let broken = ["```json refused=a.json", "[]", "```", "```text refused=a.json", "a.json:1:2", "```"];
    assert_wrong(&broken, "d.md:5: the block has `a.json:1:2`, the service says `a.json:1:1: found `[`");
}

#[test]
fn an_unchecked_block_is_an_error() {
    assert_wrong(&["```rust", "let a = 1;", "```"], "d.md:1: unverified block `rust`");
    assert_wrong(&["```", "text", "```"], "d.md:1: unverified block ``");
    assert_wrong(&["```json file=movie-client/src/lib.rs", "```"], "d.md:1: unverified block `json");
    assert_wrong(&["~~~rust"], "d.md:1: unverified: a fence");
    assert_wrong(&["See", "", "    code"], "d.md:3: unverified: a block without a fence");
    assert_wrong(&["See `this"], "d.md:1: unverified: a ` without its pair");
    let unclosed = ["```json file=databases/movies.json", "{"];
    assert_wrong(&unclosed, "d.md:1: unverified: a block that does not end");
}

#[test]
fn an_unknown_metric_or_log_line_is_an_error() {
    let (sum, known) =
        ("sum(rate(movie_service_calls_total{code=~\"OK\"}[5m]))", "job_method:movie_service_calls:rate5m");
    assert_wrong(&["```promql", sum, known, "movie_service_call_duration_seconds_bucket", "```"], "nothing");
    for unknown in
        ["movie_service_call", "movie_service_streams_open_bucket", "job_method:movie_service_calls:rate9m"]
    {
        let expected = format!("d.md:2: no metric and no rule is named `{unknown}`");
        assert_wrong(&["```promql", unknown, "```"], &expected);
    }
    assert_wrong(&["```text log", "serving {movies} movies from …", "```"], "nothing");
    assert_wrong(&["```text log", "stopped", "gave up", "```"], "d.md:3: the service does not log `gave up`");
}

#[test]
fn a_line_that_is_no_setting_of_a_unit_is_an_error() {
    assert_wrong(
        &["```ini", "[Service]", "LoadCredential=tokens:/etc/movie-service/tokens", "```"],
        "nothing",
    );
    let expected = "d.md:3: `Environment` is no setting of a unit";
    assert_wrong(&["```ini", "[Service]", "Environment", "```"], expected);
}

#[test]
fn an_unknown_failing_or_differing_command_is_an_error() {
    let (start, call) = ("$ cargo run -p movie-service", "$ cargo run -p movie-client");
    assert_wrong(&["```console", "$ rm -r target", "```"], "d.md:2: unverified command `rm -r target`");
    assert_wrong(&["```console", "$ cargo xtask lint", "```"], "d.md:2: unverified command");
    assert_wrong(&["Run `cargo clippy --fix`."], "d.md:1: unverified command `cargo clippy --fix`");
    assert_wrong(&["```console", call, "```"], "d.md:2: no command before this one starts the service");
    let unknown = "d.md:2: error: unexpected argument '--fast'";
    assert_wrong(&["```console", &format!("{start} -- --fast"), "```"], unknown);
    let fails = "d.md:3: the command fails: error: no movie has the id `7`";
    assert_wrong(&["```console", start, &format!("{call} -- get 7"), "```"], fails);
    let prints = "d.md:4: the block has `- Get -`, the command prints `----- GetMovieByID -----`";
    assert_wrong(&["```console", start, call, "- Get -", "```"], prints);
    assert_wrong(&["Run `cargo run -p movie-server`."], "d.md:1: there is no `movie-server/src/main.rs`");
}

#[test]
fn a_broken_path_option_or_link_is_an_error() {
    assert_wrong(&["See `proto/movies.proto`."], "d.md:1: there is no `proto/movies.proto`");
    assert_wrong(&["The path is `/Movie/GetMovie`."], "d.md:1: no call has the path `/Movie/GetMovie`");
    assert_wrong(&["Set `MOVIE_PORT`."], "d.md:1: neither program knows `MOVIE_PORT`");
    assert_wrong(&["Give it `--port 1`."], "d.md:1: neither program knows `--port 1`");
    assert_wrong(
        &["See [there](docs/gone.md)."],
        "d.md:1: the target of the link does not exist: docs/gone.md",
    );
    assert_wrong(
        &["# Run", "See [there](README.md#running)."],
        "d.md:2: the target of the link does not exist: README.md#running",
    );
}

/// Asserts that the first problem of these lines, as the file `d.md`, begins as expected.
fn assert_wrong(lines: &[&str], expected: &str) {
    let problems = problems("d.md", &lines.join("\n"));
    let first = problems.first().map_or("nothing", String::as_str);
    assert!(first.starts_with(expected), "{lines:?}\n gave {first}\n expected {expected}");
}
