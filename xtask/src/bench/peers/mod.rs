//! Programs of others: load generators, and servers that ours is compared with.

mod database;
mod etcd;
mod nghttpd;

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub(crate) use self::database::Postgres;
pub(super) use self::etcd::Etcd;
pub(super) use self::nghttpd::Nghttpd;
use crate::{postgres, program};

/// A program, and the package that has it on Debian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    name: &'static str,
    package: &'static str,
}

pub(crate) const H2LOAD: Tool = Tool { name: "h2load", package: "nghttp2-client" };
pub(super) const NGHTTPD: Tool = Tool { name: "nghttpd", package: "nghttp2-server" };
pub(super) const ETCD: Tool = Tool { name: "etcd", package: "etcd-server" };
pub(crate) const POSTGRES: Tool = Tool { name: "PostgreSQL", package: "postgresql" };

impl Tool {
    /// Returns a command of this program.
    pub(crate) fn command(self) -> Command {
        Command::new(self.name)
    }

    /// Fails if the program is not installed.
    pub(crate) fn require(self) -> Result<()> {
        self.is_installed().then_some(()).with_context(|| self.missing())
    }

    /// Returns whether the program is installed. If it is not, prints which figures are missing, and how to install it.
    pub(super) fn is_available(self) -> bool {
        let found = self.is_installed();
        if !found {
            eprintln!("{}; the figures that need it are left out", self.missing());
        }
        found
    }

    fn is_installed(self) -> bool {
        if self.name == POSTGRES.name {
            return postgres::programs().is_ok();
        }
        self.command().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    fn missing(self) -> String {
        program::not_installed(self.name, self.package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let tool = Tool { name: "no-such-program", package: "a-package" };
        assert!(!tool.is_available());
        let error = tool.require().unwrap_err().to_string();
        assert_eq!(error, "no-such-program is not installed; on Debian: apt-get install a-package");
    }
}
