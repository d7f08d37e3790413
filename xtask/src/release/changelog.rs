//! The changelog, in the format of Keep a Changelog 1.1.0.

use anyhow::{Context, Result, ensure};
use semver::Version;

/// A changelog whose entries belong to a version.
#[derive(Debug)]
pub(super) struct Released {
    /// The changelog.
    pub(super) text: String,
    /// The entries of the version.
    pub(super) notes: String,
}

/// The heading of what is not released.
const UNRELEASED: &str = "\n## Unreleased\n";

/// Gives the entries that are not released to a version.
///
/// # Errors
///
/// If there are none, or the changelog has the version already.
pub(super) fn release(text: &str, version: &Version, date: &str) -> Result<Released> {
    let (before, rest) = text.split_once(UNRELEASED).context("no heading `## Unreleased`")?;
    let has_version = |line: &str| {
        let heading = line.strip_prefix("## ").and_then(|heading| heading.split_whitespace().next());
        heading.is_some_and(|heading| heading.trim_matches(['[', ']']) == version.to_string())
    };
    ensure!(!rest.lines().any(has_version), "the version {version} has entries already");
    let notes = rest.split("\n## ").next().unwrap_or(rest).trim();
    ensure!(notes.lines().any(|line| line.starts_with("* ")), "no entries under `## Unreleased`");
    let text = format!("{before}{UNRELEASED}\n## {version} - {date}\n{rest}");
    Ok(Released { text, notes: format!("{notes}\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_get_the_version_and_the_date() {
        let text = "# Changelog\n\n## Unreleased\n\n### Added\n\n* A.\n\n## 0.1.0 - 2026-01-01\n\n* B.\n";
        let Released { text, notes } = release(text, &Version::new(0, 2, 0), "2026-02-03").unwrap();
        let expected = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-02-03\n\n### Added\n\n* A.\n\n## 0.1.0 - 2026-01-01\n\n* B.\n";
        assert_eq!(text, expected);
        assert_eq!(notes, "### Added\n\n* A.\n");
    }

    #[test]
    fn a_changelog_without_new_entries_is_refused() {
        let version = Version::new(0, 2, 0);
        for text in [
            "# Changelog\n",
            "\n## Unreleased\n\n### Added\n\n## 0.1.0 - 2026-01-01\n\n* B.\n",
            "\n### Unreleased\n\n* A.\n",
        ] {
            release(text, &version, "2026-02-03").unwrap_err();
        }
        for heading in ["0.2.0 - 2026-01-01", "[0.2.0] - 2026-01-01", "0.2.0"] {
            let twice = format!("\n## Unreleased\n\n* C.\n\n## {heading}\n\n* B.\n");
            let error = release(&twice, &version, "2026-02-03").unwrap_err().to_string();
            assert_eq!(error, "the version 0.2.0 has entries already");
        }
    }
}
