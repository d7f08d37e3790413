//! The example of the library's front page, as a program of its own.

use std::fs;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::program::{over, workspace};

/// Longest time to compile the dependencies.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(20);

/// Returns the lines of the front page between a line and the next end of a block.
fn block(first: &str) -> String {
    let page = include_str!("../../../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let mut lines = page.map(|line| line.strip_prefix(' ').unwrap_or(line)).skip_while(|line| *line != first);
    assert!(lines.next().is_some(), "the front page has no block {first}");
    lines.take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect()
}

#[tokio::test]
#[ignore = "compiles the library and what it needs again, which takes minutes; .ci/run runs it"]
async fn the_front_page_s_example_compiles_and_runs_as_it_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let library = format!("{:?}", env!("CARGO_MANIFEST_DIR"));
    let dependencies = block("```toml").replace("\"../movies/movie-client\"", &library);
    let package = "[package]\nname = \"embedding\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(path("Cargo.toml"), format!("{package}{dependencies}")).unwrap();
    // The versions of the workspace, which are there without a network.
    fs::copy(workspace("Cargo.lock"), path("Cargo.lock")).unwrap();
    fs::create_dir(path("src")).unwrap();
    let program = block("```no_run").replace("localhost:3001", &over("movies.json").to_string());
    fs::write(path("src/main.rs"), program).unwrap();

    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline", "--target-dir"]).arg(workspace("target/embedding"));
    let output = cargo.current_dir(directory.path()).kill_on_drop(true).output();
    let output = timeout(COMPILE_TIMEOUT, output).await.expect("cargo did not end").unwrap();
    let expected = "found The Martian\nCreed by Ryan Coogler\nThe Martian by Ridley Scott\nno movie has the id no such id\n";
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
