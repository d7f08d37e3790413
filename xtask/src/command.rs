//! The command line of `cargo xtask`.

use std::path::Path;

use anyhow::Result;
use clap::Parser;

use crate::{
    bench, deploy, fuzz, interop, new_service, package, regen_proto, regen_web, release, simulate, soak,
    test_web,
};

/// The project's automation.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub enum Command {
    /// Measure the service beside its peers, in parts; without a part, list them.
    Bench(bench::Options),
    /// Fuzz every parser of external input.
    Fuzz(fuzz::Options),
    /// Build the container image of the service and the client, with their bills of materials.
    Image(deploy::container::Options),
    /// Check that the service and the client work with Python programs at the other end.
    Interop(interop::Options),
    /// Write a small workspace in the form of this one, for another resource, such as `new-service book author:string pages:int32`.
    NewService(new_service::Options),
    /// Make the Debian packages and the RPM packages of both programs, and print their paths.
    Package(package::Options),
    /// Generate `movie-proto/src/generated/` from `proto/`.
    RegenProto {
        /// Change nothing; fail if a generated file is stale, missing or left over.
        #[arg(long)]
        check: bool,
    },
    /// Build the page in `movie-service/web/`, and its stubs from `proto/`; needs Node.js 20.19, 22.12 or newer.
    RegenWeb {
        /// Change nothing; fail if a generated file is stale, missing or left over. Skipped without Node.js.
        #[arg(long)]
        check: bool,
    },
    /// Make a release: version, changelog, commit, tag, packages and checksums.
    Release(release::Options),
    /// Predict which resource is exhausted first as the service grows, from measured costs.
    Simulate(simulate::Options),
    /// Keep two services under mixed load, hostile peers and watches for a while, and check every response.
    Soak(soak::Options),
    /// Test what `deploy/` has: packages, the container, the chart, the monitoring, the examples of proxies, and backups.
    TestDeploy(deploy::Options),
    /// Test the page in Node.js and in Chromium.
    TestWeb(test_web::Options),
}

impl Command {
    /// Runs the command in the workspace with this root.
    ///
    /// # Errors
    ///
    /// What failed, for people.
    pub fn run(self, root: &Path) -> Result<()> {
        match self {
            Self::Bench(options) => bench::run(root, &options),
            Self::Fuzz(options) => fuzz::run(root, &options),
            Self::Image(options) => deploy::container::run(root, &options),
            Self::Interop(options) => interop::check(root, &options),
            Self::NewService(options) => new_service::run(root, &options),
            Self::Package(options) => package::run(root, &options),
            Self::RegenProto { check: false } => regen_proto::write(root).map(|report| println!("{report}")),
            Self::RegenProto { check: true } => regen_proto::check(root),
            Self::RegenWeb { check: false } => regen_web::write(root).map(|report| println!("{report}")),
            Self::RegenWeb { check: true } => regen_web::check(root),
            Self::Release(options) => release::run(root, &options),
            Self::Simulate(options) => simulate::run(root, &options),
            Self::Soak(options) => soak::run(root, &options),
            Self::TestDeploy(options) => deploy::run(root, &options),
            Self::TestWeb(options) => test_web::run(root, &options),
        }
    }
}
