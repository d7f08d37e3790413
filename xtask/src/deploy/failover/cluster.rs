//! Three PostgreSQL servers that Patroni runs, and their etcd.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::member::Member;
use crate::bench::process;
use crate::deploy::build::{self, Build};
use crate::deploy::example;
use crate::deploy::venv::Venv;
use crate::program::{self, Program};

/// Time for a step: the creation of a member is one.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Pause between looks at what changes.
const PAUSE: Duration = Duration::from_millis(100);

/// The user that runs the servers if the test runs as root.
const NOBODY: u32 = 65_534;

const NAMES: [&str; 3] = ["db1", "db2", "db3"];

/// Passwords of the example: of the superuser, for replication, and to rewind.
const PASSWORDS: [(&str, &str); 3] =
    [("change-me-1", "superuser"), ("change-me-2", "replication"), ("change-me-3", "rewinding")];

/// The cluster. All of it is stopped when it is dropped, in this order.
pub(super) struct Cluster {
    members: Vec<Member>,
    _etcd: Program,
    venv: Venv,
    psql: PathBuf,
    /// Of the user that runs the servers.
    folder: TempDir,
}

impl Cluster {
    /// Starts etcd and three members, one after the other, and waits until two follow the first.
    pub(super) fn start(build: &Build, programs: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The programs of PostgreSQL refuse to run as root, and another user may not run every Python.
        let is_root = fs::metadata(folder.path())?.uid() == 0;
        let python = if is_root { "/usr/bin/python3" } else { "python3" };
        let requirements = build.root.join("xtask/deploy/requirements-failover.txt");
        let venv = Venv::install_with(python, &build.kept_folder("failover"), &requirements)?;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let [client, peer, addresses @ ..] = process::free_addresses::<8>()?;
        let etcd = start_etcd(folder.path(), client, peer)?;
        let mut cluster =
            Self { members: Vec::new(), _etcd: etcd, venv, psql: programs.join("psql"), folder };
        let folder = cluster.folder.path().to_owned();
        let example = build.root.join("deploy/postgres/patroni.yaml");
        for (name, [postgres, rest]) in NAMES.into_iter().zip(addresses.as_chunks().0) {
            let own = folder.join(name);
            create_folder(&own, is_root)?;
            let file = own.join("patroni.yaml");
            example::write(&example, &substitutes(name, &own, programs, client, *postgres, *rest), &file)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
            cluster.members.push(Member::new(name, own, *postgres, *rest, is_root.then_some(NOBODY)));
            cluster.start_member(cluster.members.len() - 1)?;
        }
        cluster.wait_until_synchronous()?;
        Ok(cluster)
    }

    /// Creates the database of the service, and returns its URL, which names all members.
    pub(super) fn url(&self) -> Result<String> {
        self.sql("CREATE ROLE films LOGIN PASSWORD 'secret'")?;
        self.sql("CREATE DATABASE films OWNER films ENCODING UTF8")?;
        let hosts = self.members.iter().map(|member| member.postgres.to_string()).collect::<Vec<_>>();
        Ok(format!("postgres://films:secret@{}/films", hosts.join(",")))
    }

    /// Waits until two standbys follow, one of them synchronously. A primary that fails before has no successor.
    pub(super) fn wait_until_synchronous(&self) -> Result<()> {
        self.wait("synchronous standby and another one", |members| {
            let streaming = members.iter().filter(|member| member["state"] == "streaming");
            streaming.count() == 2 && members.iter().any(|member| member["role"] == "sync_standby")
        })
    }

    /// Makes the synchronous standby the primary, as before maintenance.
    pub(super) fn switch_over(&self) -> Result<()> {
        let members = self.states()?;
        let of_role = |role: &str| {
            let member = members.iter().find(|member| member["role"] == role);
            member
                .and_then(|member| member["name"].as_str())
                .with_context(|| format!("no {role}: {members:?}"))
        };
        let (leader, candidate) = (of_role("leader")?, of_role("sync_standby")?);
        self.patronictl(&["switchover", "films", "--leader", leader, "--candidate", candidate, "--force"])
    }

    /// Kills Patroni and PostgreSQL of the primary, as if the machine had lost its power. Returns which one it was.
    pub(super) fn kill_primary(&mut self) -> Result<usize> {
        let index = self.primary()?;
        self.members[index].kill()?;
        Ok(index)
    }

    /// Starts a member that was killed, and waits until it follows the primary.
    pub(super) fn bring_back(&mut self, index: usize) -> Result<()> {
        self.start_member(index)?;
        let name = self.members[index].name;
        self.wait("the former primary as a standby", |members| {
            members.iter().any(|member| member["name"] == name && member["state"] == "streaming")
        })
    }

    /// Turns synchronous replication off.
    pub(super) fn make_asynchronous(&self) -> Result<()> {
        self.patronictl(&["edit-config", "films", "--force", "--quiet", "--set", "synchronous_mode=false"])?;
        let began = Instant::now();
        while !self.sql("SHOW synchronous_standby_names")?.trim().is_empty() {
            ensure!(began.elapsed() < TIMEOUT, "replication is still synchronous after {TIMEOUT:?}");
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Lets the primary send nothing more to its standbys.
    pub(super) fn hold_replication(&self) -> Result<()> {
        self.members[self.primary()?].hold_replication()
    }

    fn start_member(&mut self, index: usize) -> Result<()> {
        let mut patroni = self.venv.tool("patroni");
        self.members[index].start(&mut patroni)?;
        let name = self.members[index].name;
        self.wait(name, |members| {
            let running = |member: &Value| member["state"] == "running" || member["state"] == "streaming";
            members.iter().any(|member| member["role"] == "leader" && running(member))
                && members.iter().any(|member| member["name"] == name && running(member))
        })
    }

    fn primary(&self) -> Result<usize> {
        let states = self.states()?;
        let leader = states.iter().find(|member| member["role"] == "leader").context("no primary")?;
        self.members.iter().position(|member| leader["name"] == member.name).context("an unknown primary")
    }

    /// Returns the members, as one of those that run sees them.
    fn states(&self) -> Result<Vec<Value>> {
        let running = self.members.iter().filter(|member| member.is_running());
        let mut pages = running.filter_map(|member| http::request(member.rest, "GET", "/cluster", "").ok());
        let page: Value = serde_json::from_str(&pages.next().context("no member of Patroni responds")?.body)?;
        Ok(page["members"].as_array().cloned().unwrap_or_default())
    }

    fn wait(&self, what: &str, is_there: impl Fn(&[Value]) -> bool) -> Result<()> {
        let began = Instant::now();
        while !self.states().is_ok_and(|members| is_there(&members)) {
            ensure!(began.elapsed() < TIMEOUT, "no {what} within {TIMEOUT:?}: {:?}", self.states());
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Executes a command on the primary.
    fn sql(&self, command: &str) -> Result<String> {
        let address = self.members[self.primary()?].postgres;
        let mut psql = Command::new(&self.psql);
        psql.args([
            "-X",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-h",
            "127.0.0.1",
        ]);
        psql.args(["-p", &address.port().to_string(), "-c", command]).env("PGPASSWORD", PASSWORDS[0].1);
        program::run(&mut psql, TIMEOUT)
    }

    fn patronictl(&self, arguments: &[&str]) -> Result<()> {
        let mut patronictl = self.venv.tool("patronictl");
        patronictl.arg("-c").arg(self.members[0].folder.join("patroni.yaml")).args(arguments);
        program::run(patronictl.stdin(Stdio::null()), TIMEOUT).map(drop)
    }
}

/// Returns what the test has instead of what the example has.
fn substitutes(
    name: &str,
    folder: &Path,
    programs: &Path,
    etcd: SocketAddr,
    postgres: SocketAddr,
    rest: SocketAddr,
) -> example::Substitutes {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut substitutes = vec![
        ("name: db1", format!("name: {name}")),
        ("10.0.0.21:8008", rest.to_string()),
        ("[10.0.0.31:2379, 10.0.0.32:2379, 10.0.0.33:2379]", format!("[\"{etcd}\"]")),
        ("10.0.0.21:5432", postgres.to_string()),
        ("/var/lib/postgresql/15/films", path("data")),
        ("/usr/lib/postgresql/15/bin", programs.display().to_string()),
        ("/var/lib/postgresql/.pgpass_films", path("pgpass")),
        ("/var/run/postgresql", folder.display().to_string()),
        ("10.0.0.0/24", "127.0.0.1/32".to_owned()),
        // The machine must not be restarted.
        ("mode: automatic", "mode: \"off\"".to_owned()),
    ];
    substitutes.extend(PASSWORDS.map(|(old, new)| (old, new.to_owned())));
    substitutes
}

fn create_folder(folder: &Path, is_root: bool) -> Result<()> {
    fs::create_dir(folder).with_context(|| format!("create {}", folder.display()))?;
    if is_root {
        chown(folder, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

fn start_etcd(folder: &Path, client: SocketAddr, peer: SocketAddr) -> Result<Program> {
    let [client_url, peer_url] = [client, peer].map(|address| format!("http://{address}"));
    let mut etcd = Command::new(build::find("etcd").context("etcd is not installed")?);
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    etcd.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    etcd.args(["--initial-cluster", &format!("default={peer_url}")]);
    let etcd = Program::start(etcd.stdin(Stdio::null()))?;
    let began = Instant::now();
    let is_healthy = || http::request(client, "GET", "/health", "").is_ok_and(|page| page.status == 200);
    while !is_healthy() {
        ensure!(began.elapsed() < TIMEOUT, "etcd is not healthy within {TIMEOUT:?}");
        thread::sleep(PAUSE);
    }
    Ok(etcd)
}
