//! The Grafana dashboard: its shape, and its queries. Grafana itself is not run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Columns of a dashboard.
const COLUMNS: u32 = 24;

/// Lowest version of the schema that the panels are in: that of Grafana 12.
const MIN_SCHEMA: u32 = 41;

/// The values of the dashboard's variables in a query.
const VARIABLES: [(&str, &str); 5] = [
    ("$job", "movie-service"),
    ("$namespace", ".*"),
    ("$instance", ".*"),
    ("$method", ".*"),
    ("$__rate_interval", "10s"),
];

/// The dashboard.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dashboard {
    title: String,
    uid: String,
    schema_version: u32,
    panels: Vec<Panel>,
    templating: Templating,
}

#[derive(Debug, Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    id: u32,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default)]
    description: String,
    grid_pos: Position,
    datasource: Option<Datasource>,
    #[serde(default)]
    field_config: Value,
    #[serde(default)]
    targets: Vec<Target>,
}

/// A rectangle of the grid.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Position {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    ref_id: String,
    expr: String,
    datasource: Datasource,
}

#[derive(Debug, Deserialize)]
struct Datasource {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
}

impl Dashboard {
    /// Reads a dashboard, and checks its shape.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let dashboard: Self = serde_json::from_str(text)?;
        ensure!(!dashboard.title.is_empty() && !dashboard.uid.is_empty(), "it has no title or no uid");
        let version = dashboard.schema_version;
        ensure!(version >= MIN_SCHEMA, "its schemaVersion is {version}, expected {MIN_SCHEMA} or more");
        let names: Vec<_> = dashboard.templating.list.iter().map(|variable| variable.name.as_str()).collect();
        ensure!(
            names == ["datasource", "job", "namespace", "instance", "method"],
            "its variables are {names:?}"
        );
        let mut ids = BTreeSet::new();
        for (index, panel) in dashboard.panels.iter().enumerate() {
            panel.check().with_context(|| format!("panel {} ({})", panel.id, panel.title))?;
            ensure!(ids.insert(panel.id), "two panels have the id {}", panel.id);
            for other in &dashboard.panels[..index] {
                let overlap = panel.grid_pos.overlaps(other.grid_pos);
                ensure!(!overlap, "the panels {} and {} overlap", other.id, panel.id);
            }
        }
        Ok(dashboard)
    }

    /// Returns the number of panels with queries.
    pub(super) fn panels(&self) -> usize {
        self.panels.iter().filter(|panel| !panel.is_row()).count()
    }

    /// Returns the name of each query, and the query with values for its variables.
    pub(super) fn queries(&self) -> Vec<(String, String)> {
        let queries = self.panels.iter().flat_map(|panel| {
            panel.targets.iter().map(|target| {
                (format!("panel {}, query {}", panel.title, target.ref_id), substituted(&target.expr))
            })
        });
        queries.collect()
    }
}

impl Panel {
    fn is_row(&self) -> bool {
        self.kind == "row"
    }

    fn check(&self) -> Result<()> {
        let Position { x, w, h, .. } = self.grid_pos;
        ensure!(w > 0 && h > 0 && x + w <= COLUMNS, "it is outside of the grid");
        ensure!(!self.title.is_empty(), "it has no title");
        if self.is_row() {
            return Ok(());
        }
        ensure!(["timeseries", "stat"].contains(&self.kind.as_str()), "its type is {}", self.kind);
        ensure!(self.description.ends_with('.'), "its description is no sentence");
        let unit = self.field_config["defaults"]["unit"].as_str().unwrap_or_default();
        ensure!(!unit.is_empty(), "it has no unit");
        ensure!(!self.targets.is_empty(), "it has no query");
        let is_variable = self.datasource.as_ref().is_some_and(Datasource::is_variable);
        ensure!(is_variable, "its data source is not the variable");
        let mut ids = BTreeSet::new();
        for Target { ref_id, expr, datasource } in &self.targets {
            ensure!(ids.insert(ref_id), "two queries have the refId {ref_id}");
            ensure!(datasource.is_variable(), "the data source of the query {ref_id} is not the variable");
            let rest = substituted(expr);
            if let Some((_, unknown)) = rest.split_once('$') {
                bail!("the query {ref_id} has an unknown variable: ${unknown}");
            }
        }
        Ok(())
    }
}

impl Datasource {
    /// Returns whether the reader of the dashboard chooses the data source.
    fn is_variable(&self) -> bool {
        self.kind == "prometheus" && self.uid == "${datasource}"
    }
}

impl Position {
    fn overlaps(self, other: Self) -> bool {
        let apart = |start: u32, size: u32, other: u32, its_size: u32| {
            start + size <= other || other + its_size <= start
        };
        !apart(self.x, self.w, other.x, other.w) && !apart(self.y, self.h, other.y, other.h)
    }
}

/// Returns a query with values for its variables.
fn substituted(query: &str) -> String {
    VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the error of the dashboard after this text is replaced.
    fn error_with(from: &str, to: &str) -> String {
        let path = crate::root().join(super::super::FOLDER).join("dashboard.json");
        let text = fs::read_to_string(path).unwrap();
        Dashboard::parse(&text).unwrap();
        assert!(text.contains(from), "{from}");
        format!("{:#}", Dashboard::parse(&text.replacen(from, to, 1)).unwrap_err())
    }

    #[test]
    fn a_dashboard_of_another_shape_is_refused() {
        assert!(error_with("\"id\": 2,", "\"id\": 1,").contains("two panels have the id 1"));
        assert!(error_with("\"x\": 4,", "\"x\": 3,").contains("overlap"));
        assert!(error_with("\"w\": 24,", "\"w\": 25,").contains("outside of the grid"));
        assert!(error_with("${datasource}", "abc").contains("is not the variable"));
        assert!(error_with("$method", "$rpc").contains("unknown variable: $rpc"));
        assert!(error_with("\"unit\": \"percentunit\"", "\"unit\": \"\"").contains("no unit"));
        assert!(error_with("\"schemaVersion\": 41", "\"schemaVersion\": 27").contains("schemaVersion is 27"));
    }

    #[test]
    fn positions_that_touch_do_not_overlap() {
        let at = |x, y| Position { x, y, w: 8, h: 4 };
        for (x, y, overlaps) in [(0, 0, true), (8, 0, false), (7, 3, true), (0, 4, false), (7, 4, false)] {
            assert_eq!(at(0, 0).overlaps(at(x, y)), overlaps, "{x} {y}");
            assert_eq!(at(x, y).overlaps(at(0, 0)), overlaps, "{x} {y}");
        }
    }
}
