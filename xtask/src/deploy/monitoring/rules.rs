//! The rules: what `promtool` says of them, and that each alert is tested and has a page of the runbook.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::RUNBOOK;
use super::prometheus::Rule;
use crate::build::find;
use crate::program::{self, Program};

/// Time for `promtool`. The tests evaluate the rules over days.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The base of all links to the runbook, in a template.
const BASE: &str = "{{ $externalLabels.runbook_base }}";

/// The parts that the description of an alert has.
const PARTS: [&str; 5] = ["Meaning", "Impact", "Look at", "Do", "Afterwards"];

/// Checks the rules, and the example configurations.
pub(super) fn check(promtool: &Path, folder: &Path) -> Result<()> {
    let mut rules = Command::new(promtool);
    program::run(rules.args(["check", "rules"]).args(yaml_files(&folder.join("rules"))?), TIMEOUT)?;
    let mut config = Command::new(promtool);
    program::run(config.args(["check", "config"]).arg(folder.join("prometheus.yml")), TIMEOUT)?;
    // A package of its own, which the rest of the test does not need.
    if let Some(amtool) = find("amtool") {
        let mut config = Command::new(amtool);
        program::run(config.arg("check-config").arg(folder.join("alertmanager.yml")), TIMEOUT)?;
    }
    Ok(())
}

/// Starts the tests of the rules; one program for each file.
pub(super) fn start_tests(promtool: &Path, folder: &Path) -> Result<Vec<Program>> {
    let files = yaml_files(&folder.join("tests"))?;
    ensure!(!files.is_empty(), "there are no tests of the rules");
    let start = |file: &PathBuf| Program::start(Command::new(promtool).args(["test", "rules"]).arg(file));
    files.iter().map(start).collect()
}

/// Waits for the tests of the rules; returns their number.
pub(super) fn finish_tests(tests: Vec<Program>) -> Result<usize> {
    let count = tests.len();
    for test in tests {
        let output = test.finish(TIMEOUT)?;
        ensure!(output.status.success(), "promtool test rules\n{}{}", output.stdout, output.stderr);
    }
    Ok(count)
}

/// Checks that an alert has a severity, texts, a page of the runbook, and a test in which it fires and one in which it does
/// not.
pub(super) fn check_alert(root: &Path, folder: &Path, rule: &Rule) -> Result<()> {
    let alert = &rule.alert;
    let severity = &rule.severity;
    ensure!(["critical", "warning"].contains(&severity.as_str()), "{alert} has the severity `{severity}`");
    let text = |name: &str| rule.annotations[name].as_str().unwrap_or_default();
    for name in ["summary", "description"] {
        ensure!(!text(name).is_empty(), "{alert} has no {name}");
    }
    check_page(root, alert, text("runbook_url"))?;
    let mut tests = String::new();
    for file in yaml_files(&folder.join("tests"))? {
        tests += &fs::read_to_string(file)?;
    }
    let cases = cases(&tests, alert);
    ensure!(cases.contains(&true), "no test has {alert} firing");
    ensure!(cases.contains(&false), "no test has {alert} not firing");
    Ok(())
}

/// Checks that a link leads to a heading of the runbook, whose page has all parts, and that the runbook's table has it.
fn check_page(root: &Path, alert: &str, link: &str) -> Result<()> {
    let path = link.strip_prefix(BASE).and_then(|path| path.split_once('#'));
    let (path, anchor) = path.with_context(|| format!("the link of {alert} is `{link}`"))?;
    ensure!(anchor == alert.to_lowercase(), "the link of {alert} leads to #{anchor}");
    let page = fs::read_to_string(root.join(path)).with_context(|| format!("the page of {alert}, {path}"))?;
    let heading = format!("\n## {alert}\n");
    let (_, section) = page.split_once(&heading).with_context(|| format!("{path} has no heading {alert}"))?;
    let section = section.split("\n## MovieService").next().unwrap_or_default();
    for part in PARTS {
        let is_in_section = section.contains(&format!("**{part}.**"));
        // Alerts that differ only in their windows share these parts.
        let is_shared = page.contains(&format!("\n## {part}\n"));
        ensure!(is_in_section || is_shared, "{path} does not have the part {part} for {alert}");
    }
    let table = fs::read_to_string(root.join(RUNBOOK).join("README.md"))?;
    ensure!(table.contains(&format!("| [{alert}](")), "{RUNBOOK}/README.md has no row for {alert}");
    Ok(())
}

/// Returns for each test of an alert whether it expects the alert.
fn cases(tests: &str, alert: &str) -> Vec<bool> {
    let named = tests.split("- alertname: ").skip(1).filter_map(|case| case.split_once('\n'));
    let cases = named.filter(|(name, _)| *name == alert);
    cases.filter_map(|(_, case)| Some(!case.split_once("exp_alerts:")?.1.starts_with(" []"))).collect()
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_expects_an_alert_unless_its_list_is_empty() {
        let tests = "
      - alertname: Down
        eval_time: 9m
        exp_alerts: []
      - alertname: DownLong
        eval_time: 9m
        exp_alerts:
          - exp_labels: {}
      - alertname: Down
        eval_time: 12m
        exp_alerts:
          - exp_labels: {}
";
        assert_eq!(cases(tests, "Down"), [false, true]);
        assert_eq!(cases(tests, "DownLong"), [true]);
        assert_eq!(cases(tests, "Up"), [true; 0]);
    }

    #[test]
    fn a_link_needs_a_heading_of_its_alert() {
        let check = |alert: &str, link: &str| check_page(&crate::root(), alert, link);
        let page = format!("{BASE}{RUNBOOK}/store.md");
        check("MovieServiceStoreLag", &format!("{page}#movieservicestorelag")).unwrap();
        for (alert, link) in [
            ("MovieServiceStoreLag", page.clone()),
            ("MovieServiceStoreLag", format!("{page}#movieservicedown")),
            ("MovieServiceDown", format!("{page}#movieservicedown")),
            ("MovieServiceStoreLag", "https://docs.example/store.md#movieservicestorelag".to_owned()),
        ] {
            assert!(check(alert, &link).is_err(), "{link}");
        }
    }
}
