//! A throw-away machine: this one's files, to which an overlay in memory takes the changes, with systemd as its first process.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::program::{self, Program};
use crate::wait;

/// Time for the machine to start, or for a unit to get into a state.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for a command in the machine.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(3);

/// Namespaces of the machine: it sees no process or network of this one, and its mounts end with it.
const NAMESPACES: [&str; 6] = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net"];

/// Prepares the root directory in `$1`, and becomes systemd.
///
/// `/sys` and `/proc/sys` are read-only, by which systemd knows that the devices and settings of the kernel are not the machine's.
/// A `chroot` would not do: a process in one may make no user namespaces (`PrivateUsers=`). Mounts of a unit, such as its credentials,
/// are made in another namespace, and have to propagate.
const BOOT: &str = r#"
mount -t tmpfs -o size=2g tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o name=systemd,none cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
# Units of this machine are not the test's, nor is a policy against starting services.
rm -rf etc/systemd/system usr/sbin/policy-rc.d
mkdir -p etc/systemd/system etc/systemd/journald.conf.d mnt
cat > etc/systemd/system/test.target <<END
[Unit]
Description=Machine of a test
Requires=systemd-journald.service
After=systemd-journald.service
END
ln -s /dev/null etc/systemd/system/systemd-modules-load.service
printf '[Journal]\nStorage=volatile\nReadKMsg=no\n' > etc/systemd/journald.conf.d/test.conf
tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
pivot_root . mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=overlay chroot . sh -c 'umount -l /mnt && mount --make-rshared / && exec /lib/systemd/systemd --system --unit=test.target --show-status=no'
"#;

/// A running machine. It ends, with all that runs in it, when this is dropped.
pub(super) struct Machine {
    /// The program that made the namespaces; the machine ends with it.
    _unshare: Program,
    /// Process id of the machine's systemd, outside of the machine.
    init: String,
}

/// Returns why no machine can be started here, if so.
pub(super) fn unsupported_reason() -> Option<String> {
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("systemd is missing (Debian: systemd)".to_owned());
    }
    let mut unshare = unshare();
    let made = program::run(unshare.arg("true").stdin(Stdio::null()), COMMAND_TIMEOUT);
    made.is_err().then(|| "a machine needs root, who may make namespaces".to_owned())
}

fn unshare() -> Command {
    // It ends with this program, also if that is killed.
    let mut unshare = Command::new("setpriv");
    unshare.args(["--pdeathsig", "KILL", "unshare"]).args(NAMESPACES).args(["--fork", "--kill-child"]);
    unshare
}

impl Machine {
    /// Starts a machine; `folder` is an empty folder for its mounts.
    ///
    /// # Errors
    ///
    /// If systemd does not start.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut command = unshare();
        command.args(["sh", "-euc", BOOT, "sh"]).arg(folder).stdin(Stdio::null());
        let unshare = Program::start(&mut command)?;
        let id = unshare.id();
        let booted = wait::until("the machine's systemd", START_TIMEOUT, || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
            let init = children.trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{init}/comm"))?;
            ensure!(name.trim() == "systemd", "it is still {name}");
            Ok(init)
        });
        let init = match booted {
            Ok(init) => init,
            Err(error) => return Err(error.context(unshare.said())),
        };
        let machine = Self { _unshare: unshare, init };
        wait::until("the machine", START_TIMEOUT, || {
            let mut state = machine.command(&["systemctl", "is-system-running"]);
            // It fails in other states than these.
            let state = Program::start(&mut state)?.finish(COMMAND_TIMEOUT)?.stdout;
            ensure!(["running\n", "degraded\n"].contains(&state.as_str()), "its state is {state}");
            Ok(())
        })?;
        Ok(machine)
    }

    /// Returns a command in the machine.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init]).args(NAMESPACES).arg("--").args(words);
        command.stdin(Stdio::null()).current_dir("/");
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a command in the machine, and returns what it prints.
    ///
    /// # Errors
    ///
    /// If it fails; with the log of the service.
    pub(super) fn run(&self, words: &[&str]) -> Result<String> {
        program::run(&mut self.command(words), COMMAND_TIMEOUT).with_context(|| self.log())
    }

    /// Runs a script in the machine, and returns what it prints.
    ///
    /// # Errors
    ///
    /// If a command of the script fails.
    pub(super) fn shell(&self, script: &str) -> Result<String> {
        self.run(&["sh", "-euc", script])
    }

    /// Runs a command in the machine that has to fail, and returns its errors.
    ///
    /// # Errors
    ///
    /// If it succeeds.
    pub(super) fn run_expecting_failure(&self, words: &[&str]) -> Result<String> {
        let output = Program::start(&mut self.command(words))?.finish(COMMAND_TIMEOUT)?;
        ensure!(!output.status.success(), "{words:?} was expected to fail");
        Ok(output.stderr)
    }

    /// Returns a property of a unit.
    ///
    /// # Errors
    ///
    /// If systemd does not answer.
    pub(super) fn property(&self, unit: &str, name: &str) -> Result<String> {
        Ok(self.run(&["systemctl", "show", "--value", "--property", name, unit])?.trim().to_owned())
    }

    /// Waits until a property of the service has a value that `is_expected`.
    ///
    /// # Errors
    ///
    /// If it has not within a minute; with the log of the service.
    pub(super) fn wait(&self, name: &str, is_expected: impl Fn(&str) -> bool) -> Result<()> {
        let reached = wait::until(&format!("{name} of the service"), START_TIMEOUT, || {
            let value = self.property(super::SERVICE, name)?;
            ensure!(is_expected(&value), "it is {value:?}");
            Ok(())
        });
        reached.with_context(|| self.log())
    }

    /// Waits until the log of the service has a text.
    ///
    /// # Errors
    ///
    /// If it has not within a minute; with the log.
    pub(super) fn wait_for_log(&self, text: &str) -> Result<()> {
        wait::until(&format!("{text:?} in the log"), START_TIMEOUT, || {
            let log = self.log();
            ensure!(log.contains(text), "it has\n{log}");
            Ok(())
        })
    }

    /// Returns the end of the log of the service.
    pub(super) fn log(&self) -> String {
        let mut log = self.command(&["journalctl", "--no-pager", "--lines=40", "--unit", super::SERVICE]);
        program::run(&mut log, COMMAND_TIMEOUT).unwrap_or_default()
    }

    /// Returns the file that stands for the network of the machine.
    pub(super) fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.init)
    }
}
