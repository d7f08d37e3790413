//! The rules and the dashboard: their tests, and their queries on a real Prometheus.
//!
//! * [`rules`] — `promtool`, and that each alert has two tests and a page of the runbook;
//! * [`dashboard`] — the shape of the dashboard, and its queries;
//! * [`services`] — two services under load;
//! * [`prometheus`] — a Prometheus that scrapes them.

mod dashboard;
mod prometheus;
mod rules;
mod services;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::dashboard::Dashboard;
use self::prometheus::Prometheus;
use self::services::Services;
use super::Outcome;
use crate::build::{Build, programs};
use crate::http;

/// Time in which every query has to return data.
const DATA_TIMEOUT: Duration = Duration::from_secs(45);

/// Folder with the rules, their tests and the dashboard.
const FOLDER: &str = "deploy/monitoring";

/// The document that lists the metrics.
const METRICS: &str = "docs/operations/observe.md";

/// Folder of the pages that the alerts link to.
const RUNBOOK: &str = "docs/operations/runbook";

/// Tests this part.
///
/// # Errors
///
/// If something fails.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let [prometheus, promtool] = match programs([("prometheus", "prometheus"), ("promtool", "prometheus")]) {
        Ok(found) => found,
        Err(missing) => return Ok(Outcome::Skipped(missing.to_string())),
    };
    if let Err(missing) = programs([("openssl", "openssl")]) {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    let folder = build.root.join(FOLDER);
    let dashboard = Dashboard::read(&folder.join("dashboard.json"))?;
    rules::check(&promtool, &folder)?;
    // These take most of the time, and go on meanwhile.
    let tests = rules::start_tests(&promtool, &folder)?;
    let work = build.new_folder("monitoring")?;
    let services = Services::start(build, &work)?;
    let metrics = services.metrics();
    check_documented(&build.root, &metrics)?;
    let prometheus = Prometheus::start(&prometheus, &folder, &work, &metrics)?;
    let loaded = prometheus.rules()?;
    for rule in loaded.iter().filter(|rule| !rule.alert.is_empty()) {
        rules::check_alert(&build.root, &folder, rule)?;
    }
    let records = loaded.iter().filter(|rule| !rule.record.is_empty());
    let records = records.map(|rule| (format!("rule {}", rule.record), rule.record.clone()));
    let queries: Vec<_> = dashboard.queries().into_iter().chain(records).collect();
    let (count, panels) = (queries.len(), dashboard.panels());
    let took = wait_for_data(&prometheus, &services, queries)?;
    check_runbook(&prometheus, &build.root)?;
    prometheus.check_health()?;
    prometheus.check_firing("MovieServiceCertificateExpires", RUNBOOK)?;
    let cases = rules::finish_tests(tests)?;
    services.stop()?;
    println!(
        "  {} rules, {cases} files of tests; {count} queries of {panels} panels and the recording rules have data after {:.0} s",
        loaded.len(),
        took.as_secs_f64()
    );
    Ok(Outcome::Passed)
}

/// Loads the services until each query has returned a value; returns the time that took.
fn wait_for_data(
    prometheus: &Prometheus,
    services: &Services,
    mut queries: Vec<(String, String)>,
) -> Result<Duration> {
    let began = Instant::now();
    let mut round = 0;
    loop {
        services.load(round)?;
        round += 1;
        let mut missing = Vec::new();
        for (name, query) in queries {
            let values = prometheus.query(&query).with_context(|| format!("{name}: {query}"))?;
            if values.iter().all(|value| value.is_nan()) {
                missing.push((name, query));
            }
        }
        if missing.is_empty() {
            return Ok(began.elapsed());
        }
        let list = || missing.iter().map(|(name, query)| format!("{name}: {query}")).collect::<Vec<_>>();
        let is_late = began.elapsed() > DATA_TIMEOUT;
        ensure!(!is_late, "these return no data after {DATA_TIMEOUT:?}:\n{}", list().join("\n"));
        queries = missing;
    }
}

/// Checks that the metrics of the services are those of the table.
fn check_documented(root: &Path, addresses: &[SocketAddr]) -> Result<()> {
    let table = fs::read_to_string(root.join(METRICS))?;
    for &address in addresses {
        let page = http::get(address, "/metrics")?;
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        for name in names {
            ensure!(table.contains(&format!("`{name}`")), "{METRICS} has no row for the metric {name}");
        }
    }
    Ok(())
}

/// Asks the queries of the runbook. They need not return anything: most are about failures.
fn check_runbook(prometheus: &Prometheus, root: &Path) -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(root.join(RUNBOOK))? {
        let path: PathBuf = entry?.path();
        let text = fs::read_to_string(&path)?;
        for block in text.split("```promql\n").skip(1) {
            let query = block.split("```").next().unwrap_or_default().trim();
            prometheus.query(query).with_context(|| format!("{}: {query}", path.display()))?;
            count += 1;
        }
    }
    ensure!(count > 0, "{RUNBOOK} has no queries");
    Ok(())
}
