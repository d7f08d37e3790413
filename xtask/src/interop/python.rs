//! The programs of the course's language, in `xtask/interop/`, and what they need.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::run;
use crate::program;

/// How long it may take to install packages, which come over the network.
const INSTALL_LIMIT: Duration = Duration::from_mins(10);

/// Python with gRPC and the stubs of the course's contract.
pub(crate) struct Python {
    root: PathBuf,
    /// What the programs need, and the input of those that read any.
    pub(super) folder: PathBuf,
}

impl Python {
    /// Makes the virtual environment in `folder`, unless it is there, and generates the stubs.
    ///
    /// # Errors
    ///
    /// If Python is missing, or a package cannot be installed.
    pub(crate) fn install(root: &Path, folder: &Path) -> Result<Self> {
        let python = Self { root: root.to_owned(), folder: folder.to_owned() };
        let venv = folder.join("venv");
        let has_pip = run(python.command().args(["-m", "pip", "--version"])).is_ok();
        if !has_pip {
            run(command(root, "python3").args(["-c", "import ensurepip, venv"])).map_err(|_| {
                anyhow::anyhow!(
                    "no python3 with its module venv; install them, on Debian: apt-get install python3-venv"
                )
            })?;
            run(command(root, "python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        }
        // Without any effect, and without the network, if all is there.
        let mut pip = python.command();
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--requirement", "xtask/interop/requirements.txt"]);
        program::run(pip.args(["--requirement", "xtask/interop/requirements-http.txt"]), INSTALL_LIMIT)?;

        // Beside the others, of which there can be one version only.
        let newest = folder.join("newest");
        if !newest.exists() {
            let mut pip = python.command();
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
                .arg(&newest);
            program::run(
                pip.args(["--requirement", "xtask/interop/requirements-newest.txt"]),
                INSTALL_LIMIT,
            )?;
        }

        let stubs = folder.join("stubs");
        fs::create_dir_all(&stubs).with_context(|| format!("create {}", stubs.display()))?;
        let mut protoc = python.command();
        protoc.args(["-m", "grpc_tools.protoc", "--proto_path=proto", "movie.proto"]);
        run(protoc.arg("--python_out").arg(&stubs).arg("--grpc_python_out").arg(&stubs))?;
        Ok(python)
    }

    /// Returns the server, for a database.
    pub(crate) fn server(&self, database: &str) -> Command {
        let mut server = self.command();
        server.args(["xtask/interop/server.py", database]);
        server
    }

    /// Returns the client, for the server at an address.
    pub(crate) fn client(&self, address: &str) -> Command {
        let mut client = self.command();
        client.args(["xtask/interop/client.py", address]);
        client
    }

    /// Returns a command of a package.
    pub(super) fn tool(&self, name: &str) -> Command {
        let mut tool = self.in_environment(self.folder.join("venv/bin").join(name));
        // Nothing beside the programs.
        tool.env("PYTHONDONTWRITEBYTECODE", "1");
        // Generators look for programs of other packages there.
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.folder.join("venv/bin")).chain(std::env::split_paths(&paths));
        tool.env("PATH", std::env::join_paths(paths).unwrap_or_default());
        tool
    }

    /// Returns the client of the JSON interface, for the server at an address.
    pub(super) fn http_client(&self, address: &str, command: &str) -> Command {
        let mut client = self.command();
        client.args(["xtask/interop/http_client.py", address, command]);
        client
    }

    /// Returns the client of a Unix socket, with both versions of grpcio.
    pub(super) fn unix_socket_clients(&self, address: &str) -> [Command; 2] {
        [self.folder.join("stubs"), self.folder.join("newest")].map(|packages| {
            let mut client = self.command();
            client.env("PYTHONPATH", packages).args(["xtask/interop/unix_socket.py", address]);
            client
        })
    }

    fn command(&self) -> Command {
        self.in_environment(self.folder.join("venv/bin/python"))
    }

    fn in_environment(&self, program: PathBuf) -> Command {
        let mut python = command(&self.root, program);
        python.env("PYTHONPATH", self.folder.join("stubs"));
        // Whatever the locale is, as Rust does.
        python.env("PYTHONUTF8", "1");
        // Only what goes wrong; gRPC would tell of more.
        python.env("GRPC_VERBOSITY", "ERROR");
        // No proxy belongs between two programs on one machine.
        python.env("no_grpc_proxy", "127.0.0.1");
        python
    }
}

/// Prepares to run a program, without the settings from outside that would change what it does.
pub(super) fn command(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root).stdin(Stdio::null());
    command.env_remove("MOVIE_QUIET").env_remove("RUST_LOG");
    command
}
