//! Where the movies come from. Knows the catalogue, and nothing of gRPC or tokio.
//!
//! * `window` — a JSON text read through a window that moves along the file;
//! * `entry` — a movie in it; `json` — loads a JSON database;
//! * `reload` — loads it again when its file changes.

mod entry;
mod json;
mod reload;
mod window;

pub use self::json::{LoadError, load, load_from};
pub use self::reload::JsonDatabase;
pub use self::window::Position;
