//! The contract, compiled and turned into Rust.
//!
//! protox compiles the contract and tonic-prost-build turns it into Rust, both in this process: no `protoc` is needed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use prost_build::Module;

use crate::generated::Files;

/// The folder of the contract.
pub(crate) const PROTO_DIR: &str = "proto";
/// The stem of the generated file for a contract without a package to name it after.
const WITHOUT_PACKAGE: &str = "movie";

/// Compiles the contract, with its comments.
pub(crate) fn compile(root: &Path) -> Result<protox::Compiler> {
    let proto_dir = root.join(PROTO_DIR);
    let mut protos = Vec::new();
    find_protos(&proto_dir, &mut protos)?;
    // A fixed order keeps the generated files the same on every machine.
    protos.sort();

    let mut compiler = protox::Compiler::new([&proto_dir])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(protos).map_err(|error| compile_error(&error, &proto_dir))?;
    Ok(compiler)
}

/// Describes an error with its file, line and column. At the end of a file, protox names neither.
fn compile_error(error: &protox::Error, proto_dir: &Path) -> anyhow::Error {
    // The debug format of protox begins with the file, the line and the column.
    let located = format!("{error:?}");
    match error.file() {
        Some(file) if !located.starts_with(file) => {
            let lines = fs::read_to_string(proto_dir.join(file)).map_or(1, |text| text.lines().count());
            anyhow!("{PROTO_DIR}/{file}:{lines}: {error}")
        }
        _ => anyhow!("{PROTO_DIR}/{located}"),
    }
}

/// Returns a file of Rust for each package of the contract.
pub(crate) fn rust(compiler: &protox::Compiler) -> Result<Files> {
    let services = tonic_prost_build::configure().build_transport(false).service_generator();
    let requests = compiler
        .file_descriptor_set()
        .file
        .into_iter()
        .filter(|file| !file.package().starts_with("google."))
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let modules = prost_build::Config::new().service_generator(services).generate(requests)?;
    let file =
        |(module, code): (Module, String)| (module.to_file_name_or(WITHOUT_PACKAGE), code.into_bytes());
    Ok(modules.into_iter().map(file).collect())
}

/// Adds every `.proto` file below `dir` to `found`.
fn find_protos(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
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
