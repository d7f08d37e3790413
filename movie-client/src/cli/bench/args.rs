//! How to load the service.

use std::time::Duration;

use clap::builder::ValueParser;
use clap::{ValueEnum, value_parser};

use crate::cli::parse::time;

/// As long as anybody measures. Clocks count on from there, and do not run over.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// How to load the service.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    /// The call to make.
    #[arg(long, value_enum, default_value_t = Call::Get)]
    pub call: Call,

    /// Make so many calls a second, however long answers take; the latency counts from when a call was due.
    ///
    /// Without it, whenever a call is answered the next one is made (a closed loop): a service that stalls is then asked
    /// less, and few calls tell of it. With it, calls are due on a schedule (an open loop), as those of many people who
    /// know nothing of each other, and those that are due during a stall tell of it, too.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,

    /// The connections that share the calls, each to one address, in turns.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1000))]
    pub connections: u16,

    /// The calls at once on each connection.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10,
        value_parser = value_parser!(u16).range(1..=10_000),
        conflicts_with = "rate"
    )]
    pub concurrency: u16,

    /// How long to measure; 10s, or as long as `--calls` takes.
    #[arg(long, value_name = "TIME", value_parser = ValueParser::new(bounded))]
    pub duration: Option<Duration>,

    /// How many calls to measure; as many as there is time for without it.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(1..))]
    pub calls: Option<u64>,

    /// How long to make calls before they count; may be 0.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = ValueParser::new(time_or_none))]
    pub warm_up: Duration,
}

/// A call to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// `GetMovie`, for movies by chance.
    Get,
    /// The first page of `ListMovies`.
    Page,
    /// The course's `GetMovieByID`, for movies by chance.
    CourseGet,
    /// The course's `GetListMovies`.
    CourseList,
}

impl Bench {
    /// Returns how long to measure at most.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.duration.or_else(|| self.calls.is_none().then_some(Duration::from_secs(10)))
    }
}

impl Call {
    /// Returns its name in the contract.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GetMovie",
            Self::Page => "ListMovies",
            Self::CourseGet => "GetMovieByID",
            Self::CourseList => "GetListMovies",
        }
    }

    /// Returns whether an answer is many movies.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Page | Self::CourseList)
    }
}

fn time_or_none(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { bounded(text) }
}

fn bounded(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| match time {
        time if time > LONGEST => Err(format!("`{text}` is too long; expected at most 30 days")),
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
        assert_eq!(parse("bench").unwrap().longest(), Some(Duration::from_secs(10)));
        assert_eq!(parse("bench --calls 5").unwrap().longest(), None);
        let both = parse("bench --calls 5 --duration 2m").unwrap();
        assert_eq!(both.longest(), Some(Duration::from_mins(2)));
    }

    #[test]
    fn a_warm_up_may_be_left_out_and_a_rate_excludes_calls_at_once() {
        assert_eq!(parse("bench --warm-up 0").unwrap().warm_up, Duration::ZERO);
        assert_eq!(parse("bench --rate 5").unwrap().concurrency, 10);
        for wrong in ["--rate 5 --concurrency 2", "--rate 0", "--calls 0", "--duration 0s", "--connections 0"]
        {
            assert!(parse(&format!("bench {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nobody_measures_for_longer_than_clocks_can_tell() {
        assert_eq!(parse("bench --duration 30days").unwrap().duration, Some(LONGEST));
        for wrong in ["--duration 500000000000y", "--warm-up 500000000000y", "--duration 31days"] {
            let error = parse(&format!("bench {wrong}")).unwrap_err().to_string();
            assert!(error.contains("at most 30 days"), "{error}");
        }
    }
}
