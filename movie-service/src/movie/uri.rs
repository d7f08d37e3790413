//! The rule of URIs.

use http::Uri;
use http::uri::Scheme;

/// The rule, for error messages.
pub(super) const RULE: &str =
    "an absolute https URI with a host, without user information, of at most 1000 bytes, or nothing";

/// Maximum length of a URI.
const MAX_BYTES: usize = 1_000;

/// The characters of a URI other than letters, digits and percent-encoded bytes (RFC 3986 §2.2 and §2.3).
const PUNCTUATION: &[u8] = b"-._~:/?#[]@!$&'()*+,;=";

/// Returns whether a text is an absolute `https` URI with a host, of valid length.
///
/// User information is refused, because it can disguise the host (RFC 9110 §4.2.4).
pub(super) fn is_valid(text: &str) -> bool {
    text.len() <= MAX_BYTES && has_valid_characters(text) && text.parse().is_ok_and(|uri| is_https(&uri))
}

/// Returns whether a text consists of the characters of a URI and percent-encoded bytes (RFC 3986 §2).
///
/// The parser of `http` accepts further characters, such as quotes and letters outside of ASCII.
fn has_valid_characters(text: &str) -> bool {
    let mut pieces = text.as_bytes().split(|byte| *byte == b'%');
    let is_plain =
        |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || PUNCTUATION.contains(byte));
    pieces.next().is_some_and(is_plain)
        && pieces.all(|piece| match piece {
            [high, low, rest @ ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && is_plain(rest),
            _ => false,
        })
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
        && uri.authority().is_some_and(|authority| {
            let host = authority.host();
            !host.is_empty() && (authority.as_str() == host || is_with_port(authority.as_str(), host))
        })
}

/// Returns whether an authority is a host and a port.
fn is_with_port(authority: &str, host: &str) -> bool {
    let port = authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    // `parse` alone accepts a sign (RFC 3986 §3.2.3 does not).
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_absolute_https_uri_is_valid() {
        for uri in [
            "https://posters.example",
            "https://posters.example/",
            "https://posters.example:8443/a/b.jpg?size=large&v=2#top",
            "https://posters.example/Am%C3%A9lie.jpg",
            "https://xn--bcher-kva.example/a_(b)~c;d=e,f",
            "https://192.0.2.1/a.jpg",
            "https://[2001:db8::1]/a.jpg",
            "https://[2001:db8::1]:443/a.jpg",
            "HTTPS://POSTERS.EXAMPLE/A.JPG",
        ] {
            assert!(is_valid(uri), "{uri}");
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for text in [
            "",
            "posters.example/a.jpg",
            "/a.jpg",
            "//posters.example/a.jpg",
            "http://posters.example/a.jpg",
            "ftp://posters.example/a.jpg",
            "javascript:alert(1)",
            "https://posters.example:+443/a.jpg",
            "data:image/png;base64,AA==",
            "https:posters.example",
            "https:/posters.example",
            "https://",
            "https:///a.jpg",
            "https://:443/a.jpg",
            "https://posters.example:port/a.jpg",
            "https://posters.example:65536/a.jpg",
            "https://user@posters.example/a.jpg",
            "https://posters.example:443@other.example/a.jpg",
            "https://posters.example/a b.jpg",
            " https://posters.example/a.jpg",
            "https://posters.example/a.jpg\n",
            "https://posters.example/Amélie.jpg",
            "https://bücher.example/a.jpg",
            "https://posters.example/\"a\".jpg",
            "https://posters.example/<script>",
            "https://posters.example\\a.jpg",
            "https://posters.example/100%",
            "https://posters.example/%4",
            "https://posters.example/%zz",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }

    #[test]
    fn the_length_is_limited_in_bytes() {
        let uri = |bytes: usize| format!("https://posters.example/{}", "x".repeat(bytes - 24));
        assert_eq!(uri(MAX_BYTES).len(), MAX_BYTES);
        assert!(is_valid(&uri(MAX_BYTES)) && !is_valid(&uri(MAX_BYTES + 1)));
        assert!(RULE.contains(&MAX_BYTES.to_string()));
    }

    proptest! {
        #[test]
        fn a_valid_uri_has_the_scheme_a_host_and_no_character_that_html_or_a_terminal_interprets(
            rest in "[!-~é\u{202e} ]{0,30}"
        ) {
            let text = format!("https://{rest}");
            if is_valid(&text) {
                let is_unsafe = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c);
                prop_assert!(!text.contains(is_unsafe));
                prop_assert!(!rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']));
            }
        }
    }
}
