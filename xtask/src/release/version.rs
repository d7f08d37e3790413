//! The places where the version is written.

use anyhow::{Context, Result, ensure};
use semver::Version;

/// Returns the workspace's manifest with a version, which may be the one that it has: the first release has none before it.
///
/// # Errors
///
/// If the manifest has no version of the workspace, or a higher one.
pub(super) fn set(manifest: &str, version: &Version) -> Result<String> {
    let (before, section) = manifest.split_once("[workspace.package]\n").context("no [workspace.package]")?;
    let line =
        section.lines().find(|line| line.starts_with("version = ")).context("no version of the workspace")?;
    let current = line.trim_start_matches("version = ").trim_matches('"');
    let current: Version = current.parse().with_context(|| format!("the version `{current}`"))?;
    ensure!(*version >= current, "the version {version} is lower than {current}");
    let section = section.replacen(line, &format!("version = \"{version}\""), 1);
    Ok(format!("{before}[workspace.package]\n{section}"))
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
        let set = set(MANIFEST, &Version::new(0, 2, 0)).unwrap();
        assert_eq!(set, MANIFEST.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1));
        assert_eq!(super::set(MANIFEST, &Version::new(0, 1, 0)).unwrap(), MANIFEST);
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
