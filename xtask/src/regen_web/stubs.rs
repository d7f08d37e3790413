//! The contract in TypeScript, as protoc-gen-es generates it.

use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

use crate::generated::Files;
use crate::regen_proto::compile;
use crate::regen_web::WEB_DIR;

/// The files that the page has stubs for: the two contracts, and the details of errors.
const PROTOS: [&str; 3] = ["google/rpc/error_details.proto", "movie.proto", "movie/catalog/v1/catalog.proto"];

/// The folder of files with annotations only, which mean nothing to the page.
const ANNOTATIONS: &str = "google/api/";

const PLUGIN: &str = "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es";

/// Generates the stubs.
pub(super) fn generate(root: &Path) -> Result<Files> {
    let request = request(compile(root)?.file_descriptor_set());
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(&request.encode_to_vec())?;
    stdin.rewind()?;
    let mut plugin = Command::new("node");
    plugin.current_dir(root.join(WEB_DIR)).arg(PLUGIN).stdin(stdin).stderr(Stdio::inherit());
    let output = plugin.output().with_context(|| format!("start {plugin:?}"))?;
    ensure!(output.status.success(), "{plugin:?}: {}", output.status);
    let response = CodeGeneratorResponse::decode(&*output.stdout).context("read the stubs")?;
    ensure!(response.error().is_empty(), "protoc-gen-es: {}", response.error());
    Ok(response.file.into_iter().map(|file| (file.name().to_owned(), file.content().into())).collect())
}

/// Returns the request to generate the stubs. The types of prost have dropped the annotations, which are extensions.
fn request(set: FileDescriptorSet) -> CodeGeneratorRequest {
    let mut needed: BTreeSet<String> = PROTOS.map(str::to_owned).into();
    let mut files = Vec::new();
    // A file comes after those that it imports.
    for mut file in set.file.into_iter().rev() {
        if needed.contains(file.name()) {
            file.dependency.retain(|import| !import.starts_with(ANNOTATIONS));
            needed.extend(file.dependency.iter().cloned());
            files.push(file);
        }
    }
    files.reverse();
    CodeGeneratorRequest {
        file_to_generate: PROTOS.map(str::to_owned).into(),
        parameter: Some("target=ts".to_owned()),
        proto_file: files,
        ..CodeGeneratorRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_handed_over_with_its_imports_and_without_annotations() {
        let compiled = compile(&crate::root()).unwrap().file_descriptor_set();
        let imports_annotations = |file: &prost_types::FileDescriptorProto| {
            file.dependency.iter().any(|import| import.starts_with(ANNOTATIONS))
        };
        assert!(compiled.file.iter().any(imports_annotations));
        let request = request(compiled);
        let names: Vec<_> = request.proto_file.iter().map(prost_types::FileDescriptorProto::name).collect();
        assert!(PROTOS.iter().all(|proto| names.contains(proto)), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with(ANNOTATIONS)), "{names:?}");
        for (place, file) in request.proto_file.iter().enumerate() {
            for import in &file.dependency {
                assert!(names[..place].contains(&import.as_str()), "{} lacks {import}", file.name());
            }
        }
    }
}
