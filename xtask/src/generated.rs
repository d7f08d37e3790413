//! Folders of generated files: read, written, and compared with what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Paths within a folder, with `/` as separator, and the contents of the files.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Reads all files below the folder `dir` of the workspace; none if it is missing.
///
/// # Errors
///
/// If a file cannot be read.
pub(crate) fn read(root: &Path, dir: &str) -> Result<Files> {
    let mut files = Files::new();
    if root.join(dir).exists() {
        read_below(root, dir, "", &mut files)?;
    }
    Ok(files)
}

fn read_below(root: &Path, dir: &str, prefix: &str, files: &mut Files) -> Result<()> {
    let below = root.join(dir).join(prefix);
    for entry in fs::read_dir(&below).with_context(|| format!("read {}", below.display()))? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_below(root, dir, &format!("{path}/"), files)?;
        } else {
            let contents = fs::read(entry.path()).with_context(|| format!("read {dir}/{path}"))?;
            files.insert(path, contents);
        }
    }
    Ok(())
}

/// Writes the files into the folder `dir` of the workspace, and removes all others from it. Returns a line for each: whether it
/// was removed, written or left unchanged.
///
/// # Errors
///
/// If a file cannot be read, written or removed.
pub(crate) fn write(root: &Path, dir: &str, fresh: &Files) -> Result<Vec<String>> {
    let folder = root.join(dir);
    let before = read(root, dir)?;
    let mut lines = Vec::new();
    for path in before.keys().filter(|path| !fresh.contains_key(*path)) {
        fs::remove_file(folder.join(path)).with_context(|| format!("remove {dir}/{path}"))?;
        lines.push(format!("removed    {dir}/{path}"));
    }
    for (path, contents) in fresh {
        if before.get(path) == Some(contents) {
            lines.push(format!("unchanged  {dir}/{path}"));
            continue;
        }
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&folder)).with_context(|| format!("create {dir}"))?;
        fs::write(file, contents).with_context(|| format!("write {dir}/{path}"))?;
        lines.push(format!("wrote      {dir}/{path}"));
    }
    Ok(lines)
}

/// Returns a line for each file of the folder `dir` of the workspace that is stale, missing or left over.
///
/// # Errors
///
/// If a file cannot be read.
pub(crate) fn differences(root: &Path, dir: &str, fresh: &Files) -> Result<Vec<String>> {
    let committed = read(root, dir)?;
    let paths: BTreeSet<&String> = fresh.keys().chain(committed.keys()).collect();
    let differences = paths.into_iter().filter_map(|path| {
        let problem = match (fresh.get(path), committed.get(path)) {
            (Some(fresh), Some(committed)) if fresh == committed => return None,
            (Some(_), Some(_)) => "stale",
            (Some(_), None) => "missing",
            (None, _) => "left over",
        };
        Some(format!("{problem}: {dir}/{path}"))
    });
    Ok(differences.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_owned())).collect()
    }

    #[test]
    fn written_files_are_read_again_and_others_are_removed() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path(), "out/web").unwrap(), Files::new());
        write(root.path(), "out/web", &files(&[("a/b/c", "1"), ("d", "2")])).unwrap();
        let fresh = files(&[("a/e", "3"), ("d", "4")]);
        let lines = write(root.path(), "out/web", &fresh).unwrap();
        assert_eq!(lines, ["removed    out/web/a/b/c", "wrote      out/web/a/e", "wrote      out/web/d"]);
        assert_eq!(read(root.path(), "out/web").unwrap(), fresh);
        assert!(differences(root.path(), "out/web", &fresh).unwrap().is_empty());
    }

    #[test]
    fn differences_are_named_with_their_folder() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "out", &files(&[("a/b", "1"), ("c", "2"), ("d", "3")])).unwrap();
        let fresh = files(&[("a/b", "1"), ("c", "3"), ("e/f", "4")]);
        let differences = differences(root.path(), "out", &fresh).unwrap();
        assert_eq!(differences, ["stale: out/c", "left over: out/d", "missing: out/e/f"]);
    }
}
