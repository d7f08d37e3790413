//! Containers of a test: run by podman, with their storage in a folder of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::program::{self, Program};

/// Time for a command of podman, and for a container to stop.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Seconds that a container has to stop: the grace of the service, and some more.
const STOP_SECONDS: &str = "25";

/// Restrictions of every container: no privilege, and nothing to write to but its volumes. Without systemd, podman cannot run health
/// checks by itself.
const RESTRICTIONS: [&str; 9] = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--health-interval",
    "disable",
    "--network=host",
];

/// Podman's settings: its defaults for limits are more than every machine allows, and its locks are those of the machine.
const SETTINGS: &str = "[containers]\ndefault_ulimits = []\n\n[engine]\nlock_type = \"file\"\n";

/// Containers, images and volumes in a folder. All are removed when this is dropped.
pub(super) struct Podman(PathBuf);

impl Podman {
    /// Uses a folder, which is empty.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::write(folder.join("containers.conf"), SETTINGS)?;
        Ok(Self(folder.to_owned()))
    }

    /// Removes what a test that was killed has left in a folder.
    pub(super) fn remove_left(folder: &Path) {
        if folder.join("containers.conf").exists() {
            drop(Self(folder.to_owned()));
        }
    }

    /// Returns the command of buildah with the same images.
    pub(super) fn buildah(&self) -> Command {
        let mut buildah = Command::new("buildah");
        self.set_storage(&mut buildah);
        buildah
    }

    /// Runs podman, and returns what it prints to standard output.
    pub(super) fn run(&self, args: &[&str]) -> Result<String> {
        program::run(&mut self.command(args), TIMEOUT)
    }

    /// Returns the number of bytes of the layers of an image as a registry keeps them.
    pub(super) fn compressed_layers(&self, image: &str) -> Result<u64> {
        let folder = self.0.join("pushed");
        let destination = format!("dir:{}", folder.display());
        self.run(&["push", "--quiet", "--compress", image, &destination])?;
        let manifest: Value = serde_json::from_str(&fs::read_to_string(folder.join("manifest.json"))?)?;
        let layers = manifest["layers"].as_array().context("a manifest without layers")?;
        Ok(layers.iter().filter_map(|layer| layer["size"].as_u64()).sum())
    }

    /// Creates a container of an image; `args` are those of `podman create`.
    pub(super) fn create(&self, name: &str, args: &[&str], image: &str) -> Result<()> {
        let create = [&["create", "--name", name, "--ulimit", "host"], &RESTRICTIONS[..], args, &[image]];
        self.run(&create.concat()).map(drop)
    }

    /// Stops a container and returns its exit code and its log.
    pub(super) fn stop(&self, name: &str) -> Result<(i64, String)> {
        self.run(&["stop", "--time", STOP_SECONDS, name])?;
        let code =
            self.inspect(name)?["State"]["ExitCode"].as_i64().context("a container without an exit code")?;
        Ok((code, self.log(name)?))
    }

    /// Returns the log of a container.
    pub(super) fn log(&self, name: &str) -> Result<String> {
        // Podman prints it where the container did.
        let output = Program::start(&mut self.command(&["logs", name]))?.finish(TIMEOUT)?;
        Ok(output.stderr)
    }

    /// Returns what podman knows of a container or an image.
    pub(super) fn inspect(&self, name: &str) -> Result<Value> {
        let all: Vec<Value> = serde_json::from_str(&self.run(&["inspect", name])?)?;
        all.into_iter().next().with_context(|| format!("podman knows nothing of {name}"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut podman = Command::new("podman");
        self.set_storage(&mut podman);
        podman.arg("--tmpdir").arg(self.0.join("tmp"));
        // Without systemd, each command would log that it has no timers.
        podman.args(["--log-level", "fatal", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        podman.args(args).env("CONTAINERS_CONF", self.0.join("containers.conf")).env("TZ", "UTC");
        podman
    }

    fn set_storage(&self, command: &mut Command) {
        command.arg("--root").arg(self.0.join("storage")).arg("--runroot").arg(self.0.join("run"));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Errors have no reader here; a mount that is left shows in the next test, which cannot remove its folder.
        let _ = self.run(&["rm", "--all", "--force", "--time", "0"]);
        unmount(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Unmounts everything below a folder.
fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).rev();
    for point in points.filter(|point| Path::new(point).starts_with(folder)) {
        let _ = program::run(Command::new("umount").args(["--lazy", point]), TIMEOUT);
    }
}
