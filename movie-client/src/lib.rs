//! Calls the movie service. In reading order:
//!
//! * [`args`] — the command line;
//! * [`command`] — what each command calls and prints;
//! * [`client`] — the stub, with addresses, deadlines and errors for people;
//! * [`text_format`] — a message as text.

pub mod args;
pub mod client;
pub mod command;
pub mod text_format;
