//! Streaming reader of JSON values: a window that moves along the text.

use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Deserializer;
use serde_json::error::Category;

use crate::store::json::mistake::{EXAMINED_BYTES, syntax_mistake};

/// Maximum size of one JSON value, in bytes. A valid movie is much smaller, whatever its formatting.
const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum number of characters of an error message of `serde_json`.
const MAX_ERROR_CHARS: usize = 300;

/// Streaming reader of JSON values that holds one value in memory at a time. Strings borrow from the window unless
/// JSON escapes them.
#[derive(Debug)]
pub(crate) struct Window<R> {
    source: R,
    /// How many bytes to read at a time.
    size: usize,
    buffer: Vec<u8>,
    /// The start of the remaining text in `buffer`.
    taken: usize,
    /// Whether the source has ended: `buffer` contains the rest of the text.
    ended: bool,
    /// The position of the remaining text.
    position: Position,
    /// The offset of the remaining text, in bytes.
    passed: u64,
}

/// A position in a text: line and column, counted from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Error of reading a value.
#[derive(Debug)]
pub(crate) enum WindowError {
    /// The source cannot be read.
    Read(io::Error),
    /// The text is not valid, or not as expected.
    Json {
        /// The position.
        at: Position,
        /// What was found and what was expected.
        message: String,
    },
}

impl<R: Read> Window<R> {
    /// Opens a window of `size` bytes on a text. The window grows for a longer value.
    pub(crate) fn new(source: R, size: usize) -> Self {
        let position = Position { line: 1, column: 1 };
        Self { source, size, buffer: Vec::new(), taken: 0, ended: false, position, passed: 0 }
    }

    /// Returns the position of the remaining text.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Returns the number of bytes taken.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Returns the next byte that is not white space, without taking it; `None` at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, WindowError> {
        loop {
            let rest = &self.buffer[self.taken..];
            let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            self.advance(blank.unwrap_or(rest.len()));
            if blank.is_some() || self.ended {
                return Ok(self.buffer.get(self.taken).copied());
            }
            self.fill()?;
        }
    }

    /// Takes `bytes` if they are next.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> Result<(), WindowError> {
        while self.buffer.len() < self.taken + bytes.len() && !self.ended {
            self.fill()?;
        }
        if self.buffer[self.taken..].starts_with(bytes) {
            self.advance(bytes.len());
        }
        Ok(())
    }

    /// Takes the byte that [`Self::peek`] returned.
    pub(crate) fn take_byte(&mut self) {
        self.advance(1);
    }

    /// Takes a value that borrows nothing.
    pub(crate) fn take_owned<T: DeserializeOwned>(&mut self) -> Result<T, WindowError> {
        self.take(&mut Owned(PhantomData))
    }

    /// Takes a value that `reader` reads. If it refuses the value, the error is reported at the start of the value,
    /// which is not taken.
    pub(crate) fn take<T: ReadValue>(&mut self, reader: &mut T) -> Result<T::Output, WindowError> {
        let mut looked_ahead = false;
        loop {
            match self.try_take(reader, &mut looked_ahead)? {
                Some((output, length)) => {
                    self.advance(length);
                    return Ok(output);
                }
                None => self.fill()?,
            }
        }
    }

    /// Parses a value and its length from the content of the window; `None` if more text is needed.
    fn try_take<T: ReadValue>(
        &self,
        reader: &mut T,
        looked_ahead: &mut bool,
    ) -> Result<Option<(T::Output, usize)>, WindowError> {
        let rest = &self.buffer[self.taken..];
        if rest.is_empty() && self.ended {
            return Err(self.expected("a value"));
        }
        let mut deserializer = Deserializer::from_slice(rest);
        match reader.read(&mut deserializer) {
            Ok(read) => {
                let length = deserializer.into_iter::<IgnoredAny>().byte_offset();
                // More digits of a number may follow.
                let is_complete = length < rest.len() || self.ended || !rest[length - 1].is_ascii_digit();
                let output = read.map_err(|message| self.invalid(message))?;
                Ok(is_complete.then_some((output, length)))
            }
            Err(error) if self.ended || (*looked_ahead && self.can_explain(&error)) => {
                Err(self.error(&error))
            }
            Err(error) => {
                // serde_json's error position depends on the next byte, which may not have been read yet.
                *looked_ahead = error.classify() != Category::Eof;
                Ok(None)
            }
        }
    }

    /// Returns the error of a text that does not continue with `expected`.
    pub(crate) fn unexpected(&mut self, expected: &str) -> WindowError {
        while self.buffer.len() < self.taken + EXAMINED_BYTES && !self.ended {
            if let Err(error) = self.fill() {
                return error;
            }
        }
        match syntax_mistake(&self.buffer, self.taken) {
            Some(mistake) => self.invalid(mistake.to_owned()),
            None => self.expected(expected),
        }
    }

    fn expected(&self, expected: &str) -> WindowError {
        let found = match self.buffer.get(self.taken) {
            Some(byte) => format!("found `{}`", byte.escape_ascii()),
            None => "the file ends here".to_owned(),
        };
        self.invalid(format!("{found}, expected {expected}"))
    }

    /// Returns an error about the remaining text.
    pub(crate) fn invalid(&self, message: String) -> WindowError {
        WindowError::Json { at: self.position(), message }
    }

    /// Returns whether the window holds what [`Self::error`] examines. After the end of the text, it does.
    fn can_explain(&self, error: &serde_json::Error) -> bool {
        error.classify() != Category::Eof && self.offset(error) + EXAMINED_BYTES <= self.buffer.len()
    }

    /// Returns the offset in the buffer at which an error was found.
    fn offset(&self, error: &serde_json::Error) -> usize {
        let rest = &self.buffer[self.taken..];
        let lines = error.line().saturating_sub(1);
        let line = memchr::memchr_iter(b'\n', rest).take(lines).last().map_or(0, |end| end + 1);
        self.taken + line + error.column().saturating_sub(1)
    }

    /// Describes what is wrong with the syntax of the text, in other words than `serde_json` if it is a frequent mistake.
    fn mistake(&self, error: &serde_json::Error) -> Option<&'static str> {
        if error.classify() != Category::Syntax {
            return None;
        }
        if error.to_string().starts_with("invalid unicode code point") {
            return Some("the file is not in UTF-8, but perhaps in Latin-1; save it as UTF-8");
        }
        syntax_mistake(&self.buffer, self.offset(error))
    }

    fn error(&self, error: &serde_json::Error) -> WindowError {
        let start = self.position();
        let column = error.column().max(1);
        let at = match error.line() {
            0 | 1 => Position { line: start.line, column: start.column + column - 1 },
            line => Position { line: start.line + line - 1, column },
        };
        // serde_json counts from the start of the value. The position in the file is shown in front of the message.
        let text = error.to_string();
        // A line break within a text: serde_json reports it at the start of the next line.
        if error.column() == 0 && text.starts_with("control character") {
            let rest = &self.buffer[self.taken..self.offset(error).saturating_sub(1).max(self.taken)];
            let message = "the text that begins on this line has no closing `\"`".to_owned();
            return WindowError::Json { at: start.after(rest), message };
        }
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let message = self.mistake(error).or_else(|| text.strip_suffix(&suffix)).unwrap_or(&text);
        let mut message = message.to_owned();
        // The message may quote the value.
        if let Some((end, _)) = message.char_indices().nth(MAX_ERROR_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        WindowError::Json { at, message }
    }

    fn advance(&mut self, bytes: usize) {
        self.position = self.position.after(&self.buffer[self.taken..self.taken + bytes]);
        self.passed += bytes as u64;
        self.taken += bytes;
    }

    /// Moves the window: drops the text that was taken, and reads more.
    fn fill(&mut self) -> Result<(), WindowError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.len() >= MAX_VALUE_BYTES {
            return Err(self.invalid(format!(
                "a value of more than {MAX_VALUE_BYTES} bytes, expected it to be shorter"
            )));
        }
        // A window that holds only the start of a value doubles, so that a long value is parsed few times.
        let room = self.size.max(self.buffer.len());
        let read = self
            .source
            .by_ref()
            .take(room as u64)
            .read_to_end(&mut self.buffer)
            .map_err(WindowError::Read)?;
        self.ended = read < room;
        Ok(())
    }
}

/// Reads values that may borrow from the window.
pub(crate) trait ReadValue {
    /// The result of reading a value.
    type Output;

    /// Reads a value. The inner error is the reason for which the reader refuses it.
    ///
    /// After an outer error, called again when the window has more of the value. After `Ok`, called again only for a number
    /// whose digits may continue, so a reader with side effects must not accept numbers.
    ///
    /// # Errors
    ///
    /// The error of `deserializer`, if the value is incomplete or not as expected.
    fn read<'de, D: serde::Deserializer<'de>>(
        &mut self,
        deserializer: D,
    ) -> Result<Result<Self::Output, String>, D::Error>;
}

/// Reads a value that borrows nothing.
struct Owned<T>(PhantomData<T>);

impl<T: DeserializeOwned> ReadValue for Owned<T> {
    type Output = T;

    fn read<'de, D: serde::Deserializer<'de>>(
        &mut self,
        deserializer: D,
    ) -> Result<Result<T, String>, D::Error> {
        T::deserialize(deserializer).map(Ok)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// Returns the position after `text`.
    fn after(self, text: &[u8]) -> Self {
        match memchr::memrchr(b'\n', text) {
            None => Self { column: self.column + text.len(), ..self },
            Some(last) => {
                Self { line: self.line + memchr::memchr_iter(b'\n', text).count(), column: text.len() - last }
            }
        }
    }
}
