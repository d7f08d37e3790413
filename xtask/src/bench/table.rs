//! Table of results.

/// Limit of a figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bar {
    /// Highest ratio.
    Ratio(f64),
    /// Highest figure of the service.
    Ours(f64),
    /// Lowest ratio.
    AtLeast(f64),
    /// No limit: the figure explains another one.
    None,
}

/// Rows of cells.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<[String; 6]>);

impl Table {
    /// Adds a figure of the service and the naive server.
    pub(super) fn pair(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar) {
        self.row(figure, unit, rounds, bar, "");
    }

    /// Adds a figure of the service compared with another figure of the service.
    pub(super) fn ours(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar) {
        self.row(figure, unit, rounds, bar, "ours: ");
    }

    /// Adds a figure without a comparison.
    pub(super) fn single(&mut self, figure: &str, unit: &str, value: f64, bar: Bar) {
        let (bar, kept) = judge(bar, value, f64::NAN);
        self.push([figure.into(), number(value, unit), String::new(), String::new(), bar, kept]);
    }

    /// Adds a figure of the service compared with another figure, which `other` names.
    pub(super) fn row(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar, other: &str) {
        let ours = median(rounds.iter().map(|round| round[0]));
        let theirs = median(rounds.iter().map(|round| round[1]));
        let ratio = median(rounds.iter().map(|round| round[0] / round[1]));
        let (bar, kept) = judge(bar, ours, ratio);
        let theirs = format!("{other}{}", number(theirs, unit));
        self.push([figure.into(), number(ours, unit), theirs, format!("{ratio:.3}"), bar, kept]);
    }

    fn push(&mut self, row: [String; 6]) {
        eprintln!("{}: {} {} {}", row[0], row[1], row[2], row[3]);
        self.0.push(row);
    }

    /// Prints the rows as a Markdown table. `columns` are the headings of the figure and of the one that it is compared with.
    pub(super) fn print(&self, [ours, other]: [&str; 2]) {
        println!("\n| figure | {ours} | {other} | ratio | bar | kept |\n|---|---|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// Returns the description of a limit, and whether the figure is within it.
fn judge(bar: Bar, ours: f64, ratio: f64) -> (String, String) {
    let (words, kept) = match bar {
        Bar::Ratio(most) => (format!("ratio ≤ {most}"), ratio <= most),
        Bar::Ours(most) => (format!("≤ {most}"), ours <= most),
        Bar::AtLeast(least) => (format!("ratio ≥ {least}"), ratio >= least),
        Bar::None => return (String::new(), String::new()),
    };
    (words, if kept { "yes" } else { "NO" }.into())
}

/// Formats a number of movies.
pub(super) fn count(movies: u64) -> String {
    match movies {
        1_000_000.. => format!("{}M", movies / 1_000_000),
        1000.. => format!("{}k", movies / 1000),
        _ => movies.to_string(),
    }
}

fn number(value: f64, unit: &str) -> String {
    match value {
        100.0.. => format!("{value:.0} {unit}"),
        1.0.. => format!("{value:.2} {unit}"),
        _ => format!("{value:.4} {unit}"),
    }
}

/// Returns the middle value.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert!((median([5.0, 1.0, 3.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_figure_outside_its_limit_is_marked() {
        assert_eq!(judge(Bar::Ratio(0.4), 9.0, 0.5), ("ratio ≤ 0.4".into(), "NO".into()));
        assert_eq!(judge(Bar::Ours(10.0), 9.0, 5.0), ("≤ 10".into(), "yes".into()));
        assert_eq!(judge(Bar::AtLeast(10.0), 9.0, 5.0), ("ratio ≥ 10".into(), "NO".into()));
    }
}
