//! The files of the page, ready to be sent.

use http::{HeaderMap, Response};
use tonic::body::Body;

use crate::server::call::page::asset::Asset;
use crate::server::call::page::document::Document;
use crate::server::call::page::embedded::BUILD;
use crate::server::call::page::poster_origin::PosterOrigin;

/// The files of the page.
#[derive(Debug)]
pub(crate) struct PageFiles {
    document: Document,
    assets: Vec<Asset>,
}

impl PageFiles {
    /// The page, with posters from these origins.
    pub(crate) fn new(poster_origins: &[PosterOrigin]) -> Self {
        let document = Document::new(BUILD.document, poster_origins);
        Self { document, assets: BUILD.assets.iter().map(Asset::new).collect() }
    }

    /// Returns the response with the document.
    pub(crate) fn document(&self, headers: &HeaderMap) -> Response<Body> {
        self.document.response(headers)
    }

    /// Returns the asset with exactly this path.
    pub(crate) fn asset(&self, path: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.path() == path)
    }
}
