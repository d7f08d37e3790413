//! Log on standard error.

use std::fmt;
use std::io;
use std::time::Instant;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Format of a log line: optionally the time since the start, then the message.
struct LineFormat {
    started: Instant,
    shows_elapsed: bool,
}

/// Starts the log. Warnings and reconnects are always shown, each step only if `verbose`.
pub(super) fn start(verbose: bool) {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    let format = LineFormat { started: Instant::now(), shows_elapsed: verbose };
    let layer = tracing_subscriber::fmt::layer().event_format(format).with_writer(io::stderr);
    // Internal errors would be written to the same closed standard error, and panic.
    let layer = layer.log_internal_errors(false);
    let filter = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    // Fails only in tests that run two commands in one process.
    let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.shows_elapsed {
            write!(to, "{:>9.3} ms  ", self.started.elapsed().as_secs_f64() * 1e3)?;
        }
        context.format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}
