//! What people and programs are told in the end.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serializer;
use serde_json::{Value, json};

use super::args::Bench;
use super::statistics::Statistics;
use crate::cli::output::{Form, Format};

/// The percentiles that are told, with the names that people and programs know them by.
const PERCENTILES: [(&str, &str, f64); 4] = [
    ("p50", "latency_p50_us", 0.5),
    ("p90", "latency_p90_us", 0.9),
    ("p99", "latency_p99_us", 0.99),
    ("p99.9", "latency_p99_9_us", 0.999),
];

/// How many bars show how the latencies are spread.
const BARS: i32 = 10;

/// The longest bar, on a wide enough terminal.
const LONGEST_BAR: usize = 40;

/// What people and programs are told in the end.
pub(super) struct Report<'a> {
    pub(super) args: &'a Bench,
    /// How long calls counted.
    pub(super) time: Duration,
    pub(super) statistics: Statistics,
    /// The calls that had no answer yet when the measurement was interrupted.
    pub(super) unfinished: u64,
    pub(super) was_interrupted: bool,
}

impl Report<'_> {
    /// Prints it.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn write(&self, form: &Form, out: &mut impl io::Write) -> io::Result<()> {
        match form.format {
            Format::Text | Format::Table => self.write_text(form.width, out),
            Format::Json => {
                serde_json::Serializer::pretty(&mut *out).collect_map(self.facts())?;
                writeln!(out)
            }
            Format::Ndjson => {
                serde_json::Serializer::new(&mut *out).collect_map(self.facts())?;
                writeln!(out)
            }
            Format::Csv => self.write_csv(out),
        }
    }

    /// Returns everything by its name. Names are for programs: none changes, and units are in them.
    fn facts(&self) -> Vec<(&'static str, Value)> {
        let Self { args, time, statistics, .. } = self;
        let latency = &statistics.latency;
        let errors =
            statistics.failures.iter().map(|(kind, failures)| ((*kind).to_owned(), failures.count.into()));
        let mut facts = vec![
            ("call", args.call.name().into()),
            ("connections", args.connections.into()),
            ("concurrency", args.rate.is_none().then_some(args.concurrency).into()),
            ("target_rate_per_s", args.rate.into()),
            ("duration_s", rounded(time.as_secs_f64())),
            ("interrupted", self.was_interrupted.into()),
            ("calls", statistics.ended().into()),
            ("answered", statistics.answered.into()),
            ("wrong", statistics.wrong.into()),
            ("failed", statistics.failed().into()),
            ("unfinished", self.unfinished.into()),
            ("errors", Value::Object(errors.collect())),
            ("rate_per_s", rounded(per_second(statistics.answered, *time))),
            ("movies_per_s", rounded(per_second(statistics.movies, *time))),
        ];
        let some = |value| if latency.is_empty() { Value::Null } else { value };
        facts.push(("latency_min_us", some(latency.min().into())));
        facts.push(("latency_mean_us", some(rounded(latency.mean()))));
        for (_, name, quantile) in PERCENTILES {
            facts.push((name, some(latency.value_at_quantile(quantile).into())));
        }
        facts.push(("latency_max_us", some(latency.max().into())));
        facts
    }

    fn write_csv(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(["name", "value"])?;
        for (name, value) in self.facts() {
            match value {
                Value::Object(parts) => {
                    for (part, value) in parts {
                        csv.write_record([format!("{name}_{part}"), value.to_string()])?;
                    }
                }
                Value::Null => csv.write_record([name, ""])?,
                Value::String(text) => csv.write_record([name, &text])?,
                value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                    csv.write_record([name, &value.to_string()])?;
                }
            }
        }
        csv.flush()
    }

    fn write_text(&self, width: Option<usize>, out: &mut impl io::Write) -> io::Result<()> {
        let Self { args, time, statistics, .. } = self;
        let latency = &statistics.latency;
        let per_second = |count| per_second(count, *time);
        let connections = counted(args.connections.into(), "connection");
        let load = match args.rate {
            Some(rate) => format!("{rate} calls/s on {connections}"),
            None => format!("{} at once on {connections}", counted(args.concurrency.into(), "call")),
        };
        let end = if self.was_interrupted { ", interrupted" } else { "" };
        writeln!(out, "call        {}, {load}", args.call.name())?;
        writeln!(out, "time        {:.3} s{end}", time.as_secs_f64())?;
        writeln!(out, "answered    {}, {:.1}/s", statistics.answered, per_second(statistics.answered))?;
        if args.call.is_list() {
            writeln!(out, "movies      {}, {:.1}/s", statistics.movies, per_second(statistics.movies))?;
        }
        writeln!(out, "wrong       {}", statistics.wrong)?;
        writeln!(out, "failed      {}", statistics.failed())?;
        for (kind, failures) in &statistics.failures {
            writeln!(out, "  {:>8}  {kind}: {}", failures.count, failures.first)?;
        }
        if self.unfinished > 0 {
            writeln!(out, "unfinished  {}", self.unfinished)?;
        }
        if latency.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nlatency           ms")?;
        writeln!(out, "min     {:>12}", millis(latency.min()))?;
        writeln!(out, "mean    {:>12.3}", latency.mean() / 1e3)?;
        for (name, _, quantile) in PERCENTILES {
            writeln!(out, "{name:<8}{:>12}", millis(latency.value_at_quantile(quantile)))?;
        }
        writeln!(out, "max     {:>12}", millis(latency.max()))?;
        writeln!(out, "\nup to             ms     calls")?;
        let buckets = buckets(latency);
        let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let longest = width.map_or(LONGEST_BAR, |width| width.saturating_sub(32).min(LONGEST_BAR));
        for (limit, count) in buckets {
            let line = format!("{:>20.3}{count:>10}  {}", limit / 1e3, bar(count, most, longest));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Returns how many there are a second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { float(count) / time.as_secs_f64() }
}

/// Formats microseconds as milliseconds.
pub(super) fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// Counts the latencies up to limits, in microseconds, each of which is by the same factor above the one before: that
/// shows something of those that are close together as well as of those that are far apart.
fn buckets(latency: &Histogram<u64>) -> Vec<(f64, u64)> {
    let (min, max) = (float(latency.min().max(1)), float(latency.max().max(1)));
    // Those that the histogram does not tell apart need no bars.
    let bars = if latency.equivalent(latency.min(), latency.max()) { 1 } else { BARS };
    let limit = |bar| min * (max / min).powf(f64::from(bar) / f64::from(bars));
    let mut buckets: Vec<_> = (1..=bars).map(|bar| (limit(bar), 0)).collect();
    for value in latency.iter_recorded() {
        let micros = float(value.value_iterated_to());
        let place = buckets.partition_point(|(limit, _)| *limit < micros).min(buckets.len() - 1);
        buckets[place].1 += value.count_at_value();
    }
    buckets
}

/// Draws a bar that is as long as `longest` for `most`. What is there at all is seen.
fn bar(count: u64, most: u64, longest: usize) -> String {
    let length = u128::from(count) * longest as u128 / u128::from(most.max(1));
    let length = usize::try_from(length).unwrap_or(longest);
    "█".repeat(length.max(usize::from(count > 0)))
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Leaves three digits behind the point: more would say more than was measured.
fn rounded(number: f64) -> Value {
    json!((number * 1e3).round() / 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 calls")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::cli::bench::args::Call;
    use crate::cli::bench::calls::Answer;

    fn args(rate: Option<u32>, call: Call) -> Bench {
        Bench {
            call,
            rate,
            connections: 1,
            concurrency: 10,
            duration: None,
            calls: None,
            warm_up: Duration::ZERO,
        }
    }

    fn printed(args: &Bench, latencies: &[u64], format: Format) -> String {
        let mut statistics = Statistics::new();
        for millis in latencies {
            statistics.record(Ok(Answer { movies: 1, is_right: true }), Duration::from_millis(*millis));
        }
        if latencies.is_empty() {
            let message = "busy".to_owned();
            statistics.record(Err(Error::TooMuch { address: "a:1".into(), message }), Duration::ZERO);
        }
        let time = Duration::from_millis(2500);
        let report = Report { args, time, statistics, unfinished: 0, was_interrupted: false };
        let mut out = Vec::new();
        report.write(&Form { format, width: Some(50), colours: false }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_see_lines_that_fit_and_a_bar_for_every_bucket() {
        let text = printed(&args(None, Call::Get), &[20, 20, 20, 20, 500], Format::Table);
        assert!(text.starts_with(
            "call        GetMovie, 10 calls at once on 1 connection\ntime        2.500 s\nanswered    5, 2.0/s\n"
        ));
        let bars: Vec<_> = text.lines().filter(|line| line.contains('█')).collect();
        assert_eq!(bars.len(), 2, "{text}");
        assert!(bars[0].ends_with(&format!("         4  {}", "█".repeat(18))), "{text}");
        assert!(bars[1].starts_with("             500.") && bars[1].ends_with("         1  ████"), "{text}");
        assert_eq!(text.lines().skip_while(|line| !line.starts_with("up to")).count(), 11, "{text}");
    }

    #[test]
    fn one_latency_is_one_bucket() {
        let text = printed(&args(None, Call::Get), &[7], Format::Text);
        assert_eq!(text.lines().skip_while(|line| !line.starts_with("up to")).count(), 2, "{text}");
    }

    #[test]
    fn programs_find_every_name_whatever_was_measured() {
        let names = |text: &str| -> Vec<String> {
            let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
            object.into_iter().map(|(name, _)| name).collect()
        };
        let loads = [(None, Call::Get), (Some(100), Call::CourseList)];
        let texts = loads.map(|(rate, call)| printed(&args(rate, call), &[20, 30], Format::Ndjson));
        let none = printed(&args(None, Call::Get), &[], Format::Json);
        assert!(texts.iter().all(|text| text.ends_with("}\n") && text.lines().count() == 1));
        assert!(texts.iter().all(|text| names(text) == names(&none)), "{texts:?}\n{none}");
        let value: Value = serde_json::from_str(&texts[1]).unwrap();
        assert_eq!(value["rate_per_s"], 0.8);
        assert_eq!(value["target_rate_per_s"], 100);
        assert!(value["latency_p50_us"].as_u64().unwrap() >= 20_000);
        let value: Value = serde_json::from_str(&none).unwrap();
        assert_eq!(value["errors"], json!({ "too_much": 1 }));
        assert_eq!(value["latency_p99_9_us"], Value::Null);
    }

    #[test]
    fn csv_is_a_name_and_a_value_a_line() {
        let csv = printed(&args(None, Call::Page), &[], Format::Csv);
        assert!(csv.starts_with("name,value\ncall,ListMovies\nconnections,1\n"), "{csv}");
        assert!(csv.contains("\nerrors_too_much,1\n") && csv.contains("\ntarget_rate_per_s,\n"), "{csv}");
    }

    #[test]
    fn what_failed_is_told_with_an_example() {
        let text = printed(&args(Some(7), Call::Page), &[], Format::Text);
        assert!(text.contains("ListMovies, 7 calls/s on 1 connection\n"), "{text}");
        assert!(text.ends_with("failed      1\n         1  too_much: a:1 refuses so much: busy\n"), "{text}");
    }
}
