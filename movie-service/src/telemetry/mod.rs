//! What the service lets be seen of itself. In reading order:
//!
//! * [`calls`] — observes each call: its log line, its numbers and its span;
//! * [`log`] — where lines go, in which form, and how many at most;
//! * [`metrics`] — the numbers, as Prometheus reads them;
//! * [`trace`] — spans, sent to an OpenTelemetry collector.

pub mod calls;
pub mod log;
pub mod metrics;
pub mod trace;
