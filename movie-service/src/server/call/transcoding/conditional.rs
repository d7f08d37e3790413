//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13.1).

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use xxhash_rust::xxh3::xxh3_64;

/// The condition of `If-Match` for a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// There is none.
    Absent,
    /// `*`: the resource exists.
    Existing,
    /// The resource has this etag, which is strong.
    Etag(String),
    /// The resource has this weak etag: never true, because the comparison is strong (RFC 9110, section 13.1.1).
    Weak,
    /// The header has no etag, an invalid one, or several. A call compares one.
    Invalid,
}

impl IfMatch {
    /// Reads the header.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else { return Self::Absent };
        let value = str::from_utf8(value.as_bytes()).map(str::trim).unwrap_or_default();
        if values.next().is_some() {
            return Self::Invalid;
        }
        let is_quoted = |etag: &str| {
            let etag = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"'));
            etag.is_some_and(|etag| !etag.is_empty() && !etag.contains('"'))
        };
        match value.strip_prefix("W/") {
            Some(etag) if is_quoted(etag) => Self::Weak,
            None if value == "*" => Self::Existing,
            None if is_quoted(value) => Self::Etag(value.to_owned()),
            _ => Self::Invalid,
        }
    }
}

/// Returns the strong etag of a body: the etag of its resource, which is in quotes, or a hash of the body.
pub(crate) fn etag(of_resource: Option<&str>, body: &[u8]) -> Option<HeaderValue> {
    match of_resource {
        Some(etag) if !etag.is_empty() => HeaderValue::from_str(etag).ok(),
        _ => HeaderValue::try_from(format!("\"{:016x}\"", xxh3_64(body))).ok(),
    }
}

/// Returns whether `If-None-Match` names this etag, so that the caller has the body already.
pub(crate) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = opaque(etag.as_bytes());
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        let value = value.as_bytes();
        value.trim_ascii() == b"*"
            || value.split(|byte| *byte == b',').any(|known| opaque(known.trim_ascii()) == etag)
    })
}

/// Makes the etag of a response weak, because its body has been compressed.
pub(crate) fn weaken(headers: &mut HeaderMap) {
    let weak = headers.get(ETAG).map(|etag| [b"W/", opaque(etag.as_bytes())].concat());
    if let Some(weak) = weak.and_then(|etag| HeaderValue::from_bytes(&etag).ok()) {
        headers.insert(ETAG, weak);
    }
}

/// Returns an etag without the mark of a weak one.
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &http::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_write_can_be_bound_to_one_strong_etag() {
        for (values, expected) in [
            (&[][..], IfMatch::Absent),
            (&["*"], IfMatch::Existing),
            (&["\"3f\""], IfMatch::Etag("\"3f\"".to_owned())),
            (&[" \"3f\" "], IfMatch::Etag("\"3f\"".to_owned())),
            (&["\"a, b\""], IfMatch::Etag("\"a, b\"".to_owned())),
            (&["W/\"3f\""], IfMatch::Weak),
            (&["3f"], IfMatch::Invalid),
            (&["W/3f"], IfMatch::Invalid),
            (&["\""], IfMatch::Invalid),
            (&["\"\""], IfMatch::Invalid),
            (&["\"3f\", \"40\""], IfMatch::Invalid),
            (&["\"3f\"", "\"40\""], IfMatch::Invalid),
            (&["W/\"3f\", \"40\""], IfMatch::Invalid),
            (&[""], IfMatch::Invalid),
        ] {
            assert_eq!(IfMatch::of(&headers(&IF_MATCH, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn a_body_is_known_by_any_of_the_etags_weak_or_strong() {
        let etag = HeaderValue::from_static("\"3f\"");
        for (value, expected) in [
            ("\"3f\"", true),
            ("W/\"3f\"", true),
            ("\"40\", W/\"3f\"", true),
            ("*", true),
            ("\"40\"", false),
            ("3f", false),
            ("", false),
        ] {
            assert_eq!(is_known(&headers(&IF_NONE_MATCH, &[value]), &etag), expected, "{value}");
        }
    }

    #[test]
    fn an_etag_is_that_of_the_resource_or_of_the_body() {
        assert_eq!(etag(Some("\"3f\""), b"{}").unwrap(), "\"3f\"");
        assert_eq!(etag(None, b"{}"), etag(Some(""), b"{}"));
        assert_ne!(etag(None, b"{}"), etag(None, b"[]"));
        let mut weak = headers(&ETAG, &["\"3f\""]);
        weaken(&mut weak);
        weaken(&mut weak);
        assert_eq!(weak[ETAG], "W/\"3f\"");
    }
}
