//! Text for errors and log lines.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

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

/// Returns names of protobuf as those of JSON: `poster_uri` as `posterUri`.
#[must_use]
pub fn camel_case(names: &str) -> String {
    let mut is_after_underscore = false;
    let letters = names.chars().filter_map(|letter| {
        let is_underscore = letter == '_';
        let letter = if is_after_underscore { letter.to_ascii_uppercase() } else { letter };
        is_after_underscore = is_underscore;
        (!is_underscore).then_some(letter)
    });
    letters.collect()
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

/// Returns an error of creating `path`, which names the folder if that is what is missing.
#[must_use]
pub fn name_missing_folder(error: io::Error, path: &Path) -> io::Error {
    match path.parent() {
        Some(folder)
            if error.kind() == io::ErrorKind::NotFound
                && folder.as_os_str() != ""
                && folder.try_exists().is_ok_and(|exists| !exists) =>
        {
            io::Error::new(error.kind(), format!("the directory `{}` does not exist", folder.display()))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_escaped_and_has_at_most_80_characters() {
        assert_eq!(Escaped("a\u{1b}[31m\n\"é").to_string(), "a\\u{1b}[31m\\n\\\"é");
        assert_eq!(Escaped(&"é".repeat(80)).to_string(), "é".repeat(80));
        assert_eq!(Escaped(&"é".repeat(81)).to_string(), format!("{}…", "é".repeat(80)));
    }

    #[test]
    fn a_missing_folder_is_named_and_other_errors_stay() {
        let missing = || io::Error::from_raw_os_error(2);
        let named = |error, path| name_missing_folder(error, Path::new(path)).to_string();
        assert_eq!(named(missing(), "/no/folder/x.db"), "the directory `/no/folder` does not exist");
        for path in ["x.db", "/x.db", "/"] {
            assert_eq!(named(missing(), path), missing().to_string(), "{path}");
        }
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(named(denied, "/no/folder/x.db"), "permission denied");
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
