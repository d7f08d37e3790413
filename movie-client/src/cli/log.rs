//! What happens meanwhile, on standard error.

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

/// A line an event, behind the time since the start.
struct Lines {
    began: Instant,
    is_timed: bool,
}

/// Shows what the library tells: warnings and cuts always, each step if `verbose`.
pub(super) fn start(verbose: bool) {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    let lines = Lines { began: Instant::now(), is_timed: verbose };
    let layer = tracing_subscriber::fmt::layer().event_format(lines).with_writer(io::stderr);
    // It would tell that it cannot write by writing to the same place, and panic.
    let layer = layer.log_internal_errors(false);
    let filter = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    // Only tests that run two commands in a process have one already.
    let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
}

impl<S, N> FormatEvent<S, N> for Lines
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
        if self.is_timed {
            write!(to, "{:>9.3} ms  ", self.began.elapsed().as_secs_f64() * 1e3)?;
        }
        context.format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}
