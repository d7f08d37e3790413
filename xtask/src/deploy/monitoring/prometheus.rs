//! A Prometheus that scrapes services once a second, with the rules.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::bench::process::free_addresses;
use crate::deploy::example;
use crate::program::Program;
use crate::{http, wait};

/// Time to start, and to evaluate a rule.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running Prometheus. It is killed when this is dropped.
pub(super) struct Prometheus {
    address: SocketAddr,
    _program: Program,
}

/// A rule, as Prometheus has loaded it.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Name of a recording rule; empty for an alert.
    pub(super) record: String,
    /// Name of an alert; empty for a recording rule.
    pub(super) alert: String,
    /// Labels of an alert.
    pub(super) severity: String,
    /// Annotations of an alert, with their templates.
    pub(super) annotations: Value,
    health: String,
    error: String,
}

#[derive(Deserialize)]
struct Response {
    status: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error: String,
}

impl Prometheus {
    /// Starts Prometheus with the example configuration of `folder`, for the services with these metrics.
    pub(super) fn start(program: &Path, folder: &Path, work: &Path, metrics: &[SocketAddr]) -> Result<Self> {
        let config = work.join("prometheus.yml");
        let substitutes = vec![
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            ("evaluation_interval: 30s", "evaluation_interval: 1s".to_owned()),
            ("rules/*.yaml", folder.join("rules/*.yaml").display().to_string()),
            (r#"["films-1.example:9000", "films-2.example:9000"]"#, serde_json::to_string(metrics)?),
            (r#"["alertmanager.example:9093"]"#, "[]".to_owned()),
        ];
        example::write(&folder.join("prometheus.yml"), &substitutes, &config)?;
        let [address] = free_addresses()?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", work.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}"));
        let program = Program::start(&mut command)?;
        let is_ready = || http::get(address, "/-/ready").map(drop);
        if let Err(error) = wait::until("Prometheus is ready", TIMEOUT, is_ready) {
            let log = program.stop(Duration::from_secs(5));
            return Err(error.context(log.map_or_else(|error| error.to_string(), |output| output.stderr)));
        }
        Ok(Self { address, _program: program })
    }

    /// Returns the values of a query: one for each series.
    pub(super) fn query(&self, query: &str) -> Result<Vec<f64>> {
        let mut form = "query=".to_owned();
        for byte in query.bytes() {
            // Writing to a string does not fail.
            let _ = write!(form, "%{byte:02X}");
        }
        let head = "POST /api/v1/query\r\ncontent-type: application/x-www-form-urlencoded";
        let (_, body) = http::exchange(self.address, head, &form)?;
        let data = data(&body)?;
        if data["resultType"] == "scalar" {
            return value(&data["result"]).map(|value| vec![value]);
        }
        let series = data["result"].as_array().context("the result is no vector")?;
        series.iter().map(|series| value(&series["value"])).collect()
    }

    /// Returns the rules.
    pub(super) fn rules(&self) -> Result<Vec<Rule>> {
        let data = data(&http::get(self.address, "/api/v1/rules")?)?;
        let groups = data["groups"].as_array().context("there are no groups of rules")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
        Ok(rules.map(Rule::new).collect())
    }

    /// Checks that each rule was evaluated without an error.
    pub(super) fn check_health(&self) -> Result<()> {
        wait::until("each rule is evaluated", TIMEOUT, || {
            let rules = self.rules()?;
            let Some(rule) = rules.iter().find(|rule| rule.health != "ok") else { return Ok(()) };
            let name = if rule.record.is_empty() { &rule.alert } else { &rule.record };
            bail!("the health of the rule {name} is {}: {}", rule.health, rule.error)
        })
    }

    /// Checks that an alert fires, with a link to a page of the runbook below the base of the configuration, and that no other
    /// one does. Whether calls are slow depends on the machine, and a scrape that is late on it makes an alert pending.
    pub(super) fn check_firing(&self, alert: &str, runbook: &str) -> Result<()> {
        let data = data(&http::get(self.address, "/api/v1/alerts")?)?;
        let alerts = data["alerts"].as_array().context("there are no alerts")?;
        let firing = alerts.iter().filter(|found| found["state"] == "firing");
        let name = |found: &Value| found["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        let is_expected = |name: &str| name == alert || name.starts_with("MovieServiceLatencyBudgetBurn");
        let others: Vec<_> = firing.clone().map(name).filter(|name| !is_expected(name)).collect();
        ensure!(others.is_empty(), "these alerts fire without a cause: {others:?}");
        let mut firing = firing;
        let found = firing
            .find(|found| found["labels"]["alertname"] == alert)
            .with_context(|| format!("{alert} does not fire\n{data}"))?;
        let link = found["annotations"]["runbook_url"].as_str().unwrap_or_default();
        let base = format!("https://docs.example/movie-service/{runbook}/");
        ensure!(link.starts_with(&base), "the link of {alert} is {link}, expected {base}…");
        Ok(())
    }
}

impl Rule {
    fn new(rule: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&rule["name"]);
        let (record, alert) =
            if rule["type"] == "alerting" { (String::new(), name) } else { (name, String::new()) };
        Self {
            record,
            alert,
            severity: text(&rule["labels"]["severity"]),
            annotations: rule["annotations"].clone(),
            health: text(&rule["health"]),
            error: text(&rule["lastError"]),
        }
    }
}

/// Returns the data of a response.
fn data(body: &str) -> Result<Value> {
    let response: Response = serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?;
    ensure!(response.status == "success", "Prometheus says: {}", response.error);
    Ok(response.data)
}

/// Returns the value of a sample: a time and a number as text.
fn value(sample: &Value) -> Result<f64> {
    let text = sample[1].as_str().with_context(|| format!("not a sample: {sample}"))?;
    Ok(text.replace("Inf", "inf").parse()?)
}
