//! Tests of searches over whole indexes.

mod common;
mod examples;
mod filters;
mod hostile;
mod layout;
mod properties;
mod scripts;
