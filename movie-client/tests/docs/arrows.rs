//! Dependencies between the crates of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::files::members;

/// Checks a diagram of the crates, with an arrow from each crate to each of its dependencies.
pub(crate) fn check(drawing: &str) -> Result<(), String> {
    let crates: BTreeMap<String, String> = members()
        .into_iter()
        .map(|path| (path.rsplit('/').next().unwrap_or_default().to_owned(), path))
        .collect();
    let names: BTreeSet<String> = crates.keys().cloned().collect();
    let words: Vec<&str> = drawing.split_whitespace().collect();
    let drawn = words.iter().copied().filter(|word| !["──▶", "◀──"].contains(word)).map(str::to_owned);
    if drawn.collect::<BTreeSet<_>>() != names {
        return Err(format!("the crates of the workspace are {names:?}"));
    }
    let arrows: BTreeSet<(String, String)> = words
        .windows(3)
        .filter_map(|three| match three {
            [from, "──▶", to] | [to, "◀──", from] => Some(((*from).to_owned(), (*to).to_owned())),
            _ => None,
        })
        .collect();
    let dependencies: BTreeSet<_> = crates
        .iter()
        .flat_map(|(from, path)| dependencies(path).into_iter().map(move |to| (from.clone(), to)))
        .filter(|(_, to)| names.contains(to))
        .collect();
    if arrows != dependencies {
        return Err(format!("the dependencies between the crates are {dependencies:?}"));
    }
    Ok(())
}

/// Returns the crates in the section `[dependencies]` of a crate's manifest.
fn dependencies(path: &str) -> Vec<String> {
    let manifest = fs::read_to_string(xtask::root().join(path).join("Cargo.toml")).unwrap();
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once([' ', '.', '='])?.0.to_owned()))
        .collect()
}
