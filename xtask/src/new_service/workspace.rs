//! The files of the new workspace.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::rename::{names, rename};
use super::resource::Resource;
use super::sources;
use crate::generated::{self, Files};

/// The files that have no original in this repository. There, a manifest has a name for which cargo does not look.
const TEMPLATE: &str = "xtask/src/new_service/template";
const MANIFEST: &str = "manifest.toml";
const MEMBERS: &str = "members = [\"movie-client\", \"movie-proto\", \"movie-service\", \"xtask\"]\n";
const CONFIG: &str = ".cargo/config.toml";
/// Files that are copied unchanged.
const COPIED: [&str; 5] = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "clippy.toml", "rustfmt.toml"];
const SERVICE: &str = "movie-service/examples/first_service.rs";
const CLIENT: &str = "movie-client/examples/first_client.rs";
const CONTRACT: &str = "proto/movie.proto";
const GENERATED_CODE: &str = "movie-proto/tests/integration/generated_code.rs";
/// Files of which only the unit tests are left out.
const WITHOUT_TESTS: [&str; 2] = ["xtask/src/generated.rs", "xtask/src/regen_proto/compile.rs"];

/// Returns the files of a workspace for `resource`, without its generated code.
///
/// # Errors
///
/// If a file cannot be read, or is not as expected; or if the resource has a name that the code uses for something else.
pub(super) fn files(root: &Path, resource: &Resource) -> Result<Files> {
    check_conflicts(root, resource)?;
    render(root, resource)
}

/// Fails if the resource has a name of the code, in which it could then mean either.
fn check_conflicts(root: &Path, resource: &Resource) -> Result<()> {
    let files = render(root, &Resource::new("any_resource", None, &[])?)?;
    let is_code = |path: &str| path.contains("/src/") || path.contains("/tests/");
    let code = files.iter().filter(|(path, _)| !path.starts_with("xtask/") && is_code(path));
    let code: Vec<&str> = code.map(|(_, file)| str::from_utf8(file)).collect::<Result<_, _>>()?;
    let used: HashSet<&str> = code.into_iter().flat_map(names).collect();
    let name = &resource.name;
    for own in [name, &resource.plural, &resource.type_name(), &resource.type_plural()] {
        ensure!(
            !used.contains(own.as_str()),
            "the resource `{name}`: the code of the service uses the name `{own}` for something else: choose a more exact one, \
             such as `item_{name}`"
        );
    }
    Ok(())
}

fn render(root: &Path, resource: &Resource) -> Result<Files> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("read {path}"));
    let mut texts: Vec<(String, String)> = Vec::new();
    for (path, file) in generated::read(root, TEMPLATE)? {
        texts.push((path.replace(MANIFEST, "Cargo.toml"), String::from_utf8(file)?));
    }
    let crates = texts.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let manifest = manifest(&read("Cargo.toml")?, &crates.map(|(_, text)| text.as_str()).collect::<String>());
    let (library, main) = sources::service(&read(SERVICE)?, resource).context(SERVICE)?;
    for (_, text) in texts.iter_mut().filter(|(path, _)| path == "movie-service/src/main.rs") {
        *text += &main;
    }
    let mut add = |path: &str, text: String| texts.push((path.to_owned(), text));
    add("Cargo.toml", manifest);
    add("movie-service/src/lib.rs", library);
    add("movie-client/src/main.rs", sources::client(&read(CLIENT)?).context(CLIENT)?);
    add(CONTRACT, sources::contract(&read(CONTRACT)?, resource).context(CONTRACT)?);
    add("movie-proto/tests/generated_code.rs", read(GENERATED_CODE)?);
    add("databases/movies.json", resource.samples());
    for path in WITHOUT_TESTS {
        add(path, read(path)?.split("\n#[cfg(test)]\n").next().unwrap_or_default().to_owned());
    }
    let mut files = Files::from([(".gitignore".to_owned(), b"/target\n".to_vec())]);
    // Without the variables, which are for our tests and stores.
    let config = read(CONFIG)?.split("\n[env]").next().unwrap_or_default().to_owned();
    files.insert(CONFIG.to_owned(), config.into_bytes());
    for path in COPIED {
        files.insert(path.to_owned(), read(path)?.into_bytes());
    }
    for (path, text) in texts {
        let text = rename(&text, resource).with_context(|| path.clone())?;
        files.insert(rename(&path, resource)?, text.into_bytes());
    }
    Ok(files)
}

/// Makes the manifest of the workspace from ours, without its comments, and with only the dependencies that `crates` name.
fn manifest(ours: &str, crates: &str) -> String {
    let first_word = |line| str::split(line, ['.', ' ']).next().unwrap_or_default();
    let named = crates.lines().filter(|line| line.contains("workspace = true")).map(first_word);
    let named: HashSet<&str> = named.collect();
    let (mut section, mut manifest) = ("", String::new());
    for line in ours.lines().filter(|line| !line.starts_with('#')) {
        section = if line.starts_with('[') { line } else { section };
        let is_kept = match section {
            "[workspace]" => line == section || line.starts_with("resolver"),
            "[workspace.dependencies]" => line == section || named.contains(first_word(line)),
            // The yardstick of measurements.
            "[profile.plain]" => false,
            _ => true,
        };
        if is_kept && line == section {
            manifest += "\n";
        }
        if is_kept && !line.is_empty() {
            manifest.extend([line.split(" # ").next().unwrap_or(line), "\n"]);
        }
        if line.starts_with("members = ") {
            manifest += MEMBERS;
        }
    }
    manifest.trim_start().to_owned()
}
