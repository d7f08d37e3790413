//! Sites that posters of movies may come from.

use std::str::FromStr;

use crate::server::call::origin::Origin;

/// An origin that the page may load posters from, such as `https://posters.example`. It consists of ASCII letters, digits and
/// `-._:/`, so that it needs no escaping in headers and HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosterOrigin(String);

/// The text is not a valid [`PosterOrigin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPosterOrigin {
    /// `*`.
    #[error(
        "`*` would tell any site who looks at its posters; list the origins, for example https://posters.example"
    )]
    Any,
    /// The host is an IPv6 address.
    #[error("browsers accept no IPv6 address here; use a host name, for example https://posters.example")]
    Ipv6,
    /// Anything else.
    #[error(
        "expected http:// or https:// with a host, an optional port and no path, for example https://posters.example"
    )]
    Malformed,
}

impl PosterOrigin {
    /// Returns the origin as browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PosterOrigin {
    type Err = InvalidPosterOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidPosterOrigin> {
        match text.parse() {
            Ok(Origin::Any) => Err(InvalidPosterOrigin::Any),
            Ok(Origin::Site(site)) => {
                let site = site.to_str().map_err(|_| InvalidPosterOrigin::Malformed)?;
                // The grammar of host sources has none (Content Security Policy Level 3, section 2.3.1).
                if site.contains('[') { Err(InvalidPosterOrigin::Ipv6) } else { Ok(Self(site.to_owned())) }
            }
            Err(_) => Err(InvalidPosterOrigin::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, InvalidPosterOrigin> {
        text.parse::<PosterOrigin>().map(|origin| origin.as_str().to_owned())
    }

    #[test]
    fn an_origin_is_one_site_without_a_path() {
        for (text, expected) in [
            ("https://posters.example", "https://posters.example"),
            ("HTTPS://Posters.Example:443/", "https://posters.example"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://192.0.2.1", "http://192.0.2.1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected));
        }
        for (text, expected) in [
            ("*", InvalidPosterOrigin::Any),
            ("https://[::1]", InvalidPosterOrigin::Ipv6),
            ("https://posters.example/w500", InvalidPosterOrigin::Malformed),
            ("https://*.example", InvalidPosterOrigin::Malformed),
            ("posters.example", InvalidPosterOrigin::Malformed),
            ("data:", InvalidPosterOrigin::Malformed),
            ("https:", InvalidPosterOrigin::Malformed),
            ("https://a.example https://b.example", InvalidPosterOrigin::Malformed),
            ("https://a.example;script-src", InvalidPosterOrigin::Malformed),
            ("https://a\"b.example", InvalidPosterOrigin::Malformed),
            ("'self'", InvalidPosterOrigin::Malformed),
            ("", InvalidPosterOrigin::Malformed),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
