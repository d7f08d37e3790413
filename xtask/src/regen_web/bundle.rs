//! The build of the page: Vite's bundle, its compressed variants, and the Rust file that embeds them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::generated::{self, Files};
use crate::node::npm;
use crate::regen_web::WEB_DIR;

/// The document, which the service completes when it starts.
pub(super) const DOCUMENT: &str = "index.html";

/// The place in the document where the service writes the origins of posters.
pub(super) const POSTER_ORIGINS: &str = r#"<meta name="poster-origins" content="">"#;

/// The Rust file that embeds the build.
const RUST: &str = "files.rs";

/// Minimum size of a file that has compressed variants, in bytes.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// The file name extensions of compressed variants: brotli and gzip.
const VARIANTS: [&str; 2] = [".br", ".gz"];

/// Builds the page in a temporary folder, and returns the files of the build.
pub(super) fn build(root: &Path) -> Result<Files> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("dist");
    let web = root.join(WEB_DIR);
    npm(
        &web,
        [
            "run".as_ref(),
            "build".as_ref(),
            "--".as_ref(),
            "--emptyOutDir".as_ref(),
            "--outDir".as_ref(),
            out.as_os_str(),
        ],
    )?;
    finish(generated::read(folder.path(), "dist")?)
}

/// Adds the compressed variants and the Rust file to Vite's bundle.
pub(super) fn finish(mut files: Files) -> Result<Files> {
    let document = files.get(DOCUMENT).with_context(|| format!("the build has no {DOCUMENT}"))?;
    let places = str::from_utf8(document).context(DOCUMENT)?.matches(POSTER_ORIGINS).count();
    ensure!(places == 1, "{DOCUMENT} needs one {POSTER_ORIGINS}, it has {places}");
    let mut variants = Files::new();
    for (path, contents) in files.iter().filter(|(path, _)| *path != DOCUMENT) {
        if contents.len() >= MIN_COMPRESSED_BYTES {
            let [brotli, gzip] = VARIANTS.map(|variant| format!("{path}{variant}"));
            variants.insert(brotli, compress_brotli(contents)?);
            variants.insert(gzip, compress_gzip(contents)?);
        }
    }
    files.extend(variants);
    files.insert(RUST.to_owned(), rust(&files)?.into_bytes());
    Ok(files)
}

fn compress_brotli(contents: &[u8]) -> Result<Vec<u8>> {
    let parameters =
        BrotliEncoderParams { quality: 11, size_hint: contents.len(), ..BrotliEncoderParams::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*contents, &mut compressed, &parameters)?;
    Ok(compressed)
}

/// Without a time, so that equal contents give equal bytes.
fn compress_gzip(contents: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(contents)?;
    Ok(encoder.finish()?)
}

/// Returns the Rust expression that embeds the files, of types of the service.
fn rust(files: &Files) -> Result<String> {
    let mut code = String::from("// Made by `cargo xtask regen-web`: the files of this folder, embedded.\n");
    writeln!(code, "Build {{\n    document: include_str!(\"{DOCUMENT}\"),\n    assets: &[")?;
    for path in files.keys().filter(|path| *path != DOCUMENT && !is_variant(path)) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
        ensure!(path.bytes().all(is_plain), "the name of {path} needs escaping in addresses");
        let content_type = content_type(path)?;
        let [brotli, gzip] = VARIANTS.map(|variant| {
            let variant = format!("{path}{variant}");
            if files.contains_key(&variant) {
                format!("Some(include_bytes!(\"{variant}\"))")
            } else {
                "None".to_owned()
            }
        });
        writeln!(code, "        EmbeddedAsset {{")?;
        writeln!(code, "            path: \"/{path}\",")?;
        writeln!(code, "            content_type: \"{content_type}\",")?;
        writeln!(code, "            identity: include_bytes!(\"{path}\"),")?;
        writeln!(code, "            brotli: {brotli},")?;
        writeln!(code, "            gzip: {gzip},")?;
        writeln!(code, "        }},")?;
    }
    code.push_str("    ],\n}\n");
    Ok(code)
}

fn is_variant(path: &str) -> bool {
    VARIANTS.iter().any(|variant| path.ends_with(variant))
}

fn content_type(path: &str) -> Result<&'static str> {
    Ok(match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        _ => bail!("the content type of {path} is not known; add it to xtask/src/regen_web/bundle.rs"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn bundle(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_owned())).collect()
    }

    #[test]
    fn long_assets_have_variants_that_are_the_same_each_time() {
        let script = "let film = 'Alien';".repeat(100);
        let files = [(DOCUMENT, POSTER_ORIGINS), ("assets/a.js", &script), ("assets/a.css", "a{}")];
        let build = finish(bundle(&files)).unwrap();
        let names: Vec<_> = build.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["assets/a.css", "assets/a.js", "assets/a.js.br", "assets/a.js.gz", RUST, DOCUMENT]
        );
        let mut text = String::new();
        GzDecoder::new(&*build["assets/a.js.gz"]).read_to_string(&mut text).unwrap();
        assert_eq!(text, script);
        let mut text = Vec::new();
        brotli::BrotliDecompress(&mut &*build["assets/a.js.br"], &mut text).unwrap();
        assert_eq!(text, script.as_bytes());
        assert_eq!(finish(bundle(&files)).unwrap(), build);
    }

    #[test]
    fn the_rust_file_embeds_all_files_and_their_variants() {
        let script = "let film = 'Alien';".repeat(100);
        let files = [(DOCUMENT, POSTER_ORIGINS), ("assets/a.js", &script), ("icon.svg", "<svg/>")];
        let build = finish(bundle(&files)).unwrap();
        let code = str::from_utf8(&build[RUST]).unwrap();
        for part in [
            r#"include_str!("index.html")"#,
            r#"path: "/assets/a.js""#,
            r#"content_type: "text/javascript; charset=utf-8""#,
            r#"brotli: Some(include_bytes!("assets/a.js.br"))"#,
            r#"gzip: Some(include_bytes!("assets/a.js.gz"))"#,
            r#"path: "/icon.svg""#,
            "brotli: None",
        ] {
            assert!(code.contains(part), "{part} is missing: {code}");
        }
    }

    #[test]
    fn a_build_that_the_service_cannot_serve_is_refused() {
        for (files, reason) in [
            (&[("assets/a.js", "")][..], "the build has no index.html"),
            (&[(DOCUMENT, "<html>")], "it has 0"),
            (&[(DOCUMENT, POSTER_ORIGINS), ("assets/a.wasm", "")], "the content type of assets/a.wasm"),
            (&[(DOCUMENT, POSTER_ORIGINS), ("assets/a\".js", "")], "needs escaping"),
        ] {
            let error = finish(bundle(files)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
