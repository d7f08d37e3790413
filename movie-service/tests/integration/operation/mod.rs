//! The service as its operators see it: the command line, logs, metrics, traces and reloads.

mod command_line;
mod found;
mod logs;
mod metrics;
mod metrics_of_parts;
mod reload;
mod traces;
