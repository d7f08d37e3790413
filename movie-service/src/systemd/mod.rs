//! The service under systemd. Without its environment variables, nothing here has an effect.
//!
//! * [`notify`] — states for the service manager: ready, reloading, stopping, alive (`sd_notify(3)`);
//! * [`sockets`] — sockets from the service manager (`sd_listen_fds(3)`).

pub mod notify;
pub mod sockets;
