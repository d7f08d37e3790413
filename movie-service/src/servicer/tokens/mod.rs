//! Opaque tokens that callers send back: of the next page, and to resume a watch.

pub(super) mod page_token;
pub(super) mod resume_token;
