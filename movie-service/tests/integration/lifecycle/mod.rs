//! Connections and the service itself, from their start to their end.

mod aging;
mod drain;
mod goaway;
mod notify;
mod socket_activation;
mod unix_socket;
mod workers;
