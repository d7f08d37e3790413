//! Files of `deploy/`, with the addresses and paths of a test.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What an example has, and what the test has instead, in this order.
pub(super) type Substitutes = Vec<(&'static str, String)>;

/// Writes an example to `file`.
///
/// # Errors
///
/// If a file cannot be read or written, or the example does not have what is to be replaced.
pub(super) fn write(example: &Path, substitutes: &Substitutes, file: &Path) -> Result<()> {
    let mut text = fs::read_to_string(example).with_context(|| format!("read {}", example.display()))?;
    for (old, new) in substitutes {
        ensure!(text.contains(old), "{} does not have {old:?}, which the test replaces", example.display());
        text = text.replace(old, new);
    }
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_without_what_is_to_be_replaced_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (example, file) = (folder.path().join("example"), folder.path().join("file"));
        fs::write(&example, "port 443;").unwrap();
        write(&example, &vec![("port 443", "port 1443".to_owned())], &file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "port 1443;");
        let error = write(&example, &vec![("port 80", String::new())], &file).unwrap_err().to_string();
        assert!(error.contains("does not have \"port 80\""), "{error}");
    }
}
