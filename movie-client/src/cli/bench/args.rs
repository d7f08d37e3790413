//! Command-line arguments of the benchmark.

use std::time::Duration;

use clap::builder::ValueParser;
use clap::{ValueEnum, value_parser};

use crate::cli::parse::time;

/// Longest duration. The clocks do not overflow within it.
const MAX_DURATION: Duration = Duration::from_hours(30 * 24);

/// The load.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    /// The call to measure.
    #[arg(long, value_enum, default_value_t = Call::Get)]
    pub call: Call,

    /// Send this number of calls per second on a fixed schedule (open loop).
    ///
    /// Without it, each response is followed by the next call (closed loop). If the service then stalls, fewer calls
    /// are sent, and few of them measure the stall. In an open loop, calls stay due during a stall, and their latency
    /// counts from the time at which they were due.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,

    /// Number of connections, distributed over the addresses of the service.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1000))]
    pub connections: u16,

    /// Number of concurrent calls on each connection.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10,
        value_parser = value_parser!(u16).range(1..=10_000),
        conflicts_with = "rate"
    )]
    pub concurrency: u16,

    /// Duration of the measurement; 10s by default, or unlimited with `--calls`.
    #[arg(long, value_name = "TIME", value_parser = ValueParser::new(bounded_duration))]
    pub duration: Option<Duration>,

    /// Number of measured calls; by default limited only by the duration.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(1..))]
    pub calls: Option<u64>,

    /// Duration of the calls before the measurement; may be 0.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = ValueParser::new(duration_or_zero))]
    pub warm_up: Duration,
}

/// A call to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// `GetMovie` of random movies.
    Get,
    /// First page of `ListMovies`.
    Page,
    /// The course's `GetMovieByID` of random movies.
    CourseGet,
    /// The course's `GetListMovies`.
    CourseList,
}

impl Bench {
    /// Returns the longest duration of the measurement.
    pub(super) fn max_duration(&self) -> Option<Duration> {
        self.duration.or_else(|| self.calls.is_none().then_some(Duration::from_secs(10)))
    }
}

impl Call {
    /// Returns the name of the RPC.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GetMovie",
            Self::Page => "ListMovies",
            Self::CourseGet => "GetMovieByID",
            Self::CourseList => "GetListMovies",
        }
    }

    /// Returns whether a response has many movies.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Page | Self::CourseList)
    }
}

fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { bounded_duration(text) }
}

fn bounded_duration(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| match time {
        time if time > MAX_DURATION => Err(format!("`{text}` is too long; expected at most 30 days")),
        time => Ok(time),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn parse(line: &str) -> Result<Bench, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.bench)
    }

    #[test]
    fn without_a_number_of_calls_ten_seconds_are_measured() {
        assert_eq!(parse("bench").unwrap().max_duration(), Some(Duration::from_secs(10)));
        assert_eq!(parse("bench --calls 5").unwrap().max_duration(), None);
        let both = parse("bench --calls 5 --duration 2m").unwrap();
        assert_eq!(both.max_duration(), Some(Duration::from_mins(2)));
    }

    #[test]
    fn a_warm_up_may_be_zero_and_a_rate_excludes_concurrency() {
        assert_eq!(parse("bench --warm-up 0").unwrap().warm_up, Duration::ZERO);
        assert_eq!(parse("bench --rate 5").unwrap().concurrency, 10);
        for invalid in
            ["--rate 5 --concurrency 2", "--rate 0", "--calls 0", "--duration 0s", "--connections 0"]
        {
            assert!(parse(&format!("bench {invalid}")).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_duration_is_at_most_30_days() {
        assert_eq!(parse("bench --duration 30days").unwrap().duration, Some(MAX_DURATION));
        for invalid in ["--duration 500000000000y", "--warm-up 500000000000y", "--duration 31days"] {
            let error = parse(&format!("bench {invalid}")).unwrap_err().to_string();
            assert!(error.contains("at most 30 days"), "{error}");
        }
    }
}
