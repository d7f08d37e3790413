//! Files: opened, unpacked, told apart, and read line by line.

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

/// As much of a text as is looked at to tell what it is.
const HEAD: usize = 64 << 10;

/// The longest line, in bytes: more than a movie can take, however it is written.
pub(super) const LONGEST: usize = 1 << 20;

/// How the names of files end that are ndjson for sure.
const NDJSON: [&str; 4] = [".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz"];

/// The text of a file, or of standard input for `-`.
pub(super) struct Source {
    /// What it is called in errors.
    pub(super) name: Arc<str>,
    path: PathBuf,
    text: BufReader<Box<dyn Read + Send>>,
    bar: ProgressBar,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON documents, one after the other.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// IMDb's `title.basics.tsv`.
    Imdb,
    /// MovieLens's `movies.csv`.
    MovieLens,
}

/// A line of a file, from 1.
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
    /// Opens a file, unpacks it if it is compressed with gzip, whatever its name, and decodes it if it is UTF-16 with a
    /// byte order mark. What is read of it moves the bar on.
    pub(super) fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Self> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "standard input".into() } else { path.display().to_string() };
        let text = if is_stdin { text(bar.wrap_read(io::stdin())) } else { file(path, bar) };
        let text = text.with_context(|| format!("cannot read {name}"))?;
        Ok(Self { name: name.into(), path: path.to_owned(), text, bar: bar.clone() })
    }

    /// Opens the file once more, from its beginning.
    pub(super) fn again(&self) -> anyhow::Result<Self> {
        Self::open(&self.path, &self.bar)
    }

    /// Opens the file of this name, or this name and `.gz`, in the same folder. If there is none, `rows` gets to know what
    /// is therefore unknown.
    pub(super) fn beside(&self, name: &str, unknown: &str, rows: Rows<'_>) -> anyhow::Result<Option<Self>> {
        if self.path != Path::new("-") {
            let paths = [name.to_owned(), format!("{name}.gz")].map(|name| self.path.with_file_name(name));
            if let Some(path) = paths.iter().find(|path| path.exists()) {
                return Self::open(path, &self.bar).map(Some);
            }
        }
        rows(Row::Missing(format!("no {name} is beside {}: no {unknown} are known", self.name)))?;
        Ok(None)
    }

    /// Returns what the text is, by how it begins.
    pub(super) fn format(&mut self) -> anyhow::Result<Format> {
        let name = &self.name;
        let head = self.text.fill_buf().with_context(|| format!("cannot read {name}"))?;
        // No line of ndjson is a brace alone, but the first one is that jq writes for a movie.
        let first = head.trim_ascii_start().split(|byte| *byte == b'\n').next().map(<[u8]>::trim_ascii_end);
        let is_lines = NDJSON.iter().any(|end| name.ends_with(end)) && !matches!(first, Some(b"{" | b"["));
        match format(head) {
            Some(Format::Json) if is_lines => Ok(Format::Ndjson),
            Some(format) => Ok(format),
            None if head.starts_with(b"PK\x03\x04") => bail!("{name} is a zip archive: unpack it first"),
            None => bail!(
                "{name} cannot be imported: expected movies as JSON or ndjson, IMDb's title.basics.tsv or MovieLens's \
                 movies.csv, which have what belongs to them beside them, but it begins with `{}`",
                head[..head.len().min(40)].escape_ascii()
            ),
        }
    }

    /// Returns the text as it comes.
    pub(super) fn into_text(self) -> impl BufRead {
        self.text
    }
}

fn file(path: &Path, bar: &ProgressBar) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let file = File::open(path)?;
    // Without effect on a bar that has no length.
    bar.inc_length(file.metadata()?.len());
    text(bar.wrap_read(file))
}

fn text(mut file: impl Read + Send + 'static) -> io::Result<BufReader<Box<dyn Read + Send>>> {
    let magic = start(&mut file, 2)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let file = Cursor::new(magic).chain(file);
    let text: Box<dyn Read + Send> = if is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(HEAD, file)))
    } else {
        Box::new(file)
    };
    // UTF-16 is known by its byte order mark. Without one nothing is changed: where UTF-8 is broken, one row is.
    let mut text = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(text);
    let head = start(&mut text, HEAD)?;
    // What is read first is the head, all of it.
    Ok(BufReader::with_capacity(HEAD, Box::new(Cursor::new(head).chain(text))))
}

fn start(text: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(bytes);
    text.take(bytes as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Returns what a text is that begins so.
fn format(head: &[u8]) -> Option<Format> {
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

/// Returns whether the first line of a JSON text is that of a database, or else a movie, be it a broken one. What begins
/// with the end of a line in it is a database, unless the line after it is an object of its own.
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

/// The lines of a text. What ends them, LF or CRLF, is not in them.
pub(super) struct Lines {
    source: Source,
    line: Vec<u8>,
    number: u64,
}

/// A line: its number from 1, and its text, or what is wrong with it.
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) text: Result<&'a [u8], String>,
}

impl Lines {
    pub(super) fn of(source: Source) -> Self {
        Self { source, line: Vec::new(), number: 0 }
    }

    /// Returns the next line, `None` after the last.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        let Self { source, line, number } = self;
        let context = |number| format!("cannot read {} after line {number}", source.name);
        line.clear();
        let most = LONGEST as u64 + 1;
        if source.text.by_ref().take(most).read_until(b'\n', line).with_context(|| context(*number))? == 0 {
            return Ok(None);
        }
        let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
        if !is_whole && line.len() > LONGEST {
            source.text.skip_until(b'\n').with_context(|| context(*number))?;
        }
        *number += 1;
        line.pop_if(|byte| *byte == b'\r');
        let fits = line.len() <= LONGEST;
        let text = if fits { Ok(&line[..]) } else { Err(format!("the line has more than {LONGEST} bytes")) };
        Ok(Some(Line { number: *number, text }))
    }
}
