//! JSON databases: read-only, and loaded again when their file changes.
//!
//! * `window` — a JSON text read through a window that moves along the file;
//! * `entry` — a movie in it; `load` — loads all of them;
//! * `reload` — loads them again.

mod entry;
mod load;
mod reload;
mod window;

pub use self::load::{LoadError, load, load_from};
pub use self::reload::JsonDatabase;
pub use self::window::Position;
