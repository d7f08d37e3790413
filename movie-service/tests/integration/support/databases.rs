//! JSON files that the tests serve.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Returns the path of a database of the workspace.
pub(crate) fn database(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases").join(name)
}

/// Returns the path of a database whose list exceeds the buffers of any socket: 3,000 movies of 4 KB each. Short movies would
/// take several times as long to load.
pub(crate) fn large_database() -> &'static Path {
    static LARGE: OnceLock<PathBuf> = OnceLock::new();
    LARGE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (path, part) = (dir.join("large.json"), dir.join(format!("large.{}.json", std::process::id())));
        let mut file = BufWriter::new(File::create(&part).unwrap());
        let director = "🎬".repeat(1_000);
        write!(file, r#"{{"movies": [{{"id": "0", "title": "Movie 0"}}"#).unwrap();
        for id in 1..3_000 {
            write!(file, r#", {{"id": "{id}", "title": "Movie {id}", "director": "{director}"}}"#).unwrap();
        }
        file.write_all(b"]}").unwrap();
        file.into_inner().unwrap();
        // Renamed when complete: other test processes use the same path.
        fs::rename(part, &path).unwrap();
        path
    })
}
