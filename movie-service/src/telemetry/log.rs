//! Logging: output, format, levels and rate limits.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::warn;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Has lines written to standard error until what is returned is dropped, which waits a moment for the last of
/// them.
///
/// `levels` are directives as in `RUST_LOG`, which is read if there are none: a level for all that has no other
/// (`info` if not said), and `MODULE=LEVEL` for the lines of a module. What cannot be understood is left out,
/// with a warning; so is `trace` in a release build, which has no lines at that level.
///
/// # Panics
///
/// If called twice.
#[must_use = "lines are written until this is dropped"]
pub fn start(format: LogFormat, levels: Option<&str>) -> WorkerGuard {
    let from_env = std::env::var_os("RUST_LOG").unwrap_or_default();
    let (levels, mut doubts) = parse(levels.unwrap_or(&from_env.to_string_lossy()));
    if levels.max_level_hint() > Some(STATIC_MAX_LEVEL) {
        doubts.push(format!(
            "this build has no lines beyond `{STATIC_MAX_LEVEL}`: for more, build it without `--release`"
        ));
    }
    // Through a thread, so that a reader of the logs that stalls holds up nothing else; if need be, lines are lost.
    let (stderr, guard) = tracing_appender::non_blocking(io::stderr());
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_writer(stderr).with_target(false).with_env_filter(levels);
    match format {
        LogFormat::Auto if !terminal => lines.json().flatten_event(true).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => lines.with_ansi(terminal).init(),
    }
    for doubt in doubts {
        warn!("{doubt}");
    }
    guard
}

/// Returns the filter that `directives` ask for, and what is doubtful about them.
fn parse(directives: &str) -> (EnvFilter, Vec<String>) {
    let mut filter = EnvFilter::default().add_directive(LevelFilter::INFO.into());
    let mut doubts = Vec::new();
    for word in directives.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.parse::<Directive>() {
            Ok(directive) => filter = filter.add_directive(directive),
            Err(_) => doubts.push(format!(
                "left `{word}` out of the log levels: expected a level (error, warn, info, debug, trace or off) or \
                 MODULE=LEVEL"
            )),
        }
        // A bare word that is no level is a module. It may be one; more often it is a slip.
        let bare = !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err();
        if bare && word != env!("CARGO_CRATE_NAME") {
            doubts.push(format!(
                "took `{word}` among the log levels for a module, as it is no level (error, warn, info, debug, \
                 trace or off); write `{word}=trace` to say so"
            ));
        }
    }
    (filter, doubts)
}

/// Returns an error with its causes, for a line of the log.
#[must_use]
pub fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    line.replace('\n', " ")
}

/// Keeps lines of one kind from flooding the log: at most so many a second.
#[derive(Debug)]
pub struct Throttle {
    most: u32,
    second: Mutex<Second>,
}

/// A second of lines, from the first of them on.
#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Throttle {
    /// Lets `most` lines a second through.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { most, second: Mutex::default() }
    }

    /// Returns whether a line may be written now; if so, how many were left out before it and have yet to be told.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_over(now) {
            second.began = Some(now);
            second.written = 0;
        }
        if second.written == self.most {
            second.left_out += 1;
            return None;
        }
        second.written += 1;
        Some(std::mem::take(&mut second.left_out))
    }

    /// Returns how many lines were left out in a second that is over and have yet to be told, for when no line
    /// follows that would tell.
    pub fn left_out(&self, now: Instant) -> u64 {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_over(now) { std::mem::take(&mut second.left_out) } else { 0 }
    }
}

impl Second {
    fn is_over(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_for_all_takes_the_place_of_info_and_modules_have_their_own() {
        for (directives, filter) in [
            ("", "info"),
            ("debug", "debug"),
            ("h2=debug", "h2=debug,info"),
            (" warn , movie_service=trace", "movie_service=trace,warn"),
            ("movie_service", "movie_service=trace,info"),
        ] {
            let (parsed, doubts) = parse(directives);
            assert_eq!((parsed.to_string().as_str(), doubts), (filter, vec![]), "{directives}");
        }
    }

    #[test]
    fn what_is_no_level_is_doubted_by_name_and_leaves_the_rest_as_it_is() {
        for (directives, filter, word) in [
            ("verbose", "verbose=trace,info", "`verbose`"),
            ("h2=loud,warn", "warn", "`h2=loud`"),
            ("=,debug", "debug", "`=`"),
        ] {
            let (parsed, doubts) = parse(directives);
            assert_eq!(parsed.to_string(), filter, "{directives}");
            assert!(doubts.len() == 1 && doubts[0].contains(word), "{doubts:?}");
        }
    }

    #[test]
    fn so_many_lines_a_second_go_through_and_the_next_tells_how_many_did_not() {
        let (throttle, start) = (Throttle::new(2), Instant::now());
        let at = |millis| throttle.admit(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(1), at(2), at(999)], [Some(0), Some(0), None, None]);
        assert_eq!([at(1000), at(1001), at(1002)], [Some(2), Some(0), None]);
        assert_eq!(at(5000), Some(1));
    }

    #[test]
    fn what_was_left_out_is_told_once_also_when_no_line_follows() {
        let (throttle, start) = (Throttle::new(1), Instant::now());
        for _ in 0..3 {
            throttle.admit(start);
        }
        assert_eq!(throttle.left_out(start + Duration::from_millis(999)), 0);
        assert_eq!(throttle.left_out(start + Duration::from_secs(1)), 2);
        assert_eq!(throttle.left_out(start + Duration::from_secs(1)), 0);
        assert_eq!(throttle.admit(start + Duration::from_secs(2)), Some(0));
    }
}
