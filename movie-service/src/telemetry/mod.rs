//! Logs, metrics and traces. In reading order:
//!
//! * [`calls`] — observes each call: log line, metrics, span;
//! * [`log`] — output, format, levels and rate limits of the log;
//! * [`metrics`] — Prometheus metrics of the server; [`store_metrics`] — of the store; [`watch_metrics`] — of watches;
//!   [`search_metrics`] — of searches; `http_metrics` — of requests that are not in gRPC; `reload_metrics` — of reloads of
//!   files; `process_metrics` — of the process;
//! * [`trace`] — spans, exported to an OpenTelemetry collector.

pub mod calls;
mod http_metrics;
pub mod log;
pub mod metrics;
mod process_metrics;
mod reload_metrics;
pub mod search_metrics;
pub mod store_metrics;
pub mod trace;
pub mod watch_metrics;
