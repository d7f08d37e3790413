//! Messages of a request, checked before the generated code decodes them.
//!
//! * `prefix` — the prefix of a message: its compression flag and length;
//! * [`checker`] — checks the size of messages as their bytes arrive; `field_counter` — counts the fields of a message;
//! * `limited_body` — a request body that enforces both, and the deadline.

pub mod checker;
mod field_counter;
pub(crate) mod limited_body;
pub(crate) mod prefix;
