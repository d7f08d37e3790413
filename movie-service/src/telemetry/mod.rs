//! Logs, metrics and traces. In reading order:
//!
//! * [`calls`] — observes each call: log line, metrics, span;
//! * [`log`] — output, format, levels and rate limits of the log;
//! * [`metrics`] — Prometheus metrics of the server; [`store_metrics`] — of the store; `process_metrics` — of the process;
//! * [`trace`] — spans, exported to an OpenTelemetry collector.

pub mod calls;
pub mod log;
pub mod metrics;
mod process_metrics;
pub mod store_metrics;
pub mod trace;
