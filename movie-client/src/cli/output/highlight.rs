//! The parts of a movie's texts that match a search.

use console::Style;

use super::OutputOptions;
use super::text_format::line;
use crate::Hit;

/// Returns the style of a part that matches.
pub(super) fn style(options: &OutputOptions) -> Style {
    options.style(Style::new().cyan().bold())
}

/// Formats a text of a movie for people, with the matching parts in a style.
pub(super) fn highlighted(hit: &Hit, field: &str, index: usize, style: &Style) -> String {
    let part = |(part, is_match)| {
        let part = line(part);
        if is_match { style.apply_to(part).to_string() } else { part.into_owned() }
    };
    hit.parts(field, index).into_iter().map(part).collect()
}

/// Formats the matching texts of all fields except these.
pub(super) fn matches_outside(fields: &[&str], hit: &Hit, style: &Style) -> String {
    let highlights = hit.highlights.iter().filter(|found| !fields.contains(&found.field.as_str()));
    let texts = highlights.map(|found| highlighted(hit, &found.field, found.index, style));
    texts.collect::<Vec<_>>().join(", ")
}
