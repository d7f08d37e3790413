//! Queries for Prometheus, settings of units, and lines of the log, in documents.

use std::fs;
use std::path::Path;

/// Checks that each line is a section of a unit, or a setting in one, or empty.
pub(crate) fn unit(lines: &[String]) -> Result<(), (usize, String)> {
    let mut has_section = false;
    for (below, line) in (1..).zip(lines) {
        let is_section = ["[Unit]", "[Service]", "[Socket]", "[Timer]", "[Container]", "[Install]"]
            .contains(&line.as_str());
        has_section |= is_section;
        let is_setting = line.is_empty()
            || line.split_once('=').is_some_and(|(name, _)| {
                has_section
                    && !name.is_empty()
                    && name.chars().all(|character| character.is_ascii_alphanumeric())
            });
        if !is_section && !is_setting {
            return Err((below, format!("`{line}` is no setting of a unit")));
        }
    }
    Ok(())
}

/// Checks that each metric in the lines of a query exists.
pub(crate) fn query(lines: &[String]) -> Result<(), (usize, String)> {
    let read = |path: &str| fs::read_to_string(xtask::root().join(path)).unwrap_or_default();
    let known = read("docs/operations/observe.md") + &read("deploy/monitoring/rules/recording.yaml");
    let is_name = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    for (below, line) in (1..).zip(lines) {
        for word in line.split(|character| !is_name(character)) {
            let is_metric =
                ["movie_service", "process_", "job_method:"].iter().any(|start| word.starts_with(start));
            // The series of a histogram.
            let ends = ["_bucket", "_count", "_sum"];
            let histogram = ends.iter().find_map(|end| word.strip_suffix(end));
            let is_histogram = histogram.is_some_and(|name| {
                known.lines().any(|line| has_word(line, name) && line.contains("a histogram."))
            });
            if is_metric && !has_word(&known, word) && !is_histogram {
                return Err((below, format!("no metric and no rule is named `{word}`")));
            }
        }
    }
    Ok(())
}

/// Checks that the service has the texts of these lines of its log. An ellipsis stands for what differs.
pub(crate) fn log(lines: &[String]) -> Result<(), (usize, String)> {
    let source = source(&xtask::root().join("movie-service/src"));
    for (below, line) in (1..).zip(lines) {
        for part in line.split('…') {
            if !source.contains(part) {
                return Err((below, format!("the service does not log `{part}`")));
            }
        }
    }
    Ok(())
}

/// Returns whether a text has a name that is not part of a longer one.
fn has_word(text: &str, name: &str) -> bool {
    let is_end = |character: Option<char>| {
        character.is_none_or(|character| !character.is_ascii_alphanumeric() && !"_:".contains(character))
    };
    text.match_indices(name).any(|(at, _)| {
        is_end(text[..at].chars().next_back()) && is_end(text[at + name.len()..].chars().next())
    })
}

/// Returns the text of all sources in a folder, with the lines of each literal joined.
fn source(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &source(&path);
        } else {
            let file = fs::read_to_string(&path).unwrap();
            let mut lines = file.split("\\\n");
            text += lines.next().unwrap_or_default();
            lines.for_each(|line| text += line.trim_start());
        }
    }
    text
}
