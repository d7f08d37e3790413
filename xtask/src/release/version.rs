//! The places where the version is written.

use anyhow::{Context, Result, ensure};
use semver::Version;

/// A manifest with another version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// The manifest.
    pub(super) manifest: String,
    /// The version that it had.
    pub(super) previous: Version,
}

/// Returns the workspace's manifest with this version. The same version is allowed, for the first release.
///
/// # Errors
///
/// If the manifest has no version of the workspace, or a higher one.
pub(super) fn set(manifest: &str, version: &Version) -> Result<Set> {
    let (before, section) = manifest.split_once("[workspace.package]\n").context("no [workspace.package]")?;
    let line =
        section.lines().find(|line| line.starts_with("version = ")).context("no version of the workspace")?;
    let previous = line.trim_start_matches("version = ").trim_matches('"');
    let previous: Version = previous.parse().with_context(|| format!("the version `{previous}`"))?;
    ensure!(*version >= previous, "the version {version} is lower than {previous}");
    let section = section.replacen(line, &format!("version = \"{version}\""), 1);
    Ok(Set { manifest: format!("{before}[workspace.package]\n{section}"), previous })
}

/// Returns the Helm chart's description with the version, which is that of the chart and of what it deploys.
///
/// # Errors
///
/// If one of the two versions is missing.
pub(super) fn set_chart(chart: &str, version: &Version) -> Result<String> {
    let mut found = 0;
    let lines = chart.lines().map(|line| {
        let name = ["version: ", "appVersion: "].into_iter().find(|name| line.starts_with(name));
        found += usize::from(name.is_some());
        name.map_or_else(|| format!("{line}\n"), |name| format!("{name}\"{version}\"\n"))
    });
    let text = lines.collect();
    ensure!(found == 2, "expected the lines `version` and `appVersion`");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace]\nresolver = \"3\"\n\n[workspace.package]\nversion = \"0.1.0\"\n\n[workspace.dependencies]\nx = { version = \"0.1.0\" }\n";

    #[test]
    fn only_the_version_of_the_workspace_is_set() {
        let Set { manifest, previous } = set(MANIFEST, &Version::new(0, 2, 0)).unwrap();
        assert_eq!(manifest, MANIFEST.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1));
        assert_eq!(previous, Version::new(0, 1, 0));
        assert_eq!(set(MANIFEST, &previous).unwrap().manifest, MANIFEST);
    }

    #[test]
    fn a_lower_version_is_refused() {
        for version in ["0.0.9", "0.1.0-rc.1"] {
            let error = set(MANIFEST, &version.parse().unwrap()).unwrap_err().to_string();
            assert!(error.ends_with("is lower than 0.1.0"), "{error}");
        }
    }

    #[test]
    fn both_versions_of_a_chart_are_set() {
        let chart = "name: a\nversion: 0.1.0\nappVersion: \"0.1.0\"\nkubeVersion: 1\n";
        let set = set_chart(chart, &Version::new(1, 0, 0)).unwrap();
        assert_eq!(set, "name: a\nversion: \"1.0.0\"\nappVersion: \"1.0.0\"\nkubeVersion: 1\n");
        set_chart("version: 1\n", &Version::new(1, 0, 0)).unwrap_err();
    }
}
