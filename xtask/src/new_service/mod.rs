//! `cargo xtask new-service`: writes a small workspace in the form of this one, for another resource.
//!
//! Its files are those of this repository, with other names: see `workspace`. What has no original here is in `template/`.

mod check;
mod rename;
mod resource;
mod sources;
mod workspace;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::resource::Resource;
use crate::generated::{self, Files};
use crate::program;
use crate::regen_proto::{compile, rust};

/// Write a small workspace in the form of this one, for another resource, such as `new-service book author:string pages:int32`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The resource, in the singular: `book`.
    #[arg(required_unless_present = "check")]
    name: Option<String>,
    /// A field: its name and its type, as in `pages:int32`. The id is one already.
    #[arg(value_name = "FIELD:TYPE", required_unless_present = "check")]
    fields: Vec<String>,
    /// The folder to write into: a new or an empty one [default: the plural, beside this repository].
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The plural of the resource, if it is not regular.
    #[arg(long)]
    plural: Option<String>,
    /// Write a sample below target/ instead, and build, test and lint it.
    #[arg(long, conflicts_with_all = ["name", "fields", "into", "plural"])]
    check: bool,
}

/// Writes the workspace, or checks a sample.
///
/// # Errors
///
/// If a name, a type or the folder cannot be used, or a file cannot be written.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if options.check {
        return check::run(root);
    }
    let name = options.name.as_deref().unwrap_or_default();
    let resource = Resource::new(name, options.plural.as_deref(), &options.fields)?;
    let beside = || root.with_file_name(&resource.plural);
    let folder = options.into.clone().unwrap_or_else(beside);
    for path in write(root, &resource, &folder)?.keys() {
        println!("wrote      {}", folder.join(path).display());
    }
    let name = resource.name.replace('_', "-");
    println!("next: cd {} && cargo test --workspace", folder.display());
    println!("next: cargo run -p {name}-service");
    println!("next: cargo run -p {name}-client   (in a second terminal)");
    Ok(())
}

/// Writes the workspace into a new or an empty folder, or nothing.
fn write(root: &Path, resource: &Resource, folder: &Path) -> Result<Files> {
    let is_free = fs::read_dir(folder).map_or(!folder.exists(), |mut entries| entries.next().is_none());
    ensure!(
        is_free,
        "{} exists, and is no empty folder: remove it, or choose a new one with --into",
        folder.display()
    );
    let mut files = workspace::files(root, resource)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    // The code is generated and formatted in another place, so that an error leaves nothing behind.
    let temporary =
        tempfile::tempdir_in(parent).with_context(|| format!("write into {}", parent.display()))?;
    let workspace = temporary.path().join("workspace");
    generated::write(&workspace, "", &files)?;
    let code = format!("{}-proto/src/generated", resource.name.replace('_', "-"));
    for (path, file) in rust(&compile(&workspace)?)? {
        files.insert(format!("{code}/{path}"), file);
    }
    generated::write(&workspace, "", &files)?;
    let mut format = crate::cargo(&workspace);
    program::run(format.args(["fmt", "--all"]), check::LIMIT)
        .context("format the code; `rustup component add rustfmt` installs what is needed")?;
    if folder.exists() {
        fs::remove_dir(folder).with_context(|| format!("replace {}", folder.display()))?;
    }
    fs::rename(&workspace, folder).with_context(|| format!("write {}", folder.display()))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a file of the workspace for an audio book.
    fn audio_book(path: &str) -> String {
        let fields =
            ["narrator:string", "minutes:uint32", "price:double", "abridged:bool"].map(str::to_owned);
        let resource = Resource::new("audio_book", None, &fields).unwrap();
        let mut files = workspace::files(&crate::root(), &resource).unwrap();
        let names: Vec<_> = files.keys().filter(|path| path.contains("movie")).cloned().collect();
        assert_eq!(names, [""; 0]);
        String::from_utf8(files.remove(path).unwrap()).unwrap()
    }

    #[test]
    fn the_contract_has_the_fields_and_the_names_of_the_aips() {
        let contract = audio_book("proto/audio_book.proto");
        for part in [
            "\npackage audio_book.v1;\n",
            "service AudioBookService {",
            "rpc GetAudioBook(GetAudioBookRequest) returns (AudioBook) {}",
            "rpc ListAudioBooks(ListAudioBooksRequest) returns (stream AudioBook) {}",
            "  string id = 1;\n",
            "  string narrator = 2;\n",
            "  uint32 minutes = 3;\n",
            "  double price = 4;\n",
            "  bool abridged = 5;\n}\n",
            "NOT_FOUND if there is none.",
        ] {
            assert!(contract.contains(part), "{part}\n{contract}");
        }
    }

    #[test]
    fn the_manifest_has_our_versions_of_what_the_crates_need_and_no_others() {
        let (ours, theirs) = (include_str!("../../../Cargo.toml"), audio_book("Cargo.toml"));
        let line = |name: &str| ours.lines().find(|line| line.starts_with(name)).unwrap();
        for name in ["tonic =", "tokio =", "protox =", "serde_json =", "rust-version =", "rust.unsafe_code ="]
        {
            assert!(theirs.contains(&format!("\n{}\n", line(name))), "{name}\n{theirs}");
        }
        assert!(theirs.contains("audio-book-proto = { path = \"audio-book-proto\" }"), "{theirs}");
        assert!(!theirs.contains("rusqlite"), "{theirs}");
    }

    #[test]
    fn the_database_has_three_entries_with_all_fields() {
        let database: serde_json::Value =
            serde_json::from_str(&audio_book("databases/audio_books.json")).unwrap();
        let entries = database["audio_books"].as_array().unwrap();
        let first = serde_json::json!({
            "id": "audio-book-1", "narrator": "narrator 1", "minutes": 1, "price": 1.5, "abridged": true
        });
        assert_eq!((entries.len(), &entries[0]), (3, &first));
    }

    #[test]
    fn a_resource_with_a_name_of_the_code_is_refused() {
        for name in ["request", "status", "channel", "entry", "file"] {
            let resource = Resource::new(name, None, &[]).unwrap();
            let error = workspace::files(&crate::root(), &resource).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("the resource `{name}`: the code of the service uses")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_workspace_is_written_with_its_generated_code_and_nothing_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let resource = Resource::new("book", None, &["pages:int32".to_owned()]).unwrap();
        let folder = parent.path().join("books");
        let files = write(&crate::root(), &resource, &folder).unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        assert!(files.keys().eq(generated::read(&folder, "").unwrap().keys()));
        let code = fs::read_to_string(folder.join("book-proto/src/generated/book.v1.rs")).unwrap();
        assert!(code.contains("pub pages: i32,"), "{code}");
    }

    #[test]
    fn a_folder_with_files_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        let resource = Resource::new("book", None, &[]).unwrap();
        let error = write(&crate::root(), &resource, folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("exists, and is no empty folder: remove it, or choose a new one with --into"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
