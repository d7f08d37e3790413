//! Tests of the library.

mod addresses;
mod deadlines;
mod embedding;
mod errors;
mod hostile;
mod http_status;
mod retries;
mod search;
mod self_signed;
pub(crate) mod tls;
mod watch;
