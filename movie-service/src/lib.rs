//! Serves the movie catalogue over gRPC. In reading order:
//!
//! * [`app`] — the composition root; [`config`] — flags and environment variables;
//! * [`rpc`] — the table of RPCs;
//! * [`server`] — the path of a connection, from the listener to the servicers;
//! * [`servicer`] — implements the RPCs: reads from the catalogue, sends writes to the store;
//! * [`store`] — durable storage: JSON files, SQLite, PostgreSQL;
//! * [`catalogue`] — all movies in memory, encoded as they are sent. Independent of JSON and tonic;
//! * [`movie`] — the domain: a movie, its fields and their rules, ids, revisions;
//! * [`access`] — authentication and authorization. Independent of gRPC;
//! * [`telemetry`] — logs, metrics and traces; [`admin`] — the HTTP server for `/metrics`, `/livez` and `/readyz`; [`found`] — the line `Movie found!`;
//! * `blocking_pool` — CPU-bound work on blocking threads;
//! * [`offline`] — import and export without a running service; [`manual`] — manual pages and completion scripts;
//! * [`reload`] — reloads files when they change; [`regular_file`] — opens them; [`signals`] — shutdown and reload by signal;
//! * [`systemd`] — notifications to systemd, and sockets from it;
//! * [`text`] — text for errors and log lines.

pub mod access;
pub mod admin;
pub mod app;
mod blocking_pool;
pub mod catalogue;
pub mod config;
pub mod found;
pub mod manual;
pub mod movie;
pub mod offline;
pub mod regular_file;
pub mod reload;
pub mod rpc;
pub mod server;
pub mod servicer;
pub mod signals;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod text;
