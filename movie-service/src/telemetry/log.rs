//! Logging: output, format, levels and rate limits.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::warn;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// Format of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error, until the returned guard is dropped. Dropping it waits briefly for the last lines.
///
/// `levels` are directives as in `RUST_LOG`, which is the default: a level for all modules (`info` if none is given), and
/// `MODULE=LEVEL` for single modules. Invalid directives are ignored with a warning; so is `trace` in a release build,
/// which has no lines at that level.
///
/// # Panics
///
/// If called twice.
#[must_use = "logging stops when the guard is dropped"]
pub fn start(format: LogFormat, levels: Option<&str>) -> WorkerGuard {
    let from_env = std::env::var_os("RUST_LOG").unwrap_or_default();
    let (levels, mut warnings) = parse(levels.unwrap_or(&from_env.to_string_lossy()));
    if levels.max_level_hint() > Some(STATIC_MAX_LEVEL) {
        warnings.push(format!(
            "this build logs no lines beyond the level `{STATIC_MAX_LEVEL}`; for more, build without `--release`"
        ));
    }
    // A separate thread writes, so that a stalled reader of the log blocks nothing. Lines are dropped if its queue is full.
    let (stderr, guard) = tracing_appender::non_blocking(io::stderr());
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_writer(stderr).with_target(false).with_env_filter(levels);
    match format {
        LogFormat::Auto if !terminal => lines.json().flatten_event(true).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => lines.with_ansi(terminal).init(),
    }
    for warning in warnings {
        warn!("{warning}");
    }
    guard
}

/// Parses `directives`; returns the filter and a warning for each doubtful directive.
fn parse(directives: &str) -> (EnvFilter, Vec<String>) {
    let mut filter = EnvFilter::default().add_directive(LevelFilter::INFO.into());
    let mut warnings = Vec::new();
    for word in directives.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.parse::<Directive>() {
            Ok(directive) => filter = filter.add_directive(directive),
            Err(_) => warnings.push(format!(
                "ignored `{word}` in the log levels: expected a level (error, warn, info, debug, trace or off) or \
                 MODULE=LEVEL"
            )),
        }
        // A bare word that is not a level names a module. More often it is a typing error.
        let bare = !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err();
        if bare && word != env!("CARGO_CRATE_NAME") {
            warnings.push(format!(
                "`{word}` in the log levels is not a level (error, warn, info, debug, trace or off) and is taken for \
                 a module; write `{word}=trace` if that is meant"
            ));
        }
    }
    (filter, warnings)
}

/// Limits how many log lines of one kind are written in a second.
#[derive(Debug)]
pub struct Throttle {
    max_lines: u32,
    second: Mutex<Second>,
}

/// Counts of the current second, which begins with its first line.
#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Throttle {
    /// Permits `max_lines` lines a second.
    #[must_use]
    pub fn new(max_lines: u32) -> Self {
        Self { max_lines, second: Mutex::default() }
    }

    /// Requests to write a line now. Returns the number of lines suppressed before it; `None` if this line is
    /// suppressed, too.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_over(now) {
            second.began = Some(now);
            second.written = 0;
        }
        if second.written == self.max_lines {
            second.suppressed += 1;
            return None;
        }
        second.written += 1;
        Some(std::mem::take(&mut second.suppressed))
    }

    /// Takes the number of lines suppressed in a second that has ended. Needed if no further line follows.
    pub fn take_suppressed(&self, now: Instant) -> u64 {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.is_over(now) { std::mem::take(&mut second.suppressed) } else { 0 }
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
    fn a_bare_level_replaces_info_and_modules_have_their_own_levels() {
        for (directives, filter) in [
            ("", "info"),
            ("debug", "debug"),
            ("h2=debug", "h2=debug,info"),
            (" warn , movie_service=trace", "movie_service=trace,warn"),
            ("movie_service", "movie_service=trace,info"),
        ] {
            let (parsed, warnings) = parse(directives);
            assert_eq!((parsed.to_string().as_str(), warnings), (filter, vec![]), "{directives}");
        }
    }

    #[test]
    fn a_doubtful_directive_is_warned_about_by_name_and_does_not_affect_the_others() {
        for (directives, filter, word) in [
            ("verbose", "verbose=trace,info", "`verbose`"),
            ("h2=loud,warn", "warn", "`h2=loud`"),
            ("=,debug", "debug", "`=`"),
        ] {
            let (parsed, warnings) = parse(directives);
            assert_eq!(parsed.to_string(), filter, "{directives}");
            assert!(warnings.len() == 1 && warnings[0].contains(word), "{warnings:?}");
        }
    }

    #[test]
    fn lines_beyond_the_limit_are_suppressed_and_their_number_comes_with_the_next_line() {
        let (throttle, start) = (Throttle::new(2), Instant::now());
        let at = |millis| throttle.admit(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(1), at(2), at(999)], [Some(0), Some(0), None, None]);
        assert_eq!([at(1000), at(1001), at(1002)], [Some(2), Some(0), None]);
        assert_eq!(at(5000), Some(1));
    }

    #[test]
    fn the_number_of_suppressed_lines_is_taken_once_without_a_further_line() {
        let (throttle, start) = (Throttle::new(1), Instant::now());
        for _ in 0..3 {
            throttle.admit(start);
        }
        assert_eq!(throttle.take_suppressed(start + Duration::from_millis(999)), 0);
        assert_eq!(throttle.take_suppressed(start + Duration::from_secs(1)), 2);
        assert_eq!(throttle.take_suppressed(start + Duration::from_secs(1)), 0);
        assert_eq!(throttle.admit(start + Duration::from_secs(2)), Some(0));
    }
}
