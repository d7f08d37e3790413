//! `cargo xtask image`: the folder that `deploy/container/Containerfile` copies from, and the image.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::sbom;
use crate::build::Build;
use crate::program;

/// Time to build an image.
const BUILD_TIMEOUT: Duration = Duration::from_mins(5);

/// Where Linux distributions keep the certificate authorities, in PEM.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// First version of glibc that needs no further libraries, which `ldd` does not show, to resolve names of hosts.
const GLIBC: (u32, u32) = (2, 34);

/// The user of the image, for programs that ask for its name.
const PASSWD: &str =
    "root:x:0:0:root:/:/sbin/nologin\nmovie:x:65532:65532:movie service:/data:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nmovie:x:65532:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Options of `cargo xtask image`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Name and tag of the image; by default movie-service and its version.
    #[arg(long)]
    tag: Option<String>,

    /// Program that builds the image: buildah or podman.
    #[arg(long, default_value = "buildah")]
    builder: String,

    /// Only assemble the folder that the image is built from, for other programs that build images.
    #[arg(long)]
    no_build: bool,

    /// Cargo's profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds the programs and the image, and writes the bills of materials beside it.
///
/// # Errors
///
/// If something cannot be built, with the reason.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let build = Build::new(root, &options.profile)?;
    let context = BuildContext::assemble(&build, &build.new_folder("image")?)?;
    println!("assembled {}", context.folder.display());
    if !options.no_build {
        let default = || concat!("movie-service:", env!("CARGO_PKG_VERSION")).to_owned();
        let tag = options.tag.clone().unwrap_or_else(default);
        let id = context.build(&mut Command::new(&options.builder), &tag)?;
        println!("built {tag}, {id}");
    }
    Ok(())
}

/// The folder that an image is built from.
pub(super) struct BuildContext {
    root: PathBuf,
    /// Has `base/`, `volume/` and `programs/`, as the Containerfile names them, and `sbom/`.
    pub(super) folder: PathBuf,
}

impl BuildContext {
    /// Assembles the folder, which is empty.
    pub(super) fn assemble(build: &Build, folder: &Path) -> Result<Self> {
        let programs = [build.service(), build.client()];
        for program in &programs {
            place(program, &folder.join("programs/usr/bin"))?;
        }
        let base = folder.join("base");
        for library in libraries(&programs)? {
            let parent = library.parent().context("a library without a folder")?;
            place(&library, &base.join(parent.strip_prefix("/")?))?;
        }
        for movies in ["movies.json", "films.json"] {
            place(&build.root.join("databases").join(movies), &base.join("usr/share/movie-service"))?;
        }
        // The programs read the first of these paths, whatever the distribution they were built on.
        let authorities = AUTHORITIES.into_iter().find(|path| Path::new(path).is_file());
        let authorities = authorities.context("no certificate authorities: install ca-certificates")?;
        let copy = base.join(AUTHORITIES[0].trim_start_matches('/'));
        create(copy.parent().context("a file without a folder")?)?;
        fs::copy(authorities, copy)?;
        for (name, content) in [("passwd", PASSWD), ("group", GROUP), ("nsswitch.conf", NSSWITCH)] {
            fs::write(base.join("etc").join(name), content)?;
        }
        let sbom = folder.join("sbom");
        for bill in sbom::write(build, &sbom)? {
            place(&bill, &base.join("usr/share/sbom"))?;
        }
        let data = folder.join("volume/data");
        create(&data)?;
        set_modes(folder)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o770))?;
        Ok(Self { root: build.root.clone(), folder: folder.to_owned() })
    }

    /// Builds the image with `builder`, a command of buildah or podman, and returns its id.
    pub(super) fn build(&self, builder: &mut Command, tag: &str) -> Result<String> {
        let revision = git(&self.root, &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
        // Files and image have the time of the commit, so that the same programs make the same layers.
        let time = git(&self.root, &["log", "-1", "--format=%ct"]).unwrap_or_else(|| "0".to_owned());
        // The format of OCI has no health check.
        builder.args(["build", "--quiet", "--format", "docker", "--timestamp", &time, "--tag", tag]);
        builder.args(["--build-arg", concat!("VERSION=", env!("CARGO_PKG_VERSION"))]);
        builder.arg("--build-arg").arg(format!("REVISION={revision}"));
        builder.arg("--file").arg(self.root.join("deploy/container/Containerfile"));
        let id = program::run(builder.arg(&self.folder), BUILD_TIMEOUT)?;
        Ok(id.trim().to_owned())
    }
}

/// Returns the libraries that the programs load, where the programs look for them.
fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let version = program::run(Command::new("getconf").arg("GNU_LIBC_VERSION"), BUILD_TIMEOUT)?;
    let number = version.trim().strip_prefix("glibc ").and_then(|number| number.split_once('.'));
    let number = number.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    ensure!(
        number.is_some_and(|number: (u32, u32)| number >= GLIBC),
        "{version}: glibc 2.34 or later is needed"
    );
    let listed = program::run(Command::new("ldd").args(programs), BUILD_TIMEOUT)?;
    let mut libraries: Vec<_> = listed.lines().filter_map(library).collect();
    libraries.sort();
    libraries.dedup();
    ensure!(!libraries.is_empty(), "ldd lists no libraries\n{listed}");
    Ok(libraries)
}

/// Returns the path in a line of `ldd`: that of a library, or of the dynamic linker.
fn library(line: &str) -> Option<PathBuf> {
    let (name, _) = line.trim().split_once(" (0x")?;
    let path = name.split_once(" => ").map_or(name, |(_, path)| path);
    path.starts_with('/').then(|| path.into())
}

/// Copies a file into a folder, which is created.
fn place(file: &Path, folder: &Path) -> Result<()> {
    create(folder)?;
    let name = file.file_name().with_context(|| format!("{} is not a file", file.display()))?;
    fs::copy(file, folder.join(name)).with_context(|| format!("copy {}", file.display()))?;
    Ok(())
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// Makes all files readable for every user, whatever the umask.
fn set_modes(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            set_modes(&entry.path())?;
        }
        let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Returns what git prints; `None` without git or a repository.
fn git(root: &Path, args: &[&str]) -> Option<String> {
    let printed = program::run(Command::new("git").args(args).current_dir(root), BUILD_TIMEOUT).ok()?;
    Some(printed.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_dynamic_linker_are_read_from_ldd() {
        let lines = [
            "\tlinux-vdso.so.1 (0x00007ffc)",
            "\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f20)",
            "\t/lib64/ld-linux-x86-64.so.2 (0x00007f21)",
            "/programs/movie-service:",
        ];
        let found: Vec<_> = lines.into_iter().filter_map(library).collect();
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
