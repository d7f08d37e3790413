//! A movie as bytes.
//!
//! * [`frame`] — the four fields of the course, ready to send;
//! * [`details`] — the other fields, encoded; [`record`] — both together.

pub mod details;
pub mod frame;
pub mod record;
