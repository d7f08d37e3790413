//! `cargo xtask regen-proto`: generates `movie-proto/src/generated/` from `proto/`.
//!
//! `compile` turns the contract into Rust, and `openapi` turns it into the OpenAPI document. The result is made in memory first, so that
//! `--check` changes nothing.

mod changes;
mod compile;

use std::path::Path;

use anyhow::{Result, bail, ensure};

use self::changes::{NewRpc, changes, course_changes, new_rpcs};
pub(crate) use self::compile::{PROTO_DIR, compile, rust};
use crate::generated::{self, Files};
use crate::openapi;

const OUT_DIR: &str = "movie-proto/src/generated";
const CRATE_ROOT: &str = "movie-proto/src/lib.rs";
const RPC_TABLE: &str = "movie-service/src/rpc.rs";
const DESCRIPTOR_SET: &str = "descriptor_set.bin";
const OPENAPI: &str = "openapi.json";
/// The version of the OpenAPI document: that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes the generated files, and removes those that the contract no longer calls for. Returns what it did with each, and
/// what to do next for a new file or RPC.
///
/// # Errors
///
/// If the contract does not compile, or a file cannot be read, written or removed.
pub fn write(root: &Path) -> Result<String> {
    let (fresh, before) = (generate(root)?, generated::read(root, OUT_DIR)?);
    let mut lines = generated::write(root, OUT_DIR, &fresh)?;
    lines.extend(next_steps(&before, &fresh)?);
    Ok(lines.join("\n"))
}

/// Describes what is left to do for each new file and RPC. The first generated files have none before them.
fn next_steps(before: &Files, fresh: &Files) -> Result<Vec<String>> {
    let Some(descriptors) = before.get(DESCRIPTOR_SET) else { return Ok(Vec::new()) };
    let is_new =
        |name: &&String| ![OPENAPI, DESCRIPTOR_SET].contains(&name.as_str()) && !before.contains_key(*name);
    let file = |name: &String| {
        let module = name.trim_end_matches(".rs").replace('.', "::");
        format!(
            "next: include the new file in the module `{module}` of {CRATE_ROOT}: `include!(\"generated/{name}\");`"
        )
    };
    let rpc = |rpc: NewRpc| {
        let NewRpc { path, kind, new_service } = rpc;
        let (needs, service) = match new_service {
            None => ("its method in the servicer, which the compiler names".to_owned(), "Catalog".to_owned()),
            Some(service) => {
                (format!("a servicer for its service, a variant `{service}` of the enum `Service`"), service)
            }
        };
        format!(
            "next: the new RPC {path} needs {needs}, and a line in the table of {RPC_TABLE}, such as \
             `Entry::new(\"{path}\", {service}, READER, {kind}),`"
        )
    };
    let rpcs = new_rpcs(descriptors, &fresh[DESCRIPTOR_SET])?;
    Ok(fresh.keys().filter(is_new).map(file).chain(rpcs.into_iter().map(rpc)).collect())
}

/// Compares the committed files with what the contract gives, in memory.
///
/// # Errors
///
/// If any file is stale, missing or left over: the error names each, what changed in the contract, and the command that
/// mends it. Also if the contract does not compile or a file cannot be read.
pub fn check(root: &Path) -> Result<()> {
    let (fresh, committed) = (generate(root)?, generated::read(root, OUT_DIR)?);
    let mut problems = generated::differences(root, OUT_DIR, &fresh)?;
    if problems.is_empty() {
        return Ok(());
    }
    if let Some(before) = committed.get(DESCRIPTOR_SET) {
        let changes = changes(before, &fresh[DESCRIPTOR_SET])?;
        problems.push(if changes.is_empty() {
            format!("no element of the contract changed, but a comment or an option in {PROTO_DIR}/, or a generated file")
        } else {
            format!("{PROTO_DIR}/ was changed, and generating the code again was forgotten:\n{}", changes.join("\n"))
        });
    }
    bail!(
        "the generated code does not match {PROTO_DIR}/; run `cargo xtask regen-proto`\n{}",
        problems.join("\n")
    );
}

/// Refuses a changed contract of the course, before it breaks the tests one by one.
fn check_course_contract(compiler: &protox::Compiler) -> Result<()> {
    let changes = course_changes(&compiler.descriptor_pool());
    ensure!(
        changes.is_empty(),
        "{PROTO_DIR}/movie.proto is frozen, but it was changed:\n{}\nDeployed clients and servers know an RPC by its path, \
         and a field by its number, type and name: they would lose or misread its values. Undo the change with \
         `git restore {PROTO_DIR}/movie.proto`, and put what is new into a new file with a package, as docs/tutorial.md does",
        changes.join("\n")
    );
    Ok(())
}

/// Returns the encoded descriptor set of the contract, with its comments.
#[cfg(test)]
pub(crate) fn descriptor_set_with_comments(root: &Path) -> Result<Vec<u8>> {
    Ok(compile(root)?.encode_file_descriptor_set())
}

/// Generates every file from the contract.
fn generate(root: &Path) -> Result<Files> {
    let mut compiler = compile(root)?;
    check_course_contract(&compiler)?;
    let mut files = rust(&compiler)?;

    let openapi = openapi::document(&compiler.encode_file_descriptor_set(), VERSION)?;
    files.insert(OPENAPI.to_owned(), openapi);

    // The comments are for the generated code and the OpenAPI document; reflection has no use for them. protox encodes the set itself, since
    // the types of prost drop extension options such as `google.api.field_behavior`.
    compiler.include_source_info(false);
    files.insert(DESCRIPTOR_SET.to_owned(), compiler.encode_file_descriptor_set());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The contract of the course.
    const COURSE: &str = include_str!("../../proto/movie.proto");

    /// A workspace with the contract of the course, one message of a package, and nothing generated yet.
    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(PROTO_DIR)).unwrap();
        write_course(root.path(), COURSE);
        write_proto(root.path(), "string id = 1;");
        root
    }

    fn write_proto(root: &Path, field: &str) {
        let proto = format!("syntax = \"proto3\"; package film; message Film {{ {field} }}");
        fs::write(root.join(PROTO_DIR).join("film.proto"), proto).unwrap();
    }

    fn write_course(root: &Path, proto: &str) {
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
        let before = generated::read(root.path(), OUT_DIR).unwrap();

        let error = check(root.path()).unwrap_err().to_string();

        assert!(error.contains("`cargo xtask regen-proto`"), "{error}");
        assert!(error.contains("stale: movie-proto/src/generated/film.rs"), "{error}");
        assert!(error.contains("missing: movie-proto/src/generated/descriptor_set.bin"), "{error}");
        assert!(error.contains("left over: movie-proto/src/generated/renamed.rs"), "{error}");
        assert_eq!(generated::read(root.path(), OUT_DIR).unwrap(), before);
    }

    #[test]
    fn writing_says_what_became_of_each_file_and_what_is_left_to_do() {
        let root = workspace();
        let first = write(root.path()).unwrap();
        assert!(
            first.contains("wrote      movie-proto/src/generated/film.rs") && !first.contains("next"),
            "{first}"
        );
        let again = write(root.path()).unwrap();
        assert!(
            again.lines().all(|line| line.starts_with("unchanged  movie-proto/src/generated/")),
            "{again}"
        );

        let contract = "syntax = \"proto3\"; package best.v1; message Best {} \
            service BestMovie { rpc GetBest(Best) returns (stream Best); }";
        fs::write(root.path().join(PROTO_DIR).join("best.proto"), contract).unwrap();
        let third = write(root.path()).unwrap();
        for part in [
            "wrote      movie-proto/src/generated/best.v1.rs",
            "unchanged  movie-proto/src/generated/film.rs",
            "next: include the new file in the module `best::v1` of movie-proto/src/lib.rs: `include!(\"generated/best.v1.rs\");`",
            "next: the new RPC /best.v1.BestMovie/GetBest needs a servicer for its service, a variant `BestMovie`",
            "`Entry::new(\"/best.v1.BestMovie/GetBest\", BestMovie, READER, List),`",
        ] {
            assert!(third.contains(part), "{part}: {third}");
        }
        let second_rpc = contract.replace("rpc GetBest", "rpc GetWorst(Best) returns (Best); rpc GetBest");
        fs::write(root.path().join(PROTO_DIR).join("best.proto"), second_rpc).unwrap();
        let fourth = write(root.path()).unwrap();
        let next = "next: the new RPC /best.v1.BestMovie/GetWorst needs its method in the servicer, which the compiler names, and";
        assert!(fourth.contains(next), "{fourth}");
        fs::remove_file(root.path().join(PROTO_DIR).join("best.proto")).unwrap();
        let fifth = write(root.path()).unwrap();
        assert!(fifth.contains("removed    movie-proto/src/generated/best.v1.rs"), "{fifth}");
    }

    #[test]
    fn the_check_names_what_changed_in_the_contract() {
        let root = workspace();
        write(root.path()).unwrap();
        write_proto(root.path(), "int32 id = 2; string title = 3;");
        let error = check(root.path()).unwrap_err().to_string();
        for part in [
            "proto/ was changed, and generating the code again was forgotten:",
            "changed: field film.Film.id, from `string = 1` to `int32 = 2`",
            "added: field film.Film.title",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        write(root.path()).unwrap();
        write_proto(root.path(), "\n// The id.\nint32 id = 2; string title = 3;");
        let error = check(root.path()).unwrap_err().to_string();
        assert!(error.contains("no element of the contract changed, but a comment"), "{error}");
    }

    #[test]
    fn a_changed_contract_of_the_course_is_refused_with_what_changed_and_how_to_undo_it() {
        for (old, new, change) in [
            ("id = 1", "id = 7", "changed: field MovieID.id, from `string = 1` to `string = 7`"),
            ("string title", "string name", "removed: field MovieData.title\nadded: field MovieData.name"),
            ("float", "double", "changed: field MovieData.rating, from `float = 2` to `double = 2`"),
            ("message Empty {}", "message Empty { int32 year = 1; }", "added: field Empty.year"),
            (
                "service Movie {",
                "service Movie { rpc GetBest(MovieID) returns (MovieData);",
                "added: rpc /Movie/GetBest",
            ),
            ("(stream MovieData)", "(MovieData)", "changed: rpc /Movie/GetListMovies, from "),
            (
                "syntax = \"proto3\";",
                "syntax = \"proto3\"; package movie.v1;",
                "removed: rpc /Movie/GetListMovies",
            ),
        ] {
            let root = workspace();
            write_course(root.path(), &COURSE.replace(old, new));
            for error in [write(root.path()).unwrap_err(), check(root.path()).unwrap_err()] {
                let error = error.to_string();
                for part in [
                    "proto/movie.proto is frozen",
                    change,
                    "`git restore proto/movie.proto`",
                    "docs/tutorial.md",
                ] {
                    assert!(error.contains(part), "{part}: {error}");
                }
            }
            assert!(generated::read(root.path(), OUT_DIR).unwrap().is_empty());
        }
    }

    #[test]
    fn a_contract_that_ends_too_early_is_named_with_its_last_line() {
        let root = workspace();
        let end = COURSE.rfind('}').unwrap();
        write_course(root.path(), &COURSE[..end]);
        let error = write(root.path()).unwrap_err().to_string();
        let lines = COURSE.lines().count();
        assert!(error.starts_with(&format!("proto/movie.proto:{lines}: expected ")), "{error}");
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
        let before = generated::read(root.path(), OUT_DIR).unwrap();
        write_proto(root.path(), "string id = 1");
        let error = write(root.path()).unwrap_err().to_string();
        assert_eq!(error, "proto/film.proto:1:63: expected ';' or '[', but found '}'");
        assert_eq!(generated::read(root.path(), OUT_DIR).unwrap(), before);
    }
}
