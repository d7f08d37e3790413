//! JSON databases. The service reads them, and reloads them when their files change; `export` writes them.
//!
//! * `entry` — deserialization and serialization of a movie;
//! * `window` — a streaming reader of JSON values; `mistake` — frequent mistakes in files that people edit;
//! * `load` — loads all movies; `reload` — reloads a changed file; `write` — writes a file.

mod entry;
mod load;
mod mistake;
mod reload;
mod window;
mod write;

pub use self::load::{LoadError, load, load_from};
pub use self::reload::JsonDatabase;
pub use self::window::Position;
pub use self::write::write;
