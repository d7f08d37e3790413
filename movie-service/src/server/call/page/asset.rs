//! The assets of the page, each with its compressed variants.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response};
use tonic::body::Body;

use crate::server::call::page::embedded::EmbeddedAsset;
use crate::server::call::transcoding::conditional;
use crate::server::call::transcoding::request::preferred_coding;
use crate::server::call::transcoding::response::with_etag;

/// The folder of assets whose names contain a hash of their contents.
const HASHED_ASSETS_DIR: &str = "/assets/";

/// A file that the document loads.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    identity: Variant,
    /// The compressed variants.
    compressed: Vec<Variant>,
}

/// An asset in one encoding.
#[derive(Debug)]
struct Variant {
    /// The content coding; empty for none.
    encoding: &'static str,
    body: &'static [u8],
    etag: Option<HeaderValue>,
}

impl Variant {
    fn new(encoding: &'static str, body: &'static [u8]) -> Self {
        Self { encoding, body, etag: conditional::etag(None, body) }
    }
}

impl Asset {
    pub(super) fn new(asset: &EmbeddedAsset) -> Self {
        let &EmbeddedAsset { path, content_type, identity, brotli, gzip } = asset;
        let compressed = [("br", brotli), ("gzip", gzip)].into_iter();
        let compressed = compressed.filter_map(|(encoding, body)| Some(Variant::new(encoding, body?)));
        Self { path, content_type, identity: Variant::new("", identity), compressed: compressed.collect() }
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// Returns the response with the variant that the caller accepts.
    pub(crate) fn response(&self, headers: &HeaderMap) -> Response<Body> {
        let Variant { encoding, body, etag } = self.variant(headers);
        let mut response = Response::new(Bytes::from_static(body));
        let response_headers = response.headers_mut();
        response_headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response_headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let caching = if self.path.starts_with(HASHED_ASSETS_DIR) {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        response_headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        if !encoding.is_empty() {
            response_headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        with_etag(response, etag.clone(), headers)
    }

    /// Returns the variant that the caller prefers.
    fn variant(&self, headers: &HeaderMap) -> &Variant {
        let coding = preferred_coding(headers);
        self.compressed.iter().find(|variant| variant.encoding == coding).unwrap_or(&self.identity)
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::*;
    use crate::server::call::page::embedded::BUILD;

    const ASSET: EmbeddedAsset = EmbeddedAsset {
        path: "/assets/a.js",
        content_type: "text/javascript",
        identity: b"identity",
        brotli: Some(b"brotli"),
        gzip: Some(b"gzip"),
    };

    fn accepting(encodings: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(encodings).unwrap())])
    }

    #[test]
    fn the_encoding_is_the_one_that_the_caller_prefers() {
        let asset = Asset::new(&ASSET);
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, deflate", "gzip"),
            ("GZIP", "gzip"),
            ("br;q=0.5, gzip", "gzip"),
            ("br;q=0, *", "gzip"),
            ("*", "br"),
            ("*;q=0", ""),
            ("br;q=0, gzip;q=0", ""),
            ("identity", ""),
            ("identity, gzip;q=0.5", ""),
            ("identity, gzip", "gzip"),
            ("zstd", ""),
            ("br;q=NaN", ""),
            ("", ""),
        ] {
            assert_eq!(asset.variant(&accepting(accepted)).encoding, expected, "{accepted}");
        }
        assert_eq!(asset.variant(&HeaderMap::new()).encoding, "");
        let plain = Asset::new(&EmbeddedAsset { brotli: None, gzip: None, ..ASSET });
        assert_eq!(plain.variant(&accepting("br")).encoding, "");
    }

    #[test]
    fn only_assets_with_a_hash_in_their_names_are_cached_for_long() {
        for (path, caching) in
            [("/assets/a.js", "public, max-age=31536000, immutable"), ("/icon.svg", "no-cache")]
        {
            let response = Asset::new(&EmbeddedAsset { path, ..ASSET }).response(&HeaderMap::new());
            assert_eq!(response.headers()[CACHE_CONTROL], caching, "{path}");
        }
    }

    #[test]
    fn the_scripts_of_the_page_have_at_most_60_kb() {
        let scripts = BUILD.assets.iter().filter(|asset| asset.content_type.starts_with("text/javascript"));
        let bytes: usize = scripts.map(|asset| asset.brotli.unwrap_or(asset.identity).len()).sum();
        assert!((1..=60_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn the_embedded_variants_differ_and_are_shorter_than_the_asset() {
        for asset in BUILD.assets {
            for variant in [asset.brotli, asset.gzip].into_iter().flatten() {
                assert!(variant.len() < asset.identity.len(), "{}", asset.path);
            }
            assert!(asset.brotli.is_none() || asset.brotli != asset.gzip, "{}", asset.path);
        }
    }
}
