//! The manifest of the committed build: which sources it is made of, and by which tools.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::generated::{self, Files};
use crate::regen_web::{DIST_DIR, REMEDY, WEB_DIR};

/// The name of the manifest within the build.
const MANIFEST: &str = "manifest.json";

/// Folders that the digest excludes.
const UNDIGESTED_DIRS: [&str; 3] = ["dist", "node_modules", "tests"];

/// What a build is made of.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Manifest {
    /// The digest of the sources: SHA-256 of a line for each, as `sha256sum` prints it, by sorted path.
    sources: String,
    /// The files of the build but the manifest.
    files: BTreeMap<String, Entry>,
    /// The versions of the tools.
    pub(super) tools: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Entry {
    bytes: usize,
    sha256: String,
}

impl Entry {
    fn of(contents: &[u8]) -> Self {
        Self { bytes: contents.len(), sha256: sha256(contents) }
    }
}

/// Returns the manifest of a build of the present sources.
pub(super) fn of(root: &Path, build: &Files, tools: BTreeMap<String, String>) -> Result<Manifest> {
    let files = build.iter().map(|(path, contents)| (path.clone(), Entry::of(contents))).collect();
    Ok(Manifest { sources: digest(&sources(root)?), files, tools })
}

/// Returns a build with its manifest.
pub(super) fn with_manifest(mut build: Files, manifest: &Manifest) -> Result<Files> {
    let mut json = serde_json::to_vec_pretty(manifest)?;
    json.push(b'\n');
    build.insert(MANIFEST.to_owned(), json);
    Ok(build)
}

/// Reads the manifest of the committed build.
pub(super) fn committed(root: &Path) -> Result<Manifest> {
    let path = format!("{DIST_DIR}/{MANIFEST}");
    let json = fs::read(root.join(&path)).with_context(|| format!("read {path}; {REMEDY}"))?;
    serde_json::from_slice(&json).with_context(|| format!("read {path}; {REMEDY}"))
}

/// Returns a line for each file of the committed build that differs from the manifest, and one if the sources do.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let manifest = committed(root)?;
    let mut build = generated::read(root, DIST_DIR)?;
    build.remove(MANIFEST);
    let mut problems = Vec::new();
    if manifest.sources != digest(&sources(root)?) {
        problems.push(format!("stale: {DIST_DIR}, which was built from other sources"));
    }
    for (path, entry) in &manifest.files {
        match build.remove(path) {
            Some(contents) if *entry == Entry::of(&contents) => {}
            Some(_) => problems.push(format!("changed: {DIST_DIR}/{path}")),
            None => problems.push(format!("missing: {DIST_DIR}/{path}")),
        }
    }
    problems.extend(build.keys().map(|path| format!("left over: {DIST_DIR}/{path}")));
    Ok(problems)
}

/// Reads the sources of the page.
fn sources(root: &Path) -> Result<Files> {
    let mut sources = Files::new();
    for entry in fs::read_dir(root.join(WEB_DIR)).with_context(|| format!("read {WEB_DIR}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if UNDIGESTED_DIRS.contains(&name.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            let files = generated::read(root, &format!("{WEB_DIR}/{name}"))?;
            sources.extend(files.into_iter().map(|(path, contents)| (format!("{name}/{path}"), contents)));
        } else {
            let contents = fs::read(entry.path()).with_context(|| format!("read {WEB_DIR}/{name}"))?;
            sources.insert(name, contents);
        }
    }
    Ok(sources)
}

fn digest(sources: &Files) -> String {
    let lines = sources.iter().fold(String::new(), |mut lines, (path, contents)| {
        let _ = writeln!(lines, "{}  {path}", sha256(contents));
        lines
    });
    sha256(lines.as_bytes())
}

fn sha256(contents: &[u8]) -> String {
    hex::encode(Sha256::digest(contents))
}
