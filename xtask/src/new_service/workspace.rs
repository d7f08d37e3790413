//! The files of the new workspace, from those of this repository.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::rename::{names, rename, replace};
use super::resource::{Field, Resource};
use crate::generated::{self, Files};

/// The files for which this repository has no original. A manifest has another name there, which cargo does not look for.
const TEMPLATE: &str = "xtask/src/new_service/template";
const MANIFEST: &str = "manifest.toml";
/// Files that are copied unchanged.
const COPIED: [&str; 9] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "clippy.toml",
    "rustfmt.toml",
    "movie-proto/tests/integration/generated_code.rs",
    "xtask/src/generated.rs",
    "xtask/src/regen_proto/compile.rs",
];
/// Number of the entries in the database.
const SAMPLES: u32 = 3;

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
    let other = Resource::new("any_resource", None, &[])?;
    let files = render(root, &other)?;
    let code = files.iter().filter(|(path, _)| !path.starts_with("xtask/") && path.ends_with(".rs"));
    let code: Vec<&str> = code.map(|(_, file)| str::from_utf8(file)).collect::<Result<_, _>>()?;
    let used: HashSet<&str> = code.into_iter().flat_map(names).collect();
    let own = [&resource.name, &resource.plural, &resource.type_name(), &resource.type_plural()];
    let conflict = own.into_iter().find(|name| used.contains(name.as_str()));
    let name = &resource.name;
    ensure!(
        conflict.is_none(),
        "the resource `{name}`: the code of the service uses the name `{}` for something else: choose a more exact one, such \
         as `item_{name}`",
        conflict.map_or("", String::as_str)
    );
    Ok(())
}

fn render(root: &Path, resource: &Resource) -> Result<Files> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("read {path}"));
    let mut texts: Vec<(String, String)> = Vec::new();
    for (path, file) in generated::read(root, TEMPLATE)? {
        texts.push((path.replace(MANIFEST, "Cargo.toml"), String::from_utf8(file)?));
    }
    let manifests: Vec<&str> =
        texts.iter().filter(|(path, _)| path.ends_with(".toml")).map(|(_, text)| text.as_str()).collect();
    let manifest = workspace_manifest(&read("Cargo.toml")?, &manifests).context("Cargo.toml")?;

    let service = service(&read("movie-service/examples/first_service.rs")?, resource);
    let (library, main) = service.context("movie-service/examples/first_service.rs")?;
    for (path, text) in &mut texts {
        if path == "movie-service/src/main.rs" {
            *text += &main;
        }
    }
    let client = client(&read("movie-client/examples/first_client.rs")?);
    let contract = contract(&read("proto/movie.proto")?, resource);
    texts.extend([
        ("Cargo.toml".to_owned(), manifest),
        (".gitignore".to_owned(), "/target\n".to_owned()),
        ("movie-service/src/lib.rs".to_owned(), library),
        ("movie-client/src/main.rs".to_owned(), client.context("movie-client/examples/first_client.rs")?),
        ("proto/movie.proto".to_owned(), contract.context("proto/movie.proto")?),
    ]);

    let mut files = Files::new();
    for (path, text) in texts {
        let text = rename(&text, resource).with_context(|| path.clone())?;
        files.insert(rename(&path, resource)?, text.into_bytes());
    }
    for path in COPIED {
        let text = read(path)?;
        let text = if path.ends_with(".rs") { rename(without_tests(&text), resource)? } else { text };
        files.insert(rename(&path.replace("integration/", ""), resource)?, text.into_bytes());
    }
    files.insert(format!("databases/{}.json", resource.plural), database(resource)?.into_bytes());
    Ok(files)
}

/// Returns a file of Rust without its unit tests.
fn without_tests(file: &str) -> &str {
    file.split("\n#[cfg(test)]\n").next().unwrap_or(file)
}

/// Makes the manifest of the workspace, with the versions and the sections of this one. The dependencies are those that the
/// manifests of its crates name.
fn workspace_manifest(ours: &str, manifests: &[&str]) -> Result<String> {
    // The comments are about this project.
    let lines = ours.lines().filter(|line| !line.starts_with('#'));
    let ours: String = lines.flat_map(|line| [line.split(" # ").next().unwrap_or(line), "\n"]).collect();
    let section = |header: &str| {
        let start =
            ours.find(&format!("\n{header}")).with_context(|| format!("there is no section {header}"))?;
        let section = &ours[start + 1..];
        Ok::<_, anyhow::Error>(section.find("\n[").map_or(section, |end| &section[..=end]).trim_end())
    };
    let crates = ["movie-client", "movie-proto", "movie-service", "xtask"];
    let mut manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {crates:?}\n\n");
    writeln!(manifest, "{}\n\n[workspace.dependencies]", section("[workspace.package]")?)?;
    for name in &crates[1..] {
        writeln!(manifest, "{name} = {{ path = \"{name}\" }}")?;
    }
    let dependencies = section("[workspace.dependencies]")?;
    let lines = manifests.iter().flat_map(|manifest| manifest.lines());
    let named = lines
        .filter(|line| line.contains("workspace = true"))
        .filter_map(|line| line.split(['.', ' ']).next());
    let named: BTreeSet<&str> = named.filter(|name| *name != "workspace" && !crates.contains(name)).collect();
    for name in named {
        let is_line = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = "));
        let known = ["version", "edition", "rust-version", "license", "publish"].contains(&name);
        let line = dependencies.lines().find(is_line);
        if !known {
            writeln!(manifest, "{}", line.with_context(|| format!("there is no dependency {name}"))?)?;
        }
    }
    for header in ["[workspace.lints]", "[profile.dev]", "[profile.dev.package.\"*\"]", "[profile.release]"] {
        write!(manifest, "\n{}\n", section(header)?)?;
    }
    Ok(manifest)
}

/// Makes the library of the service, and the end of its program, from the first service of the tutorial.
fn service(file: &str, resource: &Resource) -> Result<(String, String)> {
    let (entry, names) = (Entry(resource), &Entry(resource).names());
    let file = replace(
        file,
        "//! A movie service with tonic alone: `first_service [ADDRESS]`",
        "//! A movie service.",
    )?;
    let file = replace(
        &file,
        "struct Entry {\n    title: String,\n    rating: f32,\n    director: String,\n    id: String,\n}",
        &entry.definition(),
    )?;
    let file = replace(&file, "title, rating, director, id", names)?;
    // A new contract has errors.
    let file = replace(
        &file,
        "Ok(Response::new(movie.cloned().unwrap_or_default()))",
        "movie.cloned().map(Response::new).ok_or_else(|| Status::not_found(format!(\"no movie has the id `{id}`\")))",
    )?;
    let docs = "///\n/// # Errors\n///\n/// If the database cannot be read, or the listener fails.\npub async fn serve(";
    let file = replace(&file, "async fn serve(", docs)?;
    let main = file.find("#[tokio::main]").context("there is no `#[tokio::main]`")?;
    Ok((file[..main].trim_end().to_owned() + "\n", file[main..].to_owned()))
}

/// The struct of an entry in the database.
struct Entry<'a>(&'a Resource);

impl Entry<'_> {
    fn definition(&self) -> String {
        let fields =
            self.0.fields.iter().map(|Field { name, kind }| format!("    {name}: {},\n", kind.rust()));
        format!("struct Entry {{\n    id: String,\n{}}}", fields.collect::<String>())
    }

    fn names(&self) -> String {
        let names = self.0.fields.iter().map(|field| format!(", {}", field.name));
        format!("id{}", names.collect::<String>())
    }
}

/// Makes the program of the client from the first client of the tutorial.
fn client(file: &str) -> Result<String> {
    let header = "//! The course's client with tonic alone: `first_client [ADDRESS]`";
    let file = replace(file, header, "//! Calls the movie service: `movie-client [ADDRESS]`")?;
    let file = replace(&file, "a8034f44-aee4-44cf-b32c-74cf452aaaae", "movie-1")?;
    let file = replace(
        &file,
        "    let MovieData { title, rating, director, id } = stub.get_movie_by_id(request).await?.into_inner();
    let rating = f64::from(rating);
    println!(\"title: {title:?}\\nrating: {rating}\\ndirector: {director:?}\\nid: {id:?}\\n\");\n",
        "    let movie = stub.get_movie_by_id(request).await?.into_inner();\n    println!(\"{movie:#?}\\n\");\n",
    )?;
    let file = replace(&file, "{Empty, MovieData, MovieId}", "{Empty, MovieId}")?;
    replace(&file, "\"Movie called {}\", movie.title", "\"{movie:?}\"")
}

/// Makes the contract from the course's.
fn contract(file: &str, resource: &Resource) -> Result<String> {
    let (_, file) = file.split_once("syntax = \"proto3\";\n").context("it is not in proto3")?;
    let not_found =
        "  // An unknown or empty id is not an error: the response is an empty MovieData with status OK.
  // Every movie has an id, so an empty `id` in the response means \"not found\".\n";
    let file = replace(file, not_found, "  // NOT_FOUND if there is none.\n")?;
    let id = "  // The id, compared byte for byte. Any non-empty text may be an id; `databases/movies.json` uses\n  // UUIDs.\n";
    let file = replace(&file, id, "  // The id, compared byte for byte.\n")?;
    let (before, message) =
        file.split_once("message MovieData {\n").context("there is no message MovieData")?;
    let (_, after) = message.split_once("\n}\n").context("the message MovieData does not end")?;
    let mut fields = "  // The id for `GetMovieByID`. Unique, and never empty.\n  string id = 1;".to_owned();
    for (number, Field { name, kind }) in (2..).zip(&resource.fields) {
        let kind = kind.proto();
        write!(
            fields,
            "\n\n  // The field `{name}`: describe here its unit, its bounds, and what an empty value means."
        )?;
        write!(fields, "\n  {kind} {name} = {number};")?;
    }
    let head = "// The contract of the movie service.\n//\n// In proto3, a field with its default value (an empty string, the number 0) is not sent.\n";
    Ok(format!(
        "{head}\nsyntax = \"proto3\";\n\npackage movie.v1;\n{before}message MovieData {{\n{fields}\n}}\n{after}"
    ))
}

/// Makes a database of samples.
fn database(resource: &Resource) -> Result<String> {
    let id = resource.name.replace('_', "-");
    let sample = |number| {
        let fields = resource.fields.iter();
        let fields = fields.map(|Field { name, kind }| (name.clone(), kind.sample(name, number)));
        let id = ("id".to_owned(), json!(format!("{id}-{number}")));
        Value::Object([id].into_iter().chain(fields).collect::<Map<_, _>>())
    };
    let samples: Vec<Value> = (1..=SAMPLES).map(sample).collect();
    Ok(serde_json::to_string_pretty(&json!({ resource.plural.clone(): samples }))? + "\n")
}
