//! A movie as bytes.
//!
//! * [`frame`] — the four fields of the course, ready to send;
//! * [`details`] — the other fields, encoded; `dictionary` — their frequent values; [`record`] — both together.

pub mod details;
pub(crate) mod dictionary;
pub mod frame;
pub mod record;
