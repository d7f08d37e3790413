//! The JSON interface with tools that know it from its OpenAPI document only.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{FILMS, MOVIES, Programs, Server, compare, path, run};
use crate::program::Program;

/// The document, from the root of the workspace.
const DOCUMENT: &str = "movie-proto/src/generated/openapi.json";

/// The package that is generated from the document.
const PACKAGE: &str = "movie_catalogue";

/// The seed of the requests that are made up, so that a failure can be repeated.
const SEED: &str = "1";

/// How long schemathesis may take.
const TEST_LIMIT: Duration = Duration::from_hours(2);

/// What a client prints that writes to a store of the course's movies.
const WRITTEN: &str = "\
201 Creed III 2023 True
sent again: True
read: True 304
changed: Creed III 7.5 ['Drama']
stale: 412 ETAG_STALE
invalid: 400 INVALID_FIELDS
imported: 2
batch: ['B', 'A']
deleted: 200 404 MOVIE_NOT_FOUND
movies: 9
";

/// The document is valid, the service keeps to it, and a client that is generated from it works.
pub(super) fn check(programs: &Programs, examples: u32) -> Result<()> {
    run(programs.python.tool("openapi-spec-validator").arg(DOCUMENT))?;
    println!("openapi-spec-validator: {DOCUMENT} is valid");
    client(programs)?;
    schemathesis(programs, examples)
}

/// A client that is generated from the document makes the calls of the README.
fn client(programs: &Programs) -> Result<()> {
    let package = programs.python.folder.join("stubs").join(PACKAGE);
    let mut generator = programs.python.tool("openapi-python-client");
    generator.args(["generate", "--path", DOCUMENT, "--meta", "none", "--overwrite", "--fail-on-warning"]);
    generator.args(["--config", "xtask/interop/http_client.yml", "--output-path"]).arg(&package);
    run(&mut generator)?;

    let call =
        |server: &Server, command: &str| run(&mut programs.python.http_client(&server.address, command));
    let check = "generated client, rust service";
    let server = programs.rust_service(MOVIES)?;
    let expected = run(&mut programs.python_client(&server))?;
    compare(&format!("{check}, {MOVIES}"), &expected, &call(&server, "course")?)?;
    println!("{check}, {MOVIES}: the course's output, every line equal");

    let server = programs.rust_service(FILMS)?;
    for (command, arguments) in [
        ("western", &["list", "--genre", "Western", "--order", "rating desc", "--limit", "10"][..]),
        ("samurai", &["search", "sevn", "samurai"]),
    ] {
        let expected = run(programs.rust_client(&server).args(arguments).args(["-o", "text"]))?;
        compare(&format!("{check}, {FILMS}, {command}"), &expected, &call(&server, command)?)?;
    }
    println!("{check}, {FILMS}: a list and a search, as our client prints them");

    let folder = tempfile::tempdir().context("create a folder for a store")?;
    let server = writable_service(programs, folder.path())?;
    compare(&format!("{check}, SQLite"), WRITTEN, &call(&server, "write")?)?;
    println!("{check}, SQLite: movies are created, changed, imported and deleted");
    Ok(())
}

/// The service keeps to the document, whatever requests schemathesis makes up.
fn schemathesis(programs: &Programs, examples: u32) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder for a store")?;
    let server = writable_service(programs, folder.path())?;
    let mut tester = programs.python.tool("schemathesis");
    // It keeps what it found before in its folder.
    tester.current_dir(&programs.python.folder);
    tester.env("SCHEMATHESIS_HOOKS", programs.root.join("xtask/interop/schemathesis_hooks.py"));
    tester.arg("--config-file").arg(programs.root.join("xtask/interop/schemathesis.toml"));
    // The document that the service serves, which names no server.
    let url = format!("http://{}", server.address);
    tester.args(["run", &format!("{url}/openapi.json"), "--url", &url]);
    tester.args(["--seed", SEED, "--max-examples", &examples.to_string()]);
    // What it finds is on its standard output.
    let output = Program::start(&mut tester)?.finish(TEST_LIMIT)?;
    ensure!(output.status.success(), "schemathesis: {}\n{}{}", output.status, output.stdout, output.stderr);
    let summary = output.stdout.lines().find(|line| line.contains(" generated, ")).unwrap_or_default();
    println!("schemathesis, rust service: {}", summary.trim());
    Ok(())
}

/// Starts the service over a store in `folder` with the course's movies, to which everybody may write.
fn writable_service(programs: &Programs, folder: &Path) -> Result<Server> {
    let database = format!("sqlite:{}", folder.join("movies.db").display());
    let mut import = programs.service();
    run(import.args(["import", "--database", &database, &path(MOVIES)]))?;
    // Its output is only read after it has ended.
    programs.rust_service_over(Path::new(&database), &["--allow-anonymous-writes", "--quiet"])
}
