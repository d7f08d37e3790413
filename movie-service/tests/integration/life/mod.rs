//! How connections, and the service itself, come to their end.

mod ageing;
mod drain;
mod unix_socket;
