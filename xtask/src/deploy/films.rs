//! The films of `databases/films.json` in a store, and a node that serves them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::build::Build;
use crate::program;

/// Time for a command.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Imports the films into an empty store.
///
/// # Errors
///
/// If the service cannot import them.
pub(super) fn import(build: &Build, url: &str) -> Result<()> {
    let films = build.root.join("databases/films.json");
    let mut import = Command::new(build.service());
    program::run(import.arg("import").arg(films).args(["--database", url]), TIMEOUT).map(drop)
}

/// Returns the command of a node on a store, where everyone may write. Its log is for the test.
pub(super) fn node(service: &Path, url: &str, address: SocketAddr, metrics: SocketAddr) -> Command {
    let mut node = Command::new(service);
    node.args(["--listen", &address.to_string(), "--metrics", &metrics.to_string()]);
    node.args(["--database", url, "--allow-anonymous-writes", "--quiet", "--log-format", "text"]);
    node
}

/// Returns a field of all movies in an exported database.
///
/// # Errors
///
/// If the database is not one, or a movie lacks the field.
pub(super) fn fields(exported: &str, field: &str) -> Result<Vec<String>> {
    let database: Value = serde_json::from_str(exported).context("read an exported database")?;
    let movies = database["movies"].as_array().context("the exported database has no movies")?;
    let field = |movie: &Value| {
        let text = movie[field].as_str().with_context(|| format!("{movie} has no {field}"))?;
        Ok(text.to_owned())
    };
    movies.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_movie_of_an_exported_database_has_the_field() {
        let exported = r#"{"movies":[{"id":"a","title":"A"},{"id":"b"}]}"#;
        assert_eq!(fields(exported, "id").unwrap(), ["a", "b"]);
        let error = fields(exported, "title").unwrap_err().to_string();
        assert!(error.ends_with("has no title"), "{error}");
        fields("{}", "id").unwrap_err();
    }
}
