//! Translations: their headings, blocks and tables are those of the original, one by one.
//!
//! So a change of one document without the other fails. A block is run in the original only.

use std::fmt;

use crate::markdown::code;

/// The folder of the translations.
pub(crate) const FOLDER: &str = "docs/fr/";

/// Words of blocks that are translated.
const WORDS: [(&str, &str); 4] = [
    ("not compressed, ", "sans compression, "),
    (" bytes follow", " octets suivent"),
    ("field ", "champ "),
    (", wire type ", ", type filaire "),
];

/// What an original and its translation share, in the order of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    /// The level of a heading.
    Heading(usize),
    /// A block, with its fences.
    Block(String),
    /// The inline code of each row of a table, in alphabetical order.
    Table(Vec<Vec<String>>),
}

/// An element, with its line and the heading above it.
struct Place {
    element: Element,
    line: usize,
    heading: String,
}

/// Returns where a translation differs from its original.
pub(crate) fn problems(original: &str, translation: &str) -> Vec<String> {
    let (original, translation) = (places(original, true), places(translation, false));
    let ends = |index: usize| (original.get(index), translation.get(index));
    let length = original.len().max(translation.len());
    let first = (0..length).map(ends).find(|(original, translation)| {
        original.map(|place| &place.element) != translation.map(|place| &place.element)
    });
    first.map(|(original, translation)| difference(original, translation)).into_iter().collect()
}

/// Returns what a translation of only a part of its original has in addition, or in another order.
pub(crate) fn problems_of_part(original: &str, translation: &str) -> Vec<String> {
    let mut rest = places(original, true).into_iter();
    let unknown = |place: &Place| !rest.by_ref().any(|known| known.element == place.element);
    let first = places(translation, false).into_iter().find(unknown);
    first.map(|place| difference(None, Some(&place))).into_iter().collect()
}

/// Translates the words in the output of a check.
pub(crate) fn translated(text: &str) -> String {
    let text =
        WORDS.iter().fold(text.to_owned(), |text, (word, translation)| text.replace(word, translation));
    // Only the meaning of a field has a colon.
    let lines = text
        .lines()
        .map(|line| if line.contains("type filaire") { line.replace(": ", " : ") } else { line.to_owned() });
    lines.map(|line| line + "\n").collect()
}

fn difference(original: Option<&Place>, translation: Option<&Place>) -> String {
    let show = |place: Option<&Place>| place.map_or_else(|| "has nothing more".to_owned(), Place::to_string);
    format!("the original {}; the translation {}", show(original), show(translation))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.element {
            Element::Heading(level) => write!(f, "has a heading of level {level}")?,
            Element::Block(block) => write!(f, "has the block\n{block}\n")?,
            Element::Table(rows) => write!(f, "has a table of {} rows with the code {rows:?}", rows.len())?,
        }
        write!(f, " at line {}, below `{}`", self.line, self.heading)
    }
}

/// Returns the elements of a document. The blocks of an original are translated.
fn places(document: &str, is_original: bool) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut heading = String::new();
    let mut lines = (1..).zip(document.lines()).peekable();
    while let Some((line, text)) = lines.next() {
        let element = if text.starts_with("```") {
            let mut block = vec![text];
            block.extend(lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```"));
            let block = block.join("\n");
            let is_text = is_original && text.starts_with("```text movie=");
            Element::Block(if is_text { translated(&block).trim_end().to_owned() } else { block })
        } else if text.starts_with('#') {
            text.clone_into(&mut heading);
            Element::Heading(text.len() - text.trim_start_matches('#').len())
        } else if text.starts_with('|') {
            let mut rows = vec![code(text)];
            while let Some((_, row)) = lines.next_if(|(_, text)| text.starts_with('|')) {
                rows.push(code(row));
            }
            Element::Table(rows)
        } else {
            continue;
        };
        places.push(Place { element, line, heading: heading.clone() });
    }
    places
}
