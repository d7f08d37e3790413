//! Splits a document into parts that can be checked.

/// A part of a document, with its first line.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// Kind of a part.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A fenced block: the text after the opening fence, and the lines of the block.
    Block { info: String, lines: Vec<String> },
    /// Inline code.
    Code(String),
    /// Target of a link.
    Link(String),
    /// Markdown that is not supported, and therefore cannot be checked.
    Unreadable(&'static str),
}

/// Returns the parts of a document in order, without prose.
pub(crate) fn parts(document: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = (1..).zip(document.lines());
    let mut after_blank = true;
    while let Some((line, text)) = lines.next() {
        let mut add = |kind| parts.push(Part { line, kind });
        if let Some(info) = text.strip_prefix("```") {
            let mut block = Vec::new();
            let closed = loop {
                match lines.next() {
                    Some((_, "```")) => break true,
                    Some((_, text)) => block.push(text.to_owned()),
                    None => break false,
                }
            };
            add(Kind::Block { info: info.trim().to_owned(), lines: block });
            if !closed {
                add(Kind::Unreadable("a block that does not end"));
            }
        } else if text.trim_start().starts_with("```") || text.trim_start().starts_with("~~~") {
            add(Kind::Unreadable("a fence that is not ``` at the start of its line"));
        } else if after_blank && (text.starts_with("    ") || text.starts_with('\t')) {
            add(Kind::Unreadable("a block without a fence"));
        } else {
            sentence(text, &mut add);
        }
        after_blank = text.trim().is_empty();
    }
    parts
}

/// Returns the headings of a document as the ends of links, as GitHub makes them.
pub(crate) fn anchors(document: &str) -> Vec<String> {
    let mut is_block = false;
    let mut headings = Vec::new();
    for line in document.lines() {
        is_block ^= line.starts_with("```");
        let text = line.trim_start_matches('#');
        if !is_block && text.len() < line.len() && text.starts_with(' ') {
            let kept = text.trim().chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
            headings.push(kept.collect::<String>().to_lowercase().replace(' ', "-"));
        }
    }
    headings
}

/// Adds the inline code and the links of a line of prose.
fn sentence(text: &str, add: &mut impl FnMut(Kind)) {
    let mut pieces = text.split('`');
    while let Some(prose) = pieces.next() {
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.for_each(|(target, _)| add(Kind::Link(target.to_owned())));
        let Some(code) = pieces.next() else { return };
        add(Kind::Code(code.to_owned()));
    }
    add(Kind::Unreadable("a ` without its pair in the same line"));
}

/// Returns the inline code of a line, in alphabetical order.
pub(crate) fn code(line: &str) -> Vec<String> {
    let mut code: Vec<String> = line.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    code.sort_unstable();
    code
}
