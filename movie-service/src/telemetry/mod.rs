//! Logs, metrics and traces. In reading order:
//!
//! * [`calls`] — observes each call: its log line, its numbers and its span;
//! * [`log`] — where lines go, in which form, and how many at most;
//! * [`metrics`] — the numbers, as Prometheus reads them; [`store_metrics`] — those of a store; `process_metrics` — those of
//!   the process;
//! * [`trace`] — spans, sent to an OpenTelemetry collector.

pub mod calls;
pub mod log;
pub mod metrics;
mod process_metrics;
pub mod store_metrics;
pub mod trace;
