//! A movie as bytes.
//!
//! * [`frame`] — the four fields of the course, ready to send;
//! * [`details`] — the other fields, encoded; `dictionary` — their frequent values; [`record`] — both together;
//! * `offsets` — the ends of parts of a buffer.

pub mod details;
pub(crate) mod dictionary;
pub mod frame;
pub(crate) mod offsets;
pub mod record;
