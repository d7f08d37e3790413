//! Generated databases of any size. They are the same on every machine.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Returns the path of a database with this number of movies, of about 86 encoded bytes each. Writes it if it is missing.
pub(crate) fn database(dir: &Path, movies: u64) -> Result<PathBuf> {
    written(&dir.join(format!("movies-{movies}.json")), movies, |_| String::new())
}

/// Returns the path of a database whose movies have the fields up to the languages. Writes it if it is missing.
pub(super) fn detailed(dir: &Path, movies: u64) -> Result<PathBuf> {
    const GENRES: [&str; 8] = ["Action", "Comedy", "Crime", "Drama", "Horror", "Musical", "Romance", "War"];
    const COUNTRIES: [&str; 4] = ["France", "India", "Japan", "United States"];
    const LANGUAGES: [&str; 4] = ["English", "French", "Hindi", "Japanese"];
    written(&dir.join(format!("detailed-{movies}.json")), movies, |movie| {
        let random = mixed(movie ^ 0xf11f);
        let pick = |words: &[&'static str], shift: u32| {
            words[usize::try_from(random >> shift & 0xff).unwrap_or_default() % words.len()]
        };
        format!(
            ", \"year\": {}, \"genres\": [\"{}\"], \"runtime_minutes\": {}, \"countries\": [\"{}\"], \"languages\": [\"{}\"]",
            1900 + random % 125,
            pick(&GENRES, 8),
            60 + random % 120,
            pick(&COUNTRIES, 16),
            pick(&LANGUAGES, 24),
        )
    })
}

fn written(path: &Path, movies: u64, details: impl Fn(u64) -> String) -> Result<PathBuf> {
    if !path.exists() {
        // Renamed when it is complete.
        let part = path.with_extension("part");
        write(&part, movies, details).with_context(|| format!("write {}", part.display()))?;
        fs::rename(part, path)?;
    }
    Ok(path.to_owned())
}

/// Returns the id of the movie with this number.
pub(super) fn id(movie: u64) -> String {
    let (high, low) = (mixed(2 * movie), mixed(2 * movie + 1));
    let groups = (high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffff_ffff_ffff);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", groups.0, groups.1, groups.2, groups.3, groups.4)
}

fn write(path: &Path, movies: u64, details: impl Fn(u64) -> String) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"{\"movies\": [")?;
    for movie in 0..movies {
        let random = mixed(movie ^ 0x5eed);
        let title = &"The Long and Winding Title"[..14 + usize::try_from(random % 13).unwrap_or_default()];
        write!(
            file,
            "{}\n{{\"title\": \"{title} {movie}\", \"rating\": {}.{}, \"director\": \"Director {}\", \"id\": \"{}\"{}}}",
            if movie == 0 { "" } else { "," },
            random >> 8 & 7,
            (random >> 16) % 10,
            (random >> 24) % 50_000,
            id(movie),
            details(movie),
        )?;
    }
    file.write_all(b"\n]}\n")?;
    Ok(file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?)
}

/// Hashes a number with `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
