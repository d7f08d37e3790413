//! Who may call, and how connections are encrypted.

mod access;
mod tls;
