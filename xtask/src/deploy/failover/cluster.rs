//! Three PostgreSQL servers that Patroni runs, and their etcd.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::member::Member;
use crate::bench::process;
use crate::build::{self, Build};
use crate::deploy::example;
use crate::deploy::venv::Venv;
use crate::program::{self, Program};
use crate::{http, postgres, wait};

/// Time for a step: the creation of a member is one.
const TIMEOUT: Duration = Duration::from_secs(90);

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
        let user = postgres::other_user()?;
        // Another user may not run every Python.
        let python = if user.is_some() { "/usr/bin/python3" } else { "python3" };
        let requirements = build.root.join("xtask/deploy/requirements-failover.txt");
        let venv = Venv::install_with(python, &build.kept_folder("failover"), &requirements)?;
        chown(folder.path(), user, user)?;
        let [client, peer, addresses @ ..] = process::free_addresses::<8>()?;
        let etcd = start_etcd(folder.path(), client, peer)?;
        let mut cluster =
            Self { members: Vec::new(), _etcd: etcd, venv, psql: programs.join("psql"), folder };
        let folder = cluster.folder.path().to_owned();
        let example = build.root.join("deploy/postgres/patroni.yaml");
        for (name, [postgres, rest]) in NAMES.into_iter().zip(addresses.as_chunks().0) {
            let own = folder.join(name);
            fs::create_dir(&own).with_context(|| format!("create {}", own.display()))?;
            chown(&own, user, user)?;
            let file = own.join("patroni.yaml");
            example::write(&example, &substitutes(name, &own, programs, client, *postgres, *rest), &file)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
            cluster.members.push(Member::new(name, own, *postgres, *rest, user));
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
        wait::until("replication is asynchronous", TIMEOUT, || {
            let standbys = self.sql("SHOW synchronous_standby_names")?;
            ensure!(standbys.trim().is_empty(), "the synchronous standbys are {standbys}");
            Ok(())
        })
    }

    /// Suspends the WAL senders of the primary.
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
        let mut pages = running.filter_map(|member| http::exchange(member.rest, "GET /cluster", "").ok());
        let (_, page) = pages.next().context("no member of Patroni responds")?;
        let page: Value = serde_json::from_str(&page)?;
        Ok(page["members"].as_array().cloned().unwrap_or_default())
    }

    fn wait(&self, what: &str, is_there: impl Fn(&[Value]) -> bool) -> Result<()> {
        wait::until(what, TIMEOUT, || {
            let members = self.states()?;
            ensure!(is_there(&members), "the members are {members:?}");
            Ok(())
        })
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

fn start_etcd(folder: &Path, client: SocketAddr, peer: SocketAddr) -> Result<Program> {
    let [client_url, peer_url] = [client, peer].map(|address| format!("http://{address}"));
    let mut etcd = Command::new(build::find("etcd").context("etcd is not installed")?);
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    etcd.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    etcd.args(["--initial-cluster", &format!("default={peer_url}")]);
    let etcd = Program::start(etcd.stdin(Stdio::null()))?;
    wait::until("etcd is healthy", TIMEOUT, || http::get(client, "/health").map(drop))?;
    Ok(etcd)
}
