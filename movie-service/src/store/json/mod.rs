//! JSON databases. The service reads them, and reloads them when their file changes; `export` writes them.
//!
//! * `entry` — a movie in the file, read and written;
//! * `window` — a JSON text read through a window that moves along the file;
//! * `load` — loads all movies; `reload` — follows the file; `write` — writes a file.

mod entry;
mod load;
mod reload;
mod window;
mod write;

pub use self::load::{LoadError, load, load_from};
pub use self::reload::JsonDatabase;
pub use self::window::Position;
pub use self::write::write;
