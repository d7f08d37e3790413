//! Serves the movie catalogue over gRPC. In reading order:
//!
//! * [`app`] — the composition root; [`config`] — flags and environment variables;
//! * [`rpc`] — the one table of RPCs;
//! * [`server`] — the path of a connection, from the listener to the servicers;
//! * [`servicer`] — answers calls from the catalogue, and hands writes to the store;
//! * [`store`] — durable storage: JSON files, SQLite, PostgreSQL;
//! * [`catalogue`] — all movies in memory, encoded as they are sent. Knows nothing of JSON or tonic;
//! * [`movie`] — a movie of `movie.catalog.v1`: what may be written;
//! * [`access`] — who may call what. Knows nothing of gRPC;
//! * [`telemetry`] — logs, metrics and traces; [`admin`] — the pages for operators; [`found`] — the line `Movie found!`;
//! * `blocking_pool` — CPU-bound work on blocking threads;
//! * [`offline`] — import and export without a running service;
//! * [`reload`] — reads files again when they change; [`shutdown`] — when to stop.

pub mod access;
pub mod admin;
pub mod app;
mod blocking_pool;
pub mod catalogue;
pub mod config;
pub mod found;
pub mod movie;
pub mod offline;
pub mod reload;
pub mod rpc;
pub mod server;
pub mod servicer;
pub mod shutdown;
pub mod store;
pub mod telemetry;
