//! How connections, and the service itself, come to their end.

mod ageing;
mod drain;
mod leaving;
mod unix_socket;
