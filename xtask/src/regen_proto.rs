//! `cargo xtask regen-proto`: generates `movie-proto/src/generated/` from `proto/`.
//!
//! protox compiles the contract and tonic-prost-build turns it into Rust, both in this process: no
//! `protoc` is needed. `openapi` turns it into the OpenAPI document. The result is made in memory first, so that `--check` changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use prost_build::Module;

use crate::openapi;

const PROTO_DIR: &str = "proto";
const OUT_DIR: &str = "movie-proto/src/generated";
const DESCRIPTOR_SET: &str = "descriptor_set.bin";
const OPENAPI: &str = "openapi.json";
/// The version of the OpenAPI document: that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The stem of the file for `proto/movie.proto`, which has no package to name it after.
const WITHOUT_PACKAGE: &str = "movie";

/// File names and their contents.
type Files = BTreeMap<String, Vec<u8>>;

/// Writes the generated files and removes those that the contract no longer calls for.
///
/// # Errors
///
/// If the contract does not compile, or a file cannot be read, written or removed.
pub fn write(root: &Path) -> Result<()> {
    let fresh = generate(root)?;
    let dir = root.join(OUT_DIR);
    fs::create_dir_all(&dir).with_context(|| format!("create {OUT_DIR}"))?;
    for name in committed(root)?.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(dir.join(name)).with_context(|| format!("remove {OUT_DIR}/{name}"))?;
    }
    for (name, contents) in &fresh {
        fs::write(dir.join(name), contents).with_context(|| format!("write {OUT_DIR}/{name}"))?;
    }
    Ok(())
}

/// Compares the committed files with what the contract gives, in memory.
///
/// # Errors
///
/// If any file is stale, missing or left over: the error names each, and the command that mends it.
/// Also if the contract does not compile or a file cannot be read.
pub fn check(root: &Path) -> Result<()> {
    let fresh = generate(root)?;
    let committed = committed(root)?;
    let names: BTreeSet<&String> = fresh.keys().chain(committed.keys()).collect();
    let problems: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let problem = match (fresh.get(name), committed.get(name)) {
                (Some(fresh), Some(committed)) if fresh == committed => return None,
                (Some(_), Some(_)) => "stale",
                (Some(_), None) => "missing",
                (None, _) => "left over",
            };
            Some(format!("{problem}: {OUT_DIR}/{name}"))
        })
        .collect();
    ensure!(
        problems.is_empty(),
        "the generated code does not match {PROTO_DIR}/; run `cargo xtask regen-proto`\n{}",
        problems.join("\n")
    );
    Ok(())
}

/// Compiles the contract, with its comments.
fn compile(root: &Path) -> Result<protox::Compiler> {
    let proto_dir = root.join(PROTO_DIR);
    let mut protos = Vec::new();
    find_protos(&proto_dir, &mut protos)?;
    // A fixed order keeps the descriptor set the same on every machine.
    protos.sort();

    let mut compiler = protox::Compiler::new([&proto_dir])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(protos).with_context(|| format!("compile {PROTO_DIR}/"))?;
    Ok(compiler)
}

/// Returns the encoded descriptor set of the contract, with its comments.
#[cfg(test)]
pub(crate) fn descriptor_set_with_comments(root: &Path) -> Result<Vec<u8>> {
    Ok(compile(root)?.encode_file_descriptor_set())
}

/// Generates every file from the contract.
fn generate(root: &Path) -> Result<Files> {
    let mut compiler = compile(root)?;
    let services = tonic_prost_build::configure().build_transport(false).service_generator();
    let requests = compiler
        .file_descriptor_set()
        .file
        .into_iter()
        .filter(|file| !file.package().starts_with("google."))
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut files: Files = prost_build::Config::new()
        .service_generator(services)
        .generate(requests)?
        .into_iter()
        .map(|(module, code)| (module.to_file_name_or(WITHOUT_PACKAGE), code.into_bytes()))
        .collect();

    let openapi = openapi::document(&compiler.encode_file_descriptor_set(), VERSION)?;
    files.insert(OPENAPI.to_owned(), openapi);

    // The comments are for the generated code and the OpenAPI document; reflection has no use for them. protox encodes the set itself, since
    // the types of prost drop extension options such as `google.api.field_behavior`.
    compiler.include_source_info(false);
    files.insert(DESCRIPTOR_SET.to_owned(), compiler.encode_file_descriptor_set());
    Ok(files)
}

/// Adds every `.proto` file below `dir` to `found`.
fn find_protos(dir: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads the files that are there now; none if the folder is missing.
fn committed(root: &Path) -> Result<Files> {
    let dir = root.join(OUT_DIR);
    let mut files = Files::new();
    if !dir.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(&dir).with_context(|| format!("read {OUT_DIR}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let contents = fs::read(entry.path()).with_context(|| format!("read {OUT_DIR}/{name}"))?;
        files.insert(name, contents);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with a contract of one message and nothing generated yet.
    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(PROTO_DIR)).unwrap();
        write_proto(root.path(), "string id = 1;");
        root
    }

    fn write_proto(root: &Path, field: &str) {
        let proto = format!("syntax = \"proto3\"; message MovieID {{ {field} }}");
        fs::write(root.join(PROTO_DIR).join("movie.proto"), proto).unwrap();
    }

    #[test]
    fn freshly_written_files_pass_the_check() {
        let root = workspace();
        write(root.path()).unwrap();
        check(root.path()).unwrap();
    }

    #[test]
    fn check_names_stale_missing_and_left_over_files_and_the_command_and_changes_nothing() {
        let root = workspace();
        write(root.path()).unwrap();
        let out = root.path().join(OUT_DIR);
        write_proto(root.path(), "string id = 2;");
        fs::remove_file(out.join(DESCRIPTOR_SET)).unwrap();
        fs::write(out.join("renamed.rs"), "").unwrap();
        let before = committed(root.path()).unwrap();

        let error = check(root.path()).unwrap_err().to_string();

        assert!(error.contains("`cargo xtask regen-proto`"), "{error}");
        assert!(error.contains("stale: movie-proto/src/generated/movie.rs"), "{error}");
        assert!(error.contains("missing: movie-proto/src/generated/descriptor_set.bin"), "{error}");
        assert!(error.contains("left over: movie-proto/src/generated/renamed.rs"), "{error}");
        assert_eq!(committed(root.path()).unwrap(), before);
    }

    #[test]
    fn writing_mends_everything_that_the_check_names() {
        let root = workspace();
        write(root.path()).unwrap();
        write_proto(root.path(), "string id = 2;");
        fs::write(root.path().join(OUT_DIR).join("renamed.rs"), "").unwrap();
        write(root.path()).unwrap();
        check(root.path()).unwrap();
    }

    #[test]
    fn a_contract_that_does_not_compile_is_an_error_and_leaves_the_files_alone() {
        let root = workspace();
        write(root.path()).unwrap();
        let before = committed(root.path()).unwrap();
        write_proto(root.path(), "strin id = 1;");
        write(root.path()).unwrap_err();
        assert_eq!(committed(root.path()).unwrap(), before);
    }
}
