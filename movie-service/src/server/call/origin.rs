//! Checks of `Origin` and `Host`: which pages may call the service.
//!
//! A browser lets a page of any site send requests, and read the responses of its own site. The `Origin` of a page must be
//! allowed, or be the service itself (<https://fetch.spec.whatwg.org/#http-cors-protocol>). The `Host` of a service that
//! listens on the loopback interface must not be a domain name that an attacker can resolve to that interface (DNS
//! rebinding). On other interfaces the `Host` is not checked, and such a page can read: use tokens there.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ETAG, HOST, LOCATION, ORIGIN, RETRY_AFTER};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Version};
use tonic::Status;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::server::call::compression::negotiation::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING};
use crate::server::call::transcoding::error::HttpError;

/// Response headers that a page may read, in addition to the CORS-safelisted ones.
const EXPOSED_HEADERS: [HeaderName; 8] = [
    Status::GRPC_STATUS,
    Status::GRPC_MESSAGE,
    Status::GRPC_STATUS_DETAILS,
    GRPC_ENCODING,
    GRPC_ACCEPT_ENCODING,
    ETAG,
    LOCATION,
    RETRY_AFTER,
];

/// How long a browser may cache a preflight response; Chromium's maximum.
const PREFLIGHT_LIFETIME: Duration = Duration::from_hours(2);

/// An allowed origin (RFC 6454), or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Any origin; written `*`.
    Any,
    /// One origin, such as `https://films.example`: scheme, host, and the port unless it is the default of the scheme.
    Site(HeaderValue),
}

/// The text is not a valid [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `*`, or http:// or https:// with a host, an optional port and no path, for example https://films.example or http://localhost:8080"
)]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parses an origin, and normalizes it as browsers do: in lower case, without the default port or a slash at the end.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(InvalidOrigin),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority: Authority = rest.parse().map_err(|_| InvalidOrigin)?;
        let host = authority.host();
        // `Authority` also accepts user info and characters that no host name has.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        let after = rest.strip_prefix(host).ok_or(InvalidOrigin)?;
        let has_port = after.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if host.is_empty() || !host.bytes().all(is_host) || !(after.is_empty() || has_port) {
            return Err(InvalidOrigin);
        }
        // After the check, so that `host:8080:443` is not accepted.
        let rest = rest.strip_suffix(default_port).unwrap_or(rest);
        HeaderValue::try_from(format!("{scheme}://{rest}")).map(Self::Site).map_err(|_| InvalidOrigin)
    }
}

/// Decides which pages may call.
#[derive(Clone)]
pub(crate) struct OriginPolicy {
    allowed: Arc<[Origin]>,
    /// Whether a page that the service itself serves may call.
    allows_same_origin: bool,
    /// Whether the service uses TLS.
    is_secure: bool,
    /// Whether the service listens on the loopback interface only.
    is_loopback: bool,
}

/// Who sends a request that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A program, or a page of an origin that is allowed by name or is the service's own.
    Known,
    /// A page of some site, allowed by `*` only.
    AnySite,
}

/// An extension of requests from [`Sender::AnySite`]: they may not write anonymously.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromAnySite;

impl OriginPolicy {
    /// Allows pages of `origins` and, if `allows_same_origin`, pages of the service itself.
    pub(crate) fn new(
        origins: &[Origin],
        allows_same_origin: bool,
        is_secure: bool,
        is_loopback: bool,
    ) -> Self {
        Self { allowed: origins.into(), allows_same_origin, is_secure, is_loopback }
    }

    /// Checks the `Host` and the `Origin` of a request.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the host is missing, if the service does not answer for it, or if pages of the origin may not call.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<Sender, HttpError> {
        // RFC 9112, section 3.2.
        if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
            return Err(HttpError::HostInvalid);
        }
        let authority = authority(request);
        let host = authority.map(host_of).unwrap_or_default();
        if self.is_loopback && !self.is_own_host(host) {
            return Err(HttpError::HostNotServed(host.to_owned()));
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(Sender::Known) };
        // A browser sends one origin. A list (RFC 6454, section 7.3) would be allowed as a whole, with all of its origins.
        let is_single =
            origins.next().is_none() && !origin.as_bytes().iter().any(|byte| b" ,".contains(byte));
        let is_named =
            self.allowed.iter().any(|allowed| matches!(allowed, Origin::Site(site) if site == origin));
        if !is_single {
            let origins = request.headers().get_all(ORIGIN).iter();
            let origins = origins.map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            return Err(HttpError::SeveralOrigins(origins.collect::<Vec<_>>().join(", ")));
        }
        if origin.as_bytes() == b"null" {
            return Err(HttpError::OriginNull);
        }
        if is_named || self.is_same_origin(origin, authority, host) {
            Ok(Sender::Known)
        } else if self.allowed.contains(&Origin::Any) {
            Ok(Sender::AnySite)
        } else {
            let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
            Err(HttpError::OriginNotAllowed(origin))
        }
    }

    /// Returns the layer that answers preflight requests, and lets allowed pages read responses.
    pub(crate) fn cors(&self) -> CorsLayer {
        let allowed = if self.allowed.contains(&Origin::Any) {
            AllowOrigin::any()
        } else {
            AllowOrigin::list(self.allowed.iter().filter_map(|origin| match origin {
                Origin::Any => None,
                Origin::Site(site) => Some(site.clone()),
            }))
        };
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
            // Metadata of a call is its headers, so any may be sent.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED_HEADERS)
            .max_age(PREFLIGHT_LIFETIME)
    }

    /// Returns whether a page comes from this service. Only for hosts that no stranger's name can stand for.
    fn is_same_origin(&self, origin: &HeaderValue, authority: Option<&str>, host: &str) -> bool {
        let scheme = if self.is_secure { "https" } else { "http" };
        let own = authority.map(|authority| format!("{scheme}://{}", authority.to_ascii_lowercase()));
        self.allows_same_origin
            && self.is_own_host(host)
            && own.is_some_and(|own| own.as_bytes() == origin.as_bytes())
    }

    /// Returns whether a host is an IP address, `localhost`, or the host of an allowed origin.
    fn is_own_host(&self, host: &str) -> bool {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_listed = |origin: &Origin| match origin {
            Origin::Any => false,
            Origin::Site(site) => {
                let site = site.to_str().unwrap_or_default();
                let authority = site.split_once("://").map(|(_, authority)| authority);
                authority.is_some_and(|authority| host_of(authority).eq_ignore_ascii_case(host))
            }
        };
        IpAddr::from_str(address).is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.allowed.iter().any(is_listed)
    }
}

/// Returns the host and port that a request is for.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let of_uri = request.uri().authority().map(Authority::as_str);
    of_uri.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// Returns the host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rfind(':') {
        // The colons of an IPv6 address are within brackets.
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://films.example";

    fn parse(origin: &str) -> Result<Origin, InvalidOrigin> {
        origin.parse()
    }

    #[test]
    fn origins_are_normalized_as_browsers_do() {
        assert_eq!(parse("*"), Ok(Origin::Any));
        for (text, expected) in [
            (SITE, SITE),
            ("HTTPS://Films.Example/", SITE),
            ("https://films.example:443", SITE),
            ("http://films.example:443", "http://films.example:443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(parse(text), Ok(Origin::Site(HeaderValue::from_static(expected))), "{text}");
        }
    }

    #[test]
    fn an_invalid_origin_is_rejected() {
        for text in [
            "",
            "null",
            "films.example",
            "https://",
            "https://:8080",
            "ftp://films.example",
            "https://films.example/path",
            "https://films.example?query",
            "https://films.example#part",
            "https://films.example//",
            "https://user@films.example",
            "https://*.example",
            "https://films.example,https://b.example",
            "https://a.example,b.example",
            "https://films.example:",
            "https://films.example:65536",
            "https://films.example:8080:8080",
            "https://films.example:8080:443",
            "http://films.example:80:80",
            "https://films .example",
            "https://fílms.example",
        ] {
            assert_eq!(parse(text), Err(InvalidOrigin), "{text:?}");
        }
    }

    fn request(host: &str, origin: &str) -> Request<()> {
        let request = Request::get("/v1/catalog").header(HOST, host);
        let request = if origin.is_empty() { request } else { request.header(ORIGIN, origin) };
        request.body(()).unwrap()
    }

    fn policy(origins: &[&str], is_secure: bool, is_loopback: bool) -> OriginPolicy {
        let origins: Vec<_> = origins.iter().map(|origin| parse(origin).unwrap()).collect();
        OriginPolicy::new(&origins, true, is_secure, is_loopback)
    }

    #[test]
    fn a_page_may_call_if_its_origin_is_listed_or_the_service_itself() {
        for (origins, is_secure, host, origin, expected) in [
            (&[][..], false, "any.example", "", Some(Sender::Known)),
            (&[], false, "localhost:3001", "http://localhost:3001", Some(Sender::Known)),
            (&[], true, "192.0.2.1", "https://192.0.2.1", Some(Sender::Known)),
            (&[], true, "localhost:3001", "http://localhost:3001", None),
            // Any site can have a name that points here.
            (&[], false, "any.example", "http://any.example", None),
            (&[SITE], true, "films.example", SITE, Some(Sender::Known)),
            (&[SITE], false, "FILMS.example:3001", "http://films.example:3001", Some(Sender::Known)),
            (&[SITE], false, "localhost", "http://films.example", None),
            (&["*"], false, "localhost", SITE, Some(Sender::AnySite)),
            (&["*", SITE], false, "localhost", SITE, Some(Sender::Known)),
            (&["*"], false, "localhost", "null", None),
            (&["*"], false, "localhost", "https://a.example https://b.example", None),
            (&["*"], false, "localhost", "https://a.example, https://b.example", None),
        ] {
            let sender = policy(origins, is_secure, false).check(&request(host, origin));
            assert_eq!(sender.ok(), expected, "{origins:?} {host} {origin}");
        }
        let only_listed = OriginPolicy::new(&[], false, false, false);
        assert!(only_listed.check(&request("localhost", "http://localhost")).is_err());
    }

    #[test]
    fn two_origins_may_not_call_even_if_one_of_them_may() {
        for (origins, own) in [(&[SITE][..], SITE), (&["*"], SITE), (&[], "http://localhost")] {
            for second in [own, "https://evil.example"] {
                let mut request = request("localhost", own);
                assert!(policy(origins, false, false).check(&request).is_ok());
                request.headers_mut().append(ORIGIN, HeaderValue::from_static(second));
                let checked = policy(origins, false, false).check(&request);
                let expected = HttpError::SeveralOrigins(format!("{own}, {second}"));
                assert_eq!(checked, Err(expected), "{origins:?}");
            }
        }
    }

    #[test]
    fn on_the_loopback_interface_the_host_has_to_be_known() {
        for (host, is_served) in [
            ("localhost", true),
            ("LOCALHOST:3001", true),
            ("127.0.0.1:3001", true),
            ("[::1]:3001", true),
            ("films.example", true),
            ("", false),
            ("evil.example", false),
            ("localhost.evil.example:3001", false),
            ("127.0.0.1.evil.example", false),
        ] {
            let checked = policy(&[SITE], false, true).check(&request(host, ""));
            assert_eq!(checked.is_ok(), is_served, "{host}: {checked:?}");
        }
    }
}
