//! How often a search shows the movie that was meant.

use std::collections::BTreeMap;

use super::judged::{JudgedQuery, Kind};
use super::text::title_key;

/// Lowest shares for a kind of query: of those whose movie is the first hit, and among the first ten.
type Bars = [f64; 2];

/// Sums over queries.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    queries: f64,
    first: f64,
    first_ten: f64,
    reciprocal_ranks: f64,
    without_hits: f64,
}

/// The judgement of one set of queries.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    kinds: BTreeMap<Kind, Sums>,
    all: Sums,
}

impl Sums {
    fn add(&mut self, rank: Option<usize>, has_hits: bool) {
        self.queries += 1.0;
        if let Some(rank) = rank.and_then(|rank| u32::try_from(rank).ok()) {
            self.first += f64::from(u8::from(rank == 0));
            self.first_ten += f64::from(u8::from(rank < 10));
            self.reciprocal_ranks += 1.0 / f64::from(rank + 1);
        }
        self.without_hits += f64::from(u8::from(!has_hits));
    }
}

impl Judgement {
    /// Adds the titles of the first ten hits of a query.
    pub(super) fn add(&mut self, query: &JudgedQuery, titles: &[String]) {
        let meant = title_key(&query.title);
        let rank = titles.iter().take(10).position(|title| title_key(title) == meant);
        self.kinds.entry(query.kind).or_default().add(rank, !titles.is_empty());
        self.all.add(rank, !titles.is_empty());
    }
}

/// Returns the lowest shares of a kind.
fn bars(kind: Kind) -> Bars {
    match kind {
        Kind::Exact => [1.0, 1.0],
        // Beginnings are ambiguous.
        Kind::Prefix => [0.90, 0.977],
        Kind::Drop => [0.773, 0.867],
        Kind::Insert => [0.940, 0.990],
        Kind::Substitute => [0.953, 0.997],
        Kind::Swap => [0.813, 0.870],
        Kind::FirstLetter => [0.343, 0.99],
        Kind::Two => [0.850, 0.887],
        Kind::NoAccent => [0.993, 1.0],
        Kind::NoPunct => [0.967, 0.980],
        Kind::Joined => [0.920, 0.950],
        Kind::Split => [0.970, 1.0],
    }
}

/// Returns a Markdown table with a figure for each judgement in each cell.
pub(super) fn table(names: &[String], judgements: &[Judgement]) -> String {
    let mut table = format!(
        "Queries: {}.\n\n| queries | figure | by set | bar | kept |\n|---|---|---|---|---|\n",
        names.join(", ")
    );
    let mut row = |name: &str, figure: &str, values: Vec<f64>, bar: f64, is_least: bool| {
        let digits = if is_least { 3 } else { 4 };
        // The bars are rounded, too: 0.997 is 299 of 300.
        let rounded = |value: &f64| (value * 1000.0).round() / 1000.0;
        let kept = values.iter().all(|value| if is_least { rounded(value) >= bar } else { *value <= bar });
        let values: Vec<String> = values.iter().map(|value| format!("{value:.digits$}")).collect();
        let sign = if is_least { "≥" } else { "≤" };
        let kept = if kept { "yes" } else { "NO" };
        let row = format!("| {name} | {figure} | {} | {sign} {bar:.3} | {kept} |\n", values.join(", "));
        table.push_str(&row);
    };
    for kind in Kind::ALL {
        let sums: Vec<Sums> =
            judgements.iter().filter_map(|judged| judged.kinds.get(&kind).copied()).collect();
        if sums.is_empty() {
            continue;
        }
        let [first, first_ten] = bars(kind);
        let of = |sum: fn(&Sums) -> f64| sums.iter().map(|sums| sum(sums) / sums.queries).collect();
        row(kind.name(), "S@1", of(|sums| sums.first), first, true);
        row(kind.name(), "S@10", of(|sums| sums.first_ten), first_ten, true);
    }
    let of = |sum: fn(&Sums) -> f64| {
        judgements.iter().map(|judged| sum(&judged.all) / judged.all.queries).collect()
    };
    row("all", "S@1", of(|sums| sums.first), 0.975, true);
    row("all", "S@10", of(|sums| sums.first_ten), 0.994, true);
    row("all", "MRR@10", of(|sums| sums.reciprocal_ranks), 0.983, true);
    row("all", "without a hit", of(|sums| sums.without_hits), 0.003, false);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, title: &str, titles: &[&str]) -> Judgement {
        let mut judgement = Judgement::default();
        let query = JudgedQuery { kind, typed: String::new(), title: title.into() };
        judgement.add(&query, &titles.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>());
        judgement
    }

    #[test]
    fn a_title_that_is_alike_counts_at_its_rank() {
        let second = judged(Kind::Swap, "The Matrix", &["Metric", "matrix"]);
        let table = table(&["1".into()], &[second]);
        assert!(table.contains("| letters swapped | S@1 | 0.000 | ≥ 0.813 | NO |"), "{table}");
        assert!(table.contains("| letters swapped | S@10 | 1.000 | ≥ 0.870 | yes |"), "{table}");
        assert!(table.contains("| all | MRR@10 | 0.500 | ≥ 0.983 | NO |"), "{table}");
        assert!(table.contains("| all | without a hit | 0.0000 | ≤ 0.003 | yes |"), "{table}");
    }

    #[test]
    fn a_bar_is_kept_if_each_set_keeps_it() {
        let sets = [judged(Kind::Exact, "Up", &["Up"]), judged(Kind::Exact, "Up", &[])];
        let table = table(&["1".into(), "2".into()], &sets);
        assert!(table.contains("| exact title | S@1 | 1.000, 0.000 | ≥ 1.000 | NO |"), "{table}");
        assert!(table.contains("| all | without a hit | 0.0000, 1.0000 | ≤ 0.003 | NO |"), "{table}");
    }

    #[test]
    fn a_share_is_compared_as_it_is_printed() {
        let mut set = judged(Kind::Substitute, "Up", &[]);
        for _ in 0..299 {
            let query = JudgedQuery { kind: Kind::Substitute, typed: String::new(), title: "Up".into() };
            set.add(&query, &["Up".to_owned()]);
        }
        let table = table(&["1".into()], &[set]);
        assert!(table.contains("| neighbouring key | S@10 | 0.997 | ≥ 0.997 | yes |"), "{table}");
    }

    #[test]
    fn only_the_first_ten_hits_count() {
        let mut titles = vec!["Down"; 10];
        titles.push("Up");
        let table = table(&["1".into()], &[judged(Kind::Exact, "Up", &titles)]);
        assert!(table.contains("| exact title | S@10 | 0.000 |"), "{table}");
    }
}
