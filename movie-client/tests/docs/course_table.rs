//! The table of the tutorial that puts lines of the course beside lines of this repository.

use crate::files::Files;

/// The first line of the table.
const HEAD: &str = "| the course | here |";

const COURSE: [&str; 2] = ["xtask/interop/client.py", "xtask/interop/server.py"];

const HERE: [&str; 2] = ["movie-client/examples/first_client.rs", "movie-service/examples/first_service.rs"];

/// Returns the cells whose code is in no file of their column.
pub(crate) fn problems(document: &str) -> Vec<String> {
    let files = Files::new();
    let rows = document.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    if rows.is_empty() {
        return vec![format!("there is no table `{HEAD}`")];
    }
    let cells = rows.into_iter().flat_map(|row| {
        let mut codes = row.split('`').skip(1).step_by(2);
        [(codes.next().unwrap_or(row), COURSE), (codes.next().unwrap_or(row), HERE)]
    });
    let is_missing =
        |code: &str, sources: [&str; 2]| sources.iter().all(|file| files.expect(file, code).is_err());
    cells.filter(|(code, sources)| is_missing(code, *sources)).map(|(code, _)| code.to_owned()).collect()
}
