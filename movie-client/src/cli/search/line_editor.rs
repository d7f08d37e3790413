//! The text that a person types, and the cursor in it.

use console::measure_text_width;

/// Longest text, in characters. The service refuses longer ones.
const MAX_CHARS: usize = 1_000;

/// A line of text with a cursor. Keys have the meaning that they have in shells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEditor {
    before_cursor: String,
    after_cursor: String,
}

impl LineEditor {
    /// Returns the whole text.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.before_cursor, self.after_cursor)
    }

    /// Returns the parts before and after the cursor.
    pub(super) fn parts(&self) -> (&str, &str) {
        (&self.before_cursor, &self.after_cursor)
    }

    /// Inserts text at the cursor, as far as the maximum length permits. Control characters, such as the line ends of pasted
    /// text, become blanks.
    pub(super) fn insert(&mut self, text: &str) {
        let left = MAX_CHARS.saturating_sub(self.text().chars().count());
        let text = text.chars().map(|typed| if typed.is_control() { ' ' } else { typed });
        self.before_cursor.extend(text.take(left));
    }

    /// Deletes the character before the cursor.
    pub(super) fn delete_back(&mut self) {
        self.before_cursor.pop();
    }

    /// Deletes the character after the cursor.
    pub(super) fn delete_forward(&mut self) {
        self.after_cursor.drain(..first_len(&self.after_cursor));
    }

    /// Deletes the word before the cursor, and the blanks after it.
    pub(super) fn delete_word(&mut self) {
        let words = self.before_cursor.trim_end();
        let end = words.trim_end_matches(|typed: char| !typed.is_whitespace()).len();
        self.before_cursor.truncate(end);
    }

    /// Deletes the text before the cursor.
    pub(super) fn delete_to_start(&mut self) {
        self.before_cursor.clear();
    }

    pub(super) fn move_left(&mut self) {
        let start = last_start(&self.before_cursor);
        self.after_cursor.insert_str(0, &self.before_cursor[start..]);
        self.before_cursor.truncate(start);
    }

    pub(super) fn move_right(&mut self) {
        let end = first_len(&self.after_cursor);
        self.before_cursor.extend(self.after_cursor.drain(..end));
    }

    pub(super) fn move_to_start(&mut self) {
        self.after_cursor.insert_str(0, &self.before_cursor);
        self.before_cursor.clear();
    }

    pub(super) fn move_to_end(&mut self) {
        self.before_cursor.push_str(&self.after_cursor);
        self.after_cursor.clear();
    }
}

/// Returns where the last character begins, together with the combining marks after it.
fn last_start(text: &str) -> usize {
    text.char_indices().rfind(|(_, found)| !is_combining(*found)).map_or(0, |(start, _)| start)
}

/// Returns the length of the first character, together with the combining marks after it, in bytes.
fn first_len(text: &str) -> usize {
    let mut rest = text.char_indices().skip(1);
    rest.find(|(_, found)| !is_combining(*found)).map_or(text.len(), |(end, _)| end)
}

/// Returns whether a character is shown in the place of the one before it.
fn is_combining(character: char) -> bool {
    measure_text_width(character.encode_utf8(&mut [0; 4])) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a text with a cursor at `|`.
    fn editor(text: &str) -> LineEditor {
        let (before, after) = text.split_once('|').unwrap();
        LineEditor { before_cursor: before.to_owned(), after_cursor: after.to_owned() }
    }

    fn edited(text: &str, edit: impl Fn(&mut LineEditor)) -> String {
        let mut editor = editor(text);
        edit(&mut editor);
        format!("{}|{}", editor.before_cursor, editor.after_cursor)
    }

    #[test]
    fn text_is_inserted_at_the_cursor() {
        assert_eq!(edited("al|n", |editor| editor.insert("ie")), "alie|n");
        assert_eq!(edited("|", |editor| editor.insert("to\nbe\t\u{1b}")), "to be  |");
        assert_eq!(editor("al|ien").text(), "alien");
    }

    #[test]
    fn a_text_has_a_maximum_length() {
        let mut editor = editor("|x");
        editor.insert(&"é".repeat(2_000));
        assert_eq!(editor.text(), format!("{}x", "é".repeat(999)));
    }

    #[test]
    fn the_cursor_moves_by_whole_characters_and_stops_at_the_ends() {
        assert_eq!(edited("Éa|b", LineEditor::move_left), "É|ab");
        assert_eq!(edited("七人|", LineEditor::move_left), "七|人");
        assert_eq!(edited("|ab", LineEditor::move_left), "|ab");
        assert_eq!(edited("a|七b", LineEditor::move_right), "a七|b");
        assert_eq!(edited("ab|", LineEditor::move_right), "ab|");
        assert_eq!(edited("a|b", LineEditor::move_to_start), "|ab");
        assert_eq!(edited("a|b", LineEditor::move_to_end), "ab|");
    }

    #[test]
    fn the_cursor_is_never_between_a_letter_and_its_marks() {
        assert_eq!(edited("ae\u{301}|b", LineEditor::move_left), "a|e\u{301}b");
        assert_eq!(edited("a|e\u{301}b", LineEditor::move_right), "ae\u{301}|b");
        assert_eq!(edited("a|e\u{301}b", LineEditor::delete_forward), "a|b");
        assert_eq!(edited("\u{301}|", LineEditor::move_left), "|\u{301}");
    }

    #[test]
    fn deletions_leave_the_rest_of_the_text() {
        assert_eq!(edited("ab|c", LineEditor::delete_back), "a|c");
        assert_eq!(edited("|c", LineEditor::delete_back), "|c");
        assert_eq!(edited("a|bc", LineEditor::delete_forward), "a|c");
        assert_eq!(edited("a|", LineEditor::delete_forward), "a|");
        assert_eq!(edited("to be  |or", LineEditor::delete_word), "to |or");
        assert_eq!(edited("to|", LineEditor::delete_word), "|");
        assert_eq!(edited("to be|or", LineEditor::delete_to_start), "|or");
    }
}
