//! Files: opening, decompression, format detection and lines.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::table::Header;
use super::{Row, Rows};

/// Size of the prefix from which the format is detected.
const HEAD_BYTES: usize = 64 << 10;

/// Longest line or movie. A valid movie is shorter in any notation.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;

/// File name extensions of ndjson.
const NDJSON_EXTENSIONS: [&str; 4] = [".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz"];

/// The text of a file, or of standard input for `-`.
pub(super) struct Source {
    /// Name for messages.
    pub(super) name: Arc<str>,
    path: PathBuf,
    text: BufReader<Box<dyn Read + Send>>,
    bar: ProgressBar,
}

/// Format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A sequence of JSON documents.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// IMDb's `title.basics.tsv`.
    Imdb,
    /// MovieLens's `movies.csv`.
    MovieLens,
}

/// Position in a file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePosition {
    pub(super) file: Arc<str>,
    pub(super) line: u64,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Source {
    /// Opens a file. Decompresses gzip, whatever the file name, and decodes UTF-16 with a byte order mark. The
    /// progress bar follows the bytes that are read.
    pub(super) fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Self> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "standard input".into() } else { path.display().to_string() };
        let text = if is_stdin { text(bar.wrap_read(io::stdin())) } else { file(path, bar) };
        let text = text.with_context(|| format!("cannot read {name}"))?;
        Ok(Self { name: name.into(), path: path.to_owned(), text, bar: bar.clone() })
    }

    /// Opens the file again from its beginning.
    pub(super) fn reopen(&self) -> anyhow::Result<Self> {
        Self::open(&self.path, &self.bar)
    }

    /// Opens the file with this name, or this name and `.gz`, in the same directory. If it does not exist, `rows`
    /// gets a notice that `unknown` is missing.
    pub(super) fn open_related(
        &self,
        name: &str,
        unknown: &str,
        rows: Rows<'_>,
    ) -> anyhow::Result<Option<Self>> {
        if self.path != Path::new("-") {
            let paths = [name.to_owned(), format!("{name}.gz")].map(|name| self.path.with_file_name(name));
            if let Some(path) = paths.iter().find(|path| path.exists()) {
                return Self::open(path, &self.bar).map(Some);
            }
        }
        rows(Row::Notice(format!("no {name} beside {}: the movies get no {unknown}", self.name)))?;
        Ok(None)
    }

    /// Returns whether the text begins, and so most likely ends, with nothing but blanks.
    pub(super) fn is_blank(&mut self) -> anyhow::Result<bool> {
        let name = &self.name;
        let head = self.text.fill_buf().with_context(|| format!("cannot read {name}"))?;
        Ok(head.trim_ascii().is_empty())
    }

    /// Detects the format from the beginning of the text.
    pub(super) fn format(&mut self) -> anyhow::Result<Format> {
        let name = &self.name;
        let head = self.text.fill_buf().with_context(|| format!("cannot read {name}"))?;
        // `jq` writes a movie over several lines, of which the first is a brace. No line of ndjson is a single brace.
        let first = head.trim_ascii_start().split(|byte| *byte == b'\n').next().map(<[u8]>::trim_ascii_end);
        let is_lines =
            NDJSON_EXTENSIONS.iter().any(|end| name.ends_with(end)) && !matches!(first, Some(b"{" | b"["));
        match detect_format(head) {
            Some(Format::Json) if is_lines => Ok(Format::Ndjson),
            Some(format) => Ok(format),
            None if head.starts_with(b"PK\x03\x04") => bail!("{name} is a zip archive: unpack it first"),
            None => bail!(
                "{name} cannot be imported: expected movies as JSON or ndjson, IMDb's title.basics.tsv or MovieLens's \
                 movies.csv, but the file begins with `{}`",
                head[..head.len().min(40)].escape_ascii()
            ),
        }
    }

    /// Returns the text as a stream.
    pub(super) fn into_text(self) -> impl BufRead {
        self.text
    }
}

fn file(path: &Path, bar: &ProgressBar) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let file = File::open(path)?;
    // Has no effect on a bar without a length.
    bar.inc_length(file.metadata()?.len());
    text(bar.wrap_read(file))
}

fn text(mut file: impl Read + Send + 'static) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let magic = read_prefix(&mut file, 2)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let file = Cursor::new(magic).chain(file);
    let text: Box<dyn Read + Send> = if is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(HEAD_BYTES, file)))
    } else {
        Box::new(file)
    };
    // UTF-16 is detected by its byte order mark. Invalid UTF-8 stays, and makes a single row invalid.
    let mut text = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(text);
    let head = read_prefix(&mut text, HEAD_BYTES)?;
    // The first read returns the whole prefix.
    Ok(BufReader::with_capacity(HEAD_BYTES, Box::new(Cursor::new(head).chain(text))))
}

fn read_prefix(text: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(bytes);
    text.take(bytes as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Returns the format of a text with this prefix.
fn detect_format(head: &[u8]) -> Option<Format> {
    let head = head.trim_ascii_start();
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (line, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let has = |names: &[&str]| Header::of(line).has(names);
    match head.first() {
        Some(b'[') => Some(Format::Json),
        Some(b'{') if is_database(line, second) => Some(Format::Json),
        None | Some(b'{') => Some(Format::Ndjson),
        Some(_) if has(&["tconst", "titleType", "primaryTitle"]) => Some(Format::Imdb),
        Some(_) if has(&["movieId", "title", "genres"]) => Some(Format::MovieLens),
        Some(_) => None,
    }
}

/// Returns whether the first line of a JSON text belongs to a database instead of an ndjson file with movies. A line
/// that ends within an object belongs to a database, unless the second line is an object of its own.
fn is_database(line: &[u8], second: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Database {
        movies: Option<IgnoredAny>,
    }
    match serde_json::from_slice::<Database>(line) {
        Ok(database) => database.movies.is_some(),
        Err(_) if line.windows(8).any(|key| key == b"\"movies\"") => true,
        Err(_) => !line.ends_with(b"}") && serde_json::from_slice::<Map<String, Value>>(second).is_err(),
    }
}

/// Lines of a text, without their ends, LF or CRLF.
pub(super) struct Lines {
    source: Source,
    line: Vec<u8>,
    number: u64,
}

/// A line with its number, from 1. The text is an error if it is too long.
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) text: Result<&'a [u8], String>,
}

impl Lines {
    pub(super) fn of(source: Source) -> Self {
        Self { source, line: Vec::new(), number: 0 }
    }

    /// Returns the next line, or `None` after the last one.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        let Self { source, line, number } = self;
        let context = |number| format!("cannot read {} after line {number}", source.name);
        line.clear();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        if source.text.by_ref().take(limit).read_until(b'\n', line).with_context(|| context(*number))? == 0 {
            return Ok(None);
        }
        let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
        if !is_whole && line.len() > MAX_RECORD_BYTES {
            source.text.skip_until(b'\n').with_context(|| context(*number))?;
        }
        *number += 1;
        line.pop_if(|byte| *byte == b'\r');
        let fits = line.len() <= MAX_RECORD_BYTES;
        let text = if fits {
            Ok(&line[..])
        } else {
            Err(format!("the line has more than {MAX_RECORD_BYTES} bytes"))
        };
        Ok(Some(Line { number: *number, text }))
    }
}
