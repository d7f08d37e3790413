//! The arrows between the modules of `src`, as `docs/architecture.md` has them.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules that a module may import from. The entry with the longest matching path counts.
const ARROWS: &[(&str, &[&str])] = &[
    ("access", &["rpc", "regular_file", "reload"]),
    ("admin", &["server/accept", "telemetry"]),
    (
        "app",
        &[
            "access",
            "admin",
            "catalogue",
            "config",
            "found",
            "manual",
            "offline",
            "reload",
            "server",
            "servicer",
            "signals",
            "store",
            "systemd",
            "telemetry",
            "text",
        ],
    ),
    ("blocking_pool", &[]),
    ("catalogue", &["movie", "text"]),
    ("catalogue/collation", &[]),
    ("catalogue/encoding", &["movie"]),
    ("catalogue/filter", &["catalogue/encoding", "catalogue/fold", "movie"]),
    ("catalogue/fold", &[]),
    (
        "catalogue/layout",
        &[
            "catalogue/collation",
            "catalogue/encoding",
            "catalogue/filter",
            "catalogue/fold",
            "catalogue/order",
            "movie",
        ],
    ),
    ("catalogue/order", &["catalogue/collation", "catalogue/encoding", "movie"]),
    (
        "catalogue/query",
        &[
            "catalogue/change_log",
            "catalogue/encoding",
            "catalogue/filter",
            "catalogue/layout",
            "catalogue/order",
            "catalogue/search",
            "catalogue/snapshot",
            "movie",
        ],
    ),
    ("catalogue/search", &["catalogue/fold"]),
    ("config", &["catalogue", "rpc", "server", "store", "telemetry"]),
    ("found", &[]),
    ("manual", &["config"]),
    ("movie", &[]),
    ("offline", &["catalogue", "config", "movie", "store", "telemetry", "text"]),
    ("regular_file", &[]),
    ("reload", &["text"]),
    ("rpc", &[]),
    ("server", &["server", "servicer", "store", "access", "catalogue", "found", "rpc", "telemetry"]),
    ("server/limits", &[]),
    ("server/usage", &[]),
    ("server/accept", &["server/usage", "regular_file", "reload", "telemetry"]),
    (
        "server/call",
        &[
            "server/accept",
            "server/limits",
            "server/usage",
            "servicer",
            "store",
            "access",
            "catalogue",
            "movie",
            "blocking_pool",
            "found",
            "rpc",
            "telemetry",
            "text",
        ],
    ),
    ("server/connection", &["server/accept", "server/call", "server/limits", "server/usage", "telemetry"]),
    ("servicer", &["store", "catalogue", "movie", "found", "blocking_pool", "rpc", "telemetry", "text"]),
    ("signals", &[]),
    ("store", &["catalogue", "movie", "telemetry", "regular_file", "reload", "text"]),
    ("systemd", &[]),
    ("telemetry", &["rpc"]),
    ("text", &[]),
];

/// Modules that know no wire type and nothing of tonic.
const WITHOUT_GRPC: [&str; 4] = ["catalogue", "movie", "store", "access"];

#[test]
fn modules_import_only_from_the_modules_that_the_architecture_allows() {
    let mut forbidden = Vec::new();
    for (module, text) in modules() {
        let Some((from, allowed)) = arrows_of(&module) else {
            // `lib.rs` and `main.rs`.
            assert!(!module.contains('/') && ["lib", "main"].contains(&&*module), "no arrows for {module}");
            continue;
        };
        for import in imports(&text) {
            let is_within = |folder: &str| import == folder || import.starts_with(&format!("{folder}/"));
            if !is_within(from) && !allowed.iter().any(|folder| is_within(folder)) {
                forbidden.push(format!("{module} imports {import}"));
            }
        }
        for library in ["tonic::", "movie_proto::", "prost_types::"] {
            if WITHOUT_GRPC.iter().any(|top| from.split('/').next() == Some(top)) && text.contains(library) {
                forbidden.push(format!("{module} imports {library}"));
            }
        }
    }
    assert!(forbidden.is_empty(), "{forbidden:#?}");
}

#[test]
fn a_folder_has_about_ten_files_and_a_file_one_subject() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = std::collections::BTreeMap::<_, usize>::new();
    for (module, text) in modules() {
        // A `mod.rs` is a file of its own folder.
        let is_mod = src.join(&module).join("mod.rs").is_file();
        let parent = module.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = if is_mod { &module } else { parent };
        *folders.entry(folder.to_owned()).or_default() += 1;
        let lines = text.lines().count();
        assert!(lines <= 470, "{module} has {lines} lines: look for its second subject");
    }
    for (folder, files) in folders {
        assert!(files <= 17, "src/{folder} has {files} files: look for its second subject");
    }
}

fn arrows_of(module: &str) -> Option<(&'static str, &'static [&'static str])> {
    let is_within = |path: &str| module == path || module.starts_with(&format!("{path}/"));
    let arrows = ARROWS.iter().filter(|(path, _)| is_within(path));
    arrows.max_by_key(|(path, _)| path.len()).copied()
}

/// Returns the modules of `src` but those of tests: their paths, and their text up to their own tests.
fn modules() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_stem().unwrap() != "tests" {
                let module = path.strip_prefix(&src).unwrap().with_extension("");
                let module = module.to_str().unwrap().trim_end_matches("/mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let tests =
                    ["mod tests", "pub(crate) mod tests"].map(|start| format!("#[cfg(test)]\n{start}"));
                let end = tests.iter().find_map(|start| text.find(start)).unwrap_or(text.len());
                modules.push((module, text[..end].to_owned()));
            }
        }
    }
    assert!(modules.len() > 50, "{modules:?}");
    modules
}

/// Returns the paths in a text that begin with `crate::`, of at most two parts, such as `server/call`.
fn imports(text: &str) -> Vec<String> {
    let mut imports = Vec::new();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let path = &code[at + "crate::".len()..];
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let end = path.find(|character| !is_name(character) && character != ':').unwrap_or(path.len());
        if let Some(group) = path[end..].strip_prefix('{').filter(|_| path[..end].is_empty()) {
            // `use crate::{admin, reload};`
            let group = &group[..group.find('}').unwrap()];
            imports.extend(group.split(',').map(|name| name.trim().to_owned()));
            continue;
        }
        let is_module = |part: &&str| part.starts_with(char::is_lowercase);
        let parts: Vec<_> = path[..end].split("::").take_while(is_module).take(2).collect();
        if !parts.is_empty() {
            imports.push(parts.join("/"));
        }
    }
    imports
}
