//! Report of a measurement.

use std::io;
use std::time::Duration;

use serde::Serializer;
use serde_json::{Value, json};

use super::args::Bench;
use super::latency::{LatencySummary, PERCENTILES, buckets, float};
use super::statistics::Statistics;
use crate::cli::output::{Format, OutputOptions};

/// Width of the longest bar on a wide terminal, in columns.
const MAX_BAR_COLUMNS: usize = 40;

/// Shortest wait for the last responses that is reported to people.
const MIN_REPORTED_DRAIN: Duration = Duration::from_millis(10);

/// Report of a measurement.
pub(super) struct Report<'a> {
    pub(super) args: &'a Bench,
    /// Number of addresses.
    pub(super) addresses: usize,
    /// Duration of the measurement, on which the rates are based.
    pub(super) time: Duration,
    /// Time of waiting for the last responses afterwards.
    pub(super) drain: Duration,
    /// Number of calls sent per second.
    pub(super) sent_per_second: f64,
    pub(super) statistics: Statistics,
    pub(super) was_interrupted: bool,
}

impl Report<'_> {
    /// Returns a warning if fewer than 99% of the requested rate were sent.
    pub(super) fn shortfall(&self) -> Option<String> {
        let rate = self.args.rate.filter(|rate| self.sent_per_second < 0.99 * f64::from(*rate))?;
        let made = self.sent_per_second;
        Some(format!("only {made:.0} of {rate} calls/s were sent: this machine or the service is too slow"))
    }

    /// Prints the report.
    ///
    /// # Errors
    ///
    /// The errors of `out`.
    pub(super) fn write(&self, options: &OutputOptions, out: &mut impl io::Write) -> io::Result<()> {
        match options.format {
            Format::Text | Format::Table => self.write_text(options.width, out),
            Format::Json => {
                serde_json::Serializer::pretty(&mut *out).collect_map(self.properties())?;
                writeln!(out)
            }
            Format::Ndjson => {
                serde_json::Serializer::new(&mut *out).collect_map(self.properties())?;
                writeln!(out)
            }
            Format::Csv => self.write_csv(out),
        }
    }

    /// Returns all values by key. Programs depend on the keys, which contain their units.
    fn properties(&self) -> Vec<(&'static str, Value)> {
        let Self { args, time, statistics, .. } = self;
        let errors =
            statistics.failures.iter().map(|(kind, failures)| ((*kind).to_owned(), failures.count.into()));
        let sent_per_second = args.rate.map(|_| rounded(self.sent_per_second));
        let mut properties = vec![
            ("call", args.call.name().into()),
            ("connections", args.connections.into()),
            ("addresses", self.addresses.into()),
            ("concurrency", args.rate.is_none().then_some(args.concurrency).into()),
            ("target_rate_per_s", args.rate.into()),
            ("made_per_s", sent_per_second.into()),
            ("duration_s", rounded(time.as_secs_f64())),
            ("drain_s", rounded(self.drain.as_secs_f64())),
            ("interrupted", self.was_interrupted.into()),
            ("calls", statistics.ended().into()),
            ("answered", statistics.answered.into()),
            ("wrong", statistics.wrong.into()),
            ("failed", statistics.failed().into()),
            ("unfinished", statistics.unfinished.into()),
            ("not_sent", statistics.not_sent.into()),
            ("errors", Value::Object(errors.collect())),
            ("rate_per_s", rounded(per_second(statistics.rate.responses, *time))),
            ("movies_per_s", rounded(per_second(statistics.rate.movies, *time))),
        ];
        let latencies = LatencySummary::of(statistics);
        let value_of = |value: fn(&LatencySummary) -> Value| latencies.as_ref().map_or(Value::Null, value);
        properties.push(("latency_min_us", value_of(|latencies| latencies.min.into())));
        properties.push(("latency_mean_us", value_of(|latencies| rounded(latencies.mean))));
        for (index, (_, name, _)) in PERCENTILES.into_iter().enumerate() {
            let value = latencies.as_ref().map(|latencies| latencies.percentiles[index].2);
            properties.push((name, value.into()));
        }
        properties.push(("latency_max_us", value_of(|latencies| latencies.max.into())));
        properties
    }

    fn write_csv(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(["name", "value"])?;
        for (name, value) in self.properties() {
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
        let rate = statistics.rate;
        let per_second = |count| per_second(count, *time);
        let connections = plural(args.connections.into(), "connection");
        let connections = match self.addresses {
            0 | 1 => connections,
            several => format!("{connections} to {several} addresses"),
        };
        let load = match args.rate {
            Some(rate) => format!("{rate} calls/s on {connections}"),
            None => format!("{} at once on {connections}", plural(args.concurrency.into(), "call")),
        };
        let end = if self.was_interrupted { ", interrupted" } else { "" };
        writeln!(out, "call        {}, {load}", args.call.name())?;
        writeln!(out, "time        {:.3} s{end}", time.as_secs_f64())?;
        if self.drain >= MIN_REPORTED_DRAIN {
            writeln!(out, "            {:.3} s more for the last responses", self.drain.as_secs_f64())?;
        }
        if self.shortfall().is_some() {
            writeln!(out, "made        only {:.1}/s", self.sent_per_second)?;
        }
        writeln!(out, "answered    {}, {:.1}/s", statistics.answered, per_second(rate.responses))?;
        if args.call.is_list() {
            writeln!(out, "movies      {}, {:.1}/s", rate.movies, per_second(rate.movies))?;
        }
        writeln!(out, "wrong       {}", statistics.wrong)?;
        writeln!(out, "failed      {}", statistics.failed())?;
        for (kind, failures) in &statistics.failures {
            writeln!(out, "  {:>8}  {kind}: {}", failures.count, failures.first)?;
        }
        for (name, count) in [("unfinished", statistics.unfinished), ("not sent", statistics.not_sent)] {
            if count > 0 {
                writeln!(out, "{name:<12}{count}")?;
            }
        }
        let Some(LatencySummary { min, mean, percentiles, max }) = LatencySummary::of(statistics) else {
            return Ok(());
        };
        writeln!(out, "\nlatency           ms")?;
        writeln!(out, "min     {:>12}", millis(min))?;
        writeln!(out, "mean    {:>12.3}", mean / 1e3)?;
        for (name, _, value) in percentiles {
            writeln!(out, "{name:<8}{:>12}", millis(value))?;
        }
        writeln!(out, "max     {:>12}", millis(max))?;
        writeln!(out, "\nup to             ms     calls")?;
        let buckets = buckets(&statistics.all_latencies());
        let max_count = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let max_columns =
            width.map_or(MAX_BAR_COLUMNS, |width| width.saturating_sub(32).min(MAX_BAR_COLUMNS));
        for (limit, count) in buckets {
            let line = format!("{:>20.3}{count:>10}  {}", limit / 1e3, bar(count, max_count, max_columns));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Returns the number per second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { float(count) / time.as_secs_f64() }
}

/// Formats microseconds as milliseconds.
pub(super) fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// Returns a bar that is proportional to `count`, and at least one column wide unless `count` is 0.
fn bar(count: u64, max_count: u64, max_columns: usize) -> String {
    let length = u128::from(count) * max_columns as u128 / u128::from(max_count.max(1));
    let length = usize::try_from(length).unwrap_or(max_columns);
    "█".repeat(length.max(usize::from(count > 0)))
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Rounds to three decimal places, the precision of the measurement.
fn rounded(number: f64) -> Value {
    json!((number * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::cli::bench::args::Call;
    use crate::cli::bench::calls::CallResult;

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
            let result = CallResult { movies: 1, is_correct: true };
            statistics.record(Ok(result), Duration::from_millis(*millis));
            statistics.rate.add(result);
        }
        if latencies.is_empty() {
            let message = "busy".to_owned();
            statistics.record(Err(Error::TooLarge { address: "a:1".into(), message }), Duration::ZERO);
        }
        print(&report(args, statistics), format)
    }

    fn report(args: &Bench, statistics: Statistics) -> Report<'_> {
        let time = Duration::from_millis(2500);
        let sent_per_second = args.rate.map_or(0.0, f64::from);
        let (drain, was_interrupted) = (Duration::ZERO, false);
        Report { args, addresses: 1, time, drain, sent_per_second, statistics, was_interrupted }
    }

    fn print(report: &Report<'_>, format: Format) -> String {
        let mut out = Vec::new();
        report.write(&OutputOptions { format, width: Some(50), colours: false }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_text_report_fits_the_terminal_and_has_a_bar_per_bucket() {
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
    fn reports_for_programs_always_have_the_same_keys() {
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
    fn calls_that_were_not_sent_are_reported_in_every_format() {
        let args = args(Some(1000), Call::Get);
        let mut statistics = Statistics::new();
        (statistics.not_sent, statistics.unfinished) = (75, 1);
        let mut report = report(&args, statistics);
        assert_eq!(report.shortfall(), None);
        (report.sent_per_second, report.drain, report.addresses) = (970.0, Duration::from_secs(3), 2);
        let text = print(&report, Format::Text);
        for line in [
            "call        GetMovie, 1000 calls/s on 1 connection to 2 addresses",
            "            3.000 s more for the last responses",
            "made        only 970.0/s",
            "unfinished  1",
            "not sent    75",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line}: {text}");
        }
        let value: Value = serde_json::from_str(&print(&report, Format::Json)).unwrap();
        assert_eq!((&value["not_sent"], &value["made_per_s"]), (&json!(75), &json!(970.0)));
        assert_eq!((&value["drain_s"], &value["addresses"]), (&json!(3.0), &json!(2)));
    }

    #[test]
    fn csv_has_a_name_and_a_value_per_line() {
        let csv = printed(&args(None, Call::Page), &[], Format::Csv);
        assert!(csv.starts_with("name,value\ncall,ListMovies\nconnections,1\n"), "{csv}");
        assert!(csv.contains("\nerrors_too_much,1\n") && csv.contains("\ntarget_rate_per_s,\n"), "{csv}");
    }

    #[test]
    fn failures_are_reported_with_an_example() {
        let text = printed(&args(Some(7), Call::Page), &[], Format::Text);
        assert!(text.contains("ListMovies, 7 calls/s on 1 connection\n"), "{text}");
        assert!(
            text.ends_with("failed      1\n         1  too_much: the message is too large for a:1: busy\n"),
            "{text}"
        );
    }
}
