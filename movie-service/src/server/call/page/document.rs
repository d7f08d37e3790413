//! The document of the page.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::body::Body;

use crate::server::call::page::poster_origin::PosterOrigin;
use crate::server::call::transcoding::conditional;
use crate::server::call::transcoding::response::with_etag;

/// The element that gets the origins of posters.
const POSTER_ORIGINS: &str = r#"<meta name="poster-origins" content="">"#;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The document, completed with the origins of posters.
#[derive(Debug)]
pub(super) struct Document {
    html: Bytes,
    etag: Option<HeaderValue>,
    policy: HeaderValue,
}

impl Document {
    pub(super) fn new(html: &str, poster_origins: &[PosterOrigin]) -> Self {
        let origins: Vec<_> = poster_origins.iter().map(PosterOrigin::as_str).collect();
        let origins = origins.join(" ");
        // No character of an origin needs to be escaped.
        let element = format!(r#"<meta name="poster-origins" content="{origins}">"#);
        let html = html.replacen(POSTER_ORIGINS, &element, 1);
        Self {
            etag: conditional::etag(None, html.as_bytes()),
            html: html.into(),
            policy: content_security_policy(&origins),
        }
    }

    pub(super) fn response(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(self.html.clone());
        let fields = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            // The names of assets change with each build, so a cached document has to be validated.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, self.policy.clone()),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
            (
                PERMISSIONS_POLICY,
                HeaderValue::from_static(
                    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
                ),
            ),
        ];
        response.headers_mut().extend(fields);
        with_etag(response, self.etag.clone(), headers)
    }
}

/// Returns what the document may load: its own files, calls of this service, and posters of these origins.
fn content_security_policy(poster_origins: &str) -> HeaderValue {
    let images = format!("img-src 'self' {poster_origins}");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; {}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html",
        images.trim_end()
    );
    // Cannot fail: an origin is a valid header.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::call::page::embedded::BUILD;

    #[test]
    fn the_embedded_document_has_a_place_for_the_origins_of_posters() {
        assert_eq!(BUILD.document.matches(POSTER_ORIGINS).count(), 1, "{}", BUILD.document);
    }

    #[test]
    fn origins_of_posters_are_in_the_document_and_in_the_policy() {
        let html = format!("<head>{POSTER_ORIGINS}</head>");
        let without = Document::new(&html, &[]);
        assert_eq!(without.html, html);
        assert!(without.policy.to_str().unwrap().contains("; img-src 'self'; "), "{without:?}");

        let origins = ["https://a.example", "http://b.example:8080"].map(|origin| origin.parse().unwrap());
        let with = Document::new(&html, &origins);
        let listed = "https://a.example http://b.example:8080";
        assert_eq!(with.html, format!(r#"<head><meta name="poster-origins" content="{listed}"></head>"#));
        let images = format!("; img-src 'self' {listed}; ");
        assert!(with.policy.to_str().unwrap().contains(&images), "{with:?}");
        assert_ne!(with.etag, without.etag);
    }
}
