//! Where the movies come from. Knows the catalogue, and nothing of gRPC.

mod json;
mod window;

pub use self::json::{LoadError, load};
