//! The committed build of the page, embedded in the binary.

pub(super) struct Build {
    /// The document, without the origins of posters.
    pub(super) document: &'static str,
    pub(super) assets: &'static [EmbeddedAsset],
}

/// A file that the document loads, with its compressed variants if it is long enough to have them.
pub(super) struct EmbeddedAsset {
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) identity: &'static [u8],
    pub(super) brotli: Option<&'static [u8]>,
    pub(super) gzip: Option<&'static [u8]>,
}

/// The included file lists the files of the build.
pub(super) const BUILD: Build = include!("../../../../web/dist/files.rs");
