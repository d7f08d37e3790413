//! Serves the movie catalogue over gRPC. In reading order:
//!
//! * [`config`] — the flags and environment variables;
//! * [`database`] — JSON files of movies; [`store`] — databases that can be written;
//! * [`catalogue`] — the movies in memory, encoded as they travel. Knows nothing of JSON or tonic;
//! * [`movie`] — a movie of `movie.catalog.v1`: what may be written;
//! * [`servicer`] — answers the calls of the contract from the catalogue;
//! * [`health`] — whether the service can be called, for those who ask;
//! * [`reflection`] — the contract, for those who ask;
//! * [`found`] — the line `Movie found!` on standard output;
//! * [`rpc`] — the one table of RPCs;
//! * [`access`] — who may call what. Knows nothing of gRPC;
//! * [`server`] — the way of a connection, from the listener to the servicer;
//! * [`health`] and [`reflection`] — answer what load balancers and tools ask;
//! * [`telemetry`] — logs, metrics and traces;
//! * [`admin`] — the pages for those who operate it: metrics, liveness, readiness;
//! * [`transfer`] — imports JSON files into a store, and exports a store as one;
//! * [`watch`] — reads files again when they change;
//! * [`shutdown`] — when to stop.

pub mod access;
pub mod admin;
pub mod catalogue;
pub mod config;
pub mod database;
pub mod found;
pub mod health;
pub mod movie;
pub mod reflection;
pub mod rpc;
pub mod server;
pub mod servicer;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod transfer;
pub mod watch;
