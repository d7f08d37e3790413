//! Proxies that run with the examples of `deploy/proxies/`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::TIMEOUT;
use super::nodes::Nodes;
use crate::bench::process;
use crate::build;
use crate::deploy::example::{self, Substitutes};
use crate::deploy::venv::Venv;
use crate::program::Program;
use crate::wait;

/// Where everything listens.
pub(super) struct Addresses {
    pub(super) proxies: [SocketAddr; 3],
    pub(super) nodes: [SocketAddr; 2],
    pub(super) metrics: [SocketAddr; 2],
    /// Of Envoy.
    admin: SocketAddr,
}

/// A proxy that runs.
pub(super) struct Proxy {
    pub(super) name: &'static str,
    /// Where it listens, with TLS.
    pub(super) address: SocketAddr,
    /// The authority of its certificate.
    pub(super) authority: PathBuf,
    retries: Retries,
    /// Behind a lock, so that threads can share the proxy.
    program: Option<Mutex<Program>>,
}

/// Where a proxy tells how many calls it has tried again.
enum Retries {
    /// In the access log: a line has the addresses of all nodes that were tried, with `, ` or, in two locations, ` : ` between.
    Log(PathBuf),
    /// On a socket for administrators.
    Socket(PathBuf),
    /// On a port for administrators.
    Port(SocketAddr),
}

/// Returns free addresses.
pub(super) fn addresses() -> Result<Addresses> {
    let [proxies @ .., a, b, c, d, admin] = process::free_addresses::<8>()?;
    Ok(Addresses { proxies, nodes: [a, b], metrics: [c, d], admin })
}

impl Proxy {
    /// Starts nginx, `HAProxy` and Envoy, and waits until each has found a node.
    pub(super) fn start_all(
        examples: &Path,
        folder: &Path,
        nodes: &Nodes,
        envoy: &Venv,
    ) -> Result<Vec<Self>> {
        let Addresses { proxies: [nginx, haproxy, envoy_listener], admin, .. } = nodes.addresses;
        let run = Run { examples, folder };
        let proxies = vec![
            run.nginx(nginx, &nodes.addresses)?,
            run.haproxy(haproxy, &nodes.addresses)?,
            run.envoy(envoy_listener, admin, &nodes.addresses, envoy)?,
        ];
        for proxy in &proxies {
            if let Err(error) = wait::until(proxy.name, TIMEOUT, || proxy.serves()) {
                return Err(error.context(proxy.log()));
            }
        }
        Ok(proxies)
    }

    /// Returns what the program has complained about so far, and the error log of nginx.
    fn log(&self) -> String {
        let said = self.program.as_ref().and_then(|program| Some(program.lock().ok()?.said()));
        let file = self.authority.with_file_name("error.log");
        let logged = fs::read_to_string(file).ok().filter(|_| self.name == "nginx");
        [said, logged].into_iter().flatten().collect()
    }

    /// Returns a command of curl for the proxy, which prints the head of the response, too.
    pub(super) fn curl(&self, version: &str, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--include", "--max-time", "10", version, "--cacert"]).arg(&self.authority);
        curl.arg(format!("https://localhost:{}{path}", self.address.port()));
        curl
    }

    /// Returns how many calls the proxy has tried again since it was started.
    pub(super) fn retries(&self) -> Result<u64> {
        match &self.retries {
            Retries::Log(file) => {
                // Longer than the log is buffered.
                thread::sleep(Duration::from_millis(1_500));
                let log = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
                let upstreams = log
                    .lines()
                    .filter_map(|line| line.split_once(" upstream=")?.1.split_once(" upstream_status="));
                let tried_again =
                    |(addresses, _): &(&str, _)| addresses.contains(", ") || addresses.contains(" : ");
                Ok(upstreams.filter(tried_again).count() as u64)
            }
            Retries::Socket(path) => {
                let stream =
                    UnixStream::connect(path).with_context(|| format!("connect to {}", path.display()))?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                haproxy_retries(&ask(stream, b"show stat\n")?)
            }
            Retries::Port(address) => {
                // Envoy refuses HTTP/1.0.
                let request = b"GET /stats?filter=^cluster.nodes.upstream_rq_retry$ HTTP/1.1\r\n\
                    host: localhost\r\nconnection: close\r\n\r\n";
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                let page = ask(stream, request)?;
                let count =
                    page.lines().find_map(|line| line.strip_prefix("cluster.nodes.upstream_rq_retry: "));
                Ok(count.with_context(|| format!("Envoy does not count retries: {page}"))?.trim().parse()?)
            }
        }
    }

    /// Checks that the proxy passes a request on to a node.
    fn serves(&self) -> Result<()> {
        let output = Program::start(&mut self.curl("--http1.1", "/v1/catalog"))?.finish(TIMEOUT)?;
        ensure!(output.stdout.starts_with("HTTP/1.1 200"), "it does not serve: {}", output.stdout);
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked first: nginx ends its worker processes only then.
        if let Some(Ok(program)) = self.program.take().map(Mutex::into_inner) {
            let _ = program.stop(Duration::from_secs(10));
        }
    }
}

/// A start of proxies.
struct Run<'a> {
    examples: &'a Path,
    /// Folder of the certificates, and of what proxies write.
    folder: &'a Path,
}

impl Run<'_> {
    fn nginx(&self, address: SocketAddr, to: &Addresses) -> Result<Proxy> {
        let path = |name: &str| format!("{}/{name}", self.folder.display());
        // Where nginx may write without being root.
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {};", path(name)))
            .join("\n");
        let mut substitutes = vec![
            ("listen 443 ssl http2;", format!("listen {address} ssl http2;")),
            ("/run/nginx.pid", path("nginx.pid")),
            ("/var/log/nginx/", path("")),
            ("/etc/ssl/films/", path("")),
            ("default_type application/octet-stream;", temporary),
        ];
        let [one, two] = to.nodes.map(|node| node.to_string());
        substitutes.extend([("10.0.0.11:3001", one), ("10.0.0.12:3001", two)]);
        let file = self.configure("nginx.conf", &substitutes)?;
        let mut nginx = command("nginx")?;
        nginx.arg("-p").arg(self.folder).arg("-c").arg(file).args(["-g", "daemon off;"]);
        self.start("nginx", &mut nginx, address, Retries::Log(self.folder.join("access.log")))
    }

    fn haproxy(&self, address: SocketAddr, to: &Addresses) -> Result<Proxy> {
        let socket = self.folder.join("admin.sock");
        let mut substitutes = vec![
            ("bind :443 ", format!("bind {address} ")),
            ("/run/haproxy/admin.sock", socket.display().to_string()),
            ("/etc/haproxy/films.pem", self.folder.join("films.pem").display().to_string()),
        ];
        if fs::metadata("/proc/self")?.uid() != 0 {
            // Only root can become another user.
            substitutes
                .extend([("    user haproxy\n", String::new()), ("    group haproxy\n", String::new())]);
        }
        let server = |index: usize| format!("{} port {}", to.nodes[index], to.metrics[index].port());
        substitutes
            .extend([("10.0.0.11:3001 port 9000", server(0)), ("10.0.0.12:3001 port 9000", server(1))]);
        let file = self.configure("haproxy.cfg", &substitutes)?;
        let mut haproxy = command("haproxy")?;
        self.start("HAProxy", haproxy.arg("-db").arg("-f").arg(file), address, Retries::Socket(socket))
    }

    fn envoy(&self, address: SocketAddr, admin: SocketAddr, to: &Addresses, venv: &Venv) -> Result<Proxy> {
        let socket_address =
            |address: SocketAddr| format!("address: {}, port_value: {}", address.ip(), address.port());
        let [one, two] = to.nodes;
        let substitutes = vec![
            ("address: 0.0.0.0, port_value: 443", socket_address(address)),
            ("address: 127.0.0.1, port_value: 9901", socket_address(admin)),
            ("address: 10.0.0.11, port_value: 3001", socket_address(one)),
            ("address: 10.0.0.12, port_value: 3001", socket_address(two)),
            ("/etc/ssl/films/", format!("{}/", self.folder.display())),
        ];
        let file = self.configure("envoy.yaml", &substitutes)?;
        let mut envoy = venv.tool("envoy");
        envoy.args(["--log-level", "error", "--concurrency", "2", "--use-dynamic-base-id", "-c"]).arg(file);
        self.start("Envoy", &mut envoy, address, Retries::Port(admin))
    }

    /// Writes an example with other addresses and paths.
    fn configure(&self, name: &str, substitutes: &Substitutes) -> Result<PathBuf> {
        let file = self.folder.join(name);
        example::write(&self.examples.join(name), substitutes, &file)?;
        Ok(file)
    }

    fn start(
        &self,
        name: &'static str,
        command: &mut Command,
        address: SocketAddr,
        retries: Retries,
    ) -> Result<Proxy> {
        let program = Some(Mutex::new(Program::start(command.stdin(Stdio::null()))?));
        Ok(Proxy { name, address, authority: self.folder.join("ca.pem"), retries, program })
    }
}

fn command(name: &str) -> Result<Command> {
    Ok(Command::new(build::find(name).with_context(|| format!("{name} is not installed"))?))
}

/// Sends a request, and returns all that comes back.
fn ask(mut stream: impl Read + Write, request: &[u8]) -> Result<String> {
    stream.write_all(request)?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Sums the retries to the same server and to the other, in the statistics of `HAProxy`: a table in CSV.
fn haproxy_retries(statistics: &str) -> Result<u64> {
    let mut lines = statistics.lines();
    let header: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name| {
        let column = header.iter().position(|column| *column == name);
        column.with_context(|| format!("HAProxy has no {name}"))
    };
    let columns = [column("wretr")?, column("wredis")?];
    let mut sum = 0;
    for backend in lines.filter(|line| line.contains(",BACKEND,")) {
        let values: Vec<_> = backend.split(',').collect();
        for column in columns {
            sum += values.get(column).context("a short line of HAProxy")?.parse::<u64>()?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_of_haproxy_are_read_by_the_names_of_their_columns() {
        let statistics = "# pxname,svname,wretr,econ,wredis,\nfilms,FRONTEND,,,,\ngrpc,node1,9,9,9,\n\
            grpc,BACKEND,2,7,3,\nweb,BACKEND,0,7,1,\n";
        assert_eq!(haproxy_retries(statistics).unwrap(), 6);
        haproxy_retries("# pxname,svname,wretr\ngrpc,BACKEND,2\n").unwrap_err();
    }
}
