//! `cargo xtask regen-web`: builds the page of the service, `movie-service/web/dist/`, and its stubs from `proto/`.
//!
//! * `stubs` — the contract in TypeScript, by protoc-gen-es; `bundle` — the build by Vite, its
//!   compressed variants, and the Rust file with which the service embeds it;
//! * `manifest` — which sources the committed build is made of. Tests compare it with them, without Node.js.

mod bundle;
mod manifest;
mod stubs;

use std::path::Path;

use anyhow::{Result, anyhow, ensure};

use crate::{generated, node};

/// The folder of the page.
pub(crate) const WEB_DIR: &str = "movie-service/web";
/// The folder of the stubs.
const STUBS_DIR: &str = "movie-service/web/src/gen";
/// The folder of the build.
const DIST_DIR: &str = "movie-service/web/dist";
/// What mends a build that does not match its sources.
const REMEDY: &str =
    "run `cargo xtask regen-web`, which needs Node.js 20.19, 22.12 or newer, and commit the result";

/// Writes the stubs and the build, and removes files that are left over. Returns what it did with each.
///
/// # Errors
///
/// If Node.js is missing or too old, the packages cannot be installed, the page does not build, or a file cannot be read,
/// written or removed.
pub fn write(root: &Path) -> Result<String> {
    node::check().map_err(|why| anyhow!(why))?;
    node::install(&root.join(WEB_DIR))?;
    let mut lines = generated::write(root, STUBS_DIR, &stubs::generate(root)?)?;
    let build = bundle::build(root)?;
    let manifest = manifest::of(root, &build, node::tools(&root.join(WEB_DIR))?)?;
    lines.extend(generated::write(root, DIST_DIR, &manifest::with_manifest(build, &manifest)?)?);
    Ok(lines.join("\n"))
}

/// Builds the stubs and the page, and compares them with the committed ones. Without a suitable Node.js, it says that it is
/// skipped.
///
/// # Errors
///
/// If any file is stale, missing or left over: the error names each, and the command that mends it. Also if the page does
/// not build.
pub fn check(root: &Path) -> Result<()> {
    if let Err(why) = node::check() {
        println!("SKIPPED: cargo xtask regen-web --check: {why}");
        return Ok(());
    }
    node::install(&root.join(WEB_DIR))?;
    // Stale stubs would make the comparison of the build meaningless.
    ensure_fresh(&generated::differences(root, STUBS_DIR, &stubs::generate(root)?)?)?;
    let build = bundle::build(root)?;
    // Other versions of the tools may build the same files.
    let manifest = manifest::of(root, &build, manifest::committed(root)?.tools)?;
    ensure_fresh(&generated::differences(root, DIST_DIR, &manifest::with_manifest(build, &manifest)?)?)
}

/// Compares the committed build with its manifest, and the manifest with the sources. Needs no Node.js.
///
/// # Errors
///
/// If the sources are not those that were built, or a file of the build is changed, missing or left over: the error names
/// each, and the command that mends it.
pub fn verify(root: &Path) -> Result<()> {
    ensure_fresh(&manifest::problems(root)?)
}

fn ensure_fresh(problems: &[String]) -> Result<()> {
    ensure!(
        problems.is_empty(),
        "the generated files of the page do not match {WEB_DIR}/; {REMEDY}\n{}",
        problems.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::generated::Files;

    #[test]
    fn the_committed_build_of_the_page_is_that_of_its_sources() {
        if let Err(stale) = verify(&crate::root()) {
            panic!("{stale:#}");
        }
    }

    /// A workspace with a page that has been built.
    fn workspace() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in ["index.html", "src/main.ts", "tests/unit/a.test.ts", "node_modules/lit/index.js"] {
            add(&root, path);
        }
        let files = Files::from([
            (bundle::DOCUMENT.to_owned(), bundle::POSTER_ORIGINS.into()),
            ("assets/a.js".to_owned(), "a".repeat(2000).into()),
        ]);
        let build = bundle::finish(files).unwrap();
        let manifest = manifest::of(root.path(), &build, BTreeMap::new()).unwrap();
        let build = manifest::with_manifest(build, &manifest).unwrap();
        generated::write(root.path(), DIST_DIR, &build).unwrap();
        root
    }

    /// Adds a file to the page, or changes it.
    fn add(root: &TempDir, path: &str) {
        let file = root.path().join(WEB_DIR).join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "changed").unwrap();
    }

    #[test]
    fn a_build_of_the_present_sources_is_verified_without_node() {
        let root = workspace();
        verify(root.path()).unwrap();
        // These are not what the page is built of.
        add(&root, "tests/unit/b.test.ts");
        add(&root, "node_modules/lit/other.js");
        verify(root.path()).unwrap();
    }

    #[test]
    fn changed_sources_and_files_are_named_with_the_command() {
        let root = workspace();
        add(&root, "src/other.ts");
        add(&root, "dist/assets/a.js");
        add(&root, "dist/assets/b.js");
        fs::remove_file(root.path().join(DIST_DIR).join("assets/a.js.br")).unwrap();
        let error = verify(root.path()).unwrap_err().to_string();
        assert!(error.contains("`cargo xtask regen-web`"), "{error}");
        let problems: Vec<_> = error.lines().skip(1).collect();
        assert_eq!(
            problems,
            [
                "stale: movie-service/web/dist, which was built from other sources",
                "changed: movie-service/web/dist/assets/a.js",
                "missing: movie-service/web/dist/assets/a.js.br",
                "left over: movie-service/web/dist/assets/b.js",
            ]
        );
    }

    #[test]
    fn a_renamed_source_is_another_one() {
        let root = workspace();
        let web = root.path().join(WEB_DIR);
        fs::rename(web.join("src/main.ts"), web.join("src/start.ts")).unwrap();
        verify(root.path()).unwrap_err();
    }
}
