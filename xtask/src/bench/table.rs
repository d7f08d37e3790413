//! Table of results.

/// Limit of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// Highest ratio.
    MaxRatio(f64),
    /// Highest figure of the service.
    MaxFigure(f64),
    /// Lowest ratio.
    MinRatio(f64),
    /// No limit: the figure explains another one.
    None,
}

/// Rows of cells.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    /// The figure, its value, that which it is compared with, the ratio, and the bar.
    cells: [String; 5],
    /// Whether the bar is met; `None` without a bar, or if the figure is not a number.
    is_met: Option<bool>,
}

impl Table {
    /// Adds a figure of the service and its peer.
    pub(super) fn pair(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar) {
        self.row(figure, unit, rounds, bar, "");
    }

    /// Adds a figure of the service compared with another figure of the service.
    pub(super) fn ours(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar) {
        self.row(figure, unit, rounds, bar, "ours: ");
    }

    /// Adds a figure without a comparison.
    pub(crate) fn single(&mut self, figure: &str, unit: &str, value: f64, bar: Bar) {
        let (bar, is_met) = judge(bar, value, f64::NAN);
        self.push([figure.into(), number(value, unit), String::new(), String::new(), bar], is_met);
    }

    /// Adds a figure of the service compared with another figure, which `other` names.
    pub(crate) fn row(&mut self, figure: &str, unit: &str, rounds: &[[f64; 2]], bar: Bar, other: &str) {
        let ours = median(rounds.iter().map(|round| round[0]));
        let theirs = median(rounds.iter().map(|round| round[1]));
        let ratio = median(rounds.iter().map(|round| round[0] / round[1]));
        let (bar, is_met) = judge(bar, ours, ratio);
        let [theirs, ratio] = if theirs.is_nan() {
            [format!("{other}–"), String::new()]
        } else {
            [format!("{other}{}", number(theirs, unit)), format!("{ratio:.3}")]
        };
        self.push([figure.into(), number(ours, unit), theirs, ratio, bar], is_met);
    }

    fn push(&mut self, cells: [String; 5], is_met: Option<bool>) {
        eprintln!("{}: {} {} {}", cells[0], cells[1], cells[2], cells[3]);
        self.0.push(Row { cells, is_met });
    }

    /// Prints the rows as a Markdown table, and the missed bars. `columns` are the headings of the figure and of the one that it is
    /// compared with.
    pub(crate) fn print(&self, [ours, other]: [&str; 2]) {
        println!("\n| figure | {ours} | {other} | ratio | bar | met |\n|---|---|---|---|---|---|");
        for Row { cells, is_met } in &self.0 {
            let met = is_met.map_or("", |is_met| if is_met { "yes" } else { "NO" });
            println!("| {} | {met} |", cells.join(" | "));
        }
        println!("\n{}", self.verdict());
    }

    /// Returns the number of missed bars.
    pub(crate) fn missed(&self) -> usize {
        self.0.iter().filter(|row| row.is_met == Some(false)).count()
    }

    /// Says which bars are missed.
    fn verdict(&self) -> String {
        let bars = self.0.iter().filter(|row| row.is_met.is_some()).count();
        if self.missed() == 0 {
            return format!("All bars are met: {bars}.");
        }
        let missed = self.0.iter().filter(|row| row.is_met == Some(false));
        let lines = missed.map(|Row { cells: [figure, ours, _, ratio, bar], .. }| {
            let ratio = if ratio.is_empty() { String::new() } else { format!(", ratio {ratio}") };
            format!("\n* {figure}: {ours}{ratio}; the bar is {bar}")
        });
        format!("{} of {bars} bars are missed:{}", self.missed(), lines.collect::<String>())
    }
}

/// Returns the description of a limit, and whether the figure is within it.
fn judge(bar: Bar, ours: f64, ratio: f64) -> (String, Option<bool>) {
    let (words, judged, is_met) = match bar {
        Bar::MaxRatio(max) => (format!("ratio ≤ {max}"), ratio, ratio <= max),
        Bar::MaxFigure(max) => (format!("≤ {max}"), ours, ours <= max),
        Bar::MinRatio(min) => (format!("ratio ≥ {min}"), ratio, ratio >= min),
        Bar::None => return (String::new(), None),
    };
    // A figure is not a number if the peer is not installed.
    (words, (!judged.is_nan()).then_some(is_met))
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
    let number = match value {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// Returns the middle value.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50)
}

/// Returns the smallest value that is greater than this share of the values, in hundredths.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, hundredths: usize) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() * hundredths / 100).or(values.last()).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert!((median([5.0, 1.0, 3.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_percentile_is_a_value_of_the_list() {
        let values = || (0..200).rev().map(f64::from);
        assert!((percentile(values(), 99) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(values(), 100) - 199.0).abs() < f64::EPSILON);
        assert!(percentile([], 99).is_nan());
    }

    #[test]
    fn a_figure_outside_its_limit_is_marked() {
        assert_eq!(judge(Bar::MaxRatio(0.4), 9.0, 0.5), ("ratio ≤ 0.4".into(), Some(false)));
        assert_eq!(judge(Bar::MaxFigure(10.0), 9.0, 5.0), ("≤ 10".into(), Some(true)));
        assert_eq!(judge(Bar::MinRatio(10.0), 9.0, 5.0), ("ratio ≥ 10".into(), Some(false)));
    }

    #[test]
    fn a_bar_without_its_peer_is_neither_met_nor_missed() {
        let mut table = Table::default();
        table.pair("CPU", "µs", &[[2.0, f64::NAN]], Bar::MaxRatio(0.5));
        assert_eq!((table.missed(), table.0[0].is_met), (0, None));
        assert_eq!(table.0[0].cells[2], "–");
    }

    #[test]
    fn missed_bars_are_listed_with_their_figures() {
        let mut table = Table::default();
        table.single("memory", "MB", 90.0, Bar::MaxFigure(100.0));
        assert_eq!(table.verdict(), "All bars are met: 1.");
        table.pair("CPU", "µs", &[[2.0, 4.0]], Bar::MaxRatio(0.25));
        table.single("threads", "", 3.0, Bar::None);
        let verdict = "1 of 2 bars are missed:\n* CPU: 2.00 µs, ratio 0.500; the bar is ratio ≤ 0.25";
        assert_eq!(table.verdict(), verdict);
    }
}
