//! Text for errors and log lines.

use std::error::Error;
use std::fmt;

/// Maximum number of characters displayed of a text.
const MAX_QUOTED_CHARS: usize = 80;

/// Displays untrusted text: escapes control characters and quotes, and truncates it to 80 characters.
#[derive(Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(MAX_QUOTED_CHARS) {
            write!(f, "{}", character.escape_debug())?;
        }
        if rest.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// Returns an error with its causes as one line.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_quoted_text_is_escaped_and_has_at_most_80_characters() {
        assert_eq!(Escaped("a\u{1b}[31m\n\"é").to_string(), "a\\u{1b}[31m\\n\\\"é");
        assert_eq!(Escaped(&"é".repeat(80)).to_string(), "é".repeat(80));
        assert_eq!(Escaped(&"é".repeat(81)).to_string(), format!("{}…", "é".repeat(80)));
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read\nthe file")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("the disk is gone"));
        assert_eq!(error_chain(&error), "cannot read the file: the disk is gone");
    }
}
