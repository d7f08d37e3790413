//! Load on a server: h2load, and `movie-service/examples/load.rs` where responses must be read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use super::peers::H2LOAD;
use super::{data, process};
use crate::program;

/// Time limit of one load.
const LOAD_TIMEOUT: Duration = Duration::from_mins(5);

const CREATE_METHOD: &str = "movie.catalog.v1.MovieCatalog/CreateMovie";

/// A `CreateMovieRequest` with the title `A created movie` and the year 2026.
const CREATE_REQUEST: &[u8] = b"\x0a\x14\x0a\x0fA created movie\x28\xea\x0f";

/// A call for one movie. The requests of both have the same encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    /// `GetMovieByID` of the course's contract.
    Course,
    /// `GetMovie` of the catalogue.
    Catalog,
}

/// Makes one call of `GetMovieByID`.
pub(crate) fn one_call(address: SocketAddr) -> Result<()> {
    calls(address, Lookup::Course, 0, 1, (1, 1))
}

/// Makes calls for one movie.
pub(crate) fn calls(
    address: SocketAddr,
    lookup: Lookup,
    movie: u64,
    calls: u64,
    (connections, streams): (u64, u64),
) -> Result<()> {
    let method = match lookup {
        Lookup::Course => "Movie/GetMovieByID",
        Lookup::Catalog => "movie.catalog.v1.MovieCatalog/GetMovie",
    };
    h2load(address, method, &message(movie)?, calls, (connections, streams))
}

/// Requests a page of `ListMovies` several times, one after the other.
pub(crate) fn list_pages(address: SocketAddr, message: &[u8], pages: u64) -> Result<()> {
    h2load(address, "movie.catalog.v1.MovieCatalog/ListMovies", message, pages, (1, 1))
}

/// Creates movies, whose ids the service generates.
pub(crate) fn creates(address: SocketAddr, movies: u64, writers: (u64, u64)) -> Result<()> {
    h2load(address, CREATE_METHOD, CREATE_REQUEST, movies, writers)
}

/// Creates movies for some seconds, and returns the number of acknowledged ones.
pub(crate) fn creates_for(
    address: SocketAddr,
    seconds: u64,
    (connections, streams): (u64, u64),
) -> Result<f64> {
    let body = Body::of(CREATE_REQUEST)?;
    let mut command = h2load_command(connections, streams);
    command.args(["-D", &seconds.to_string()]);
    body.send(&mut command, address, CREATE_METHOD);
    let printed = program::run(&mut command, LOAD_TIMEOUT)?;
    let counts = Counts::of(&printed).with_context(|| format!("h2load printed no counts:\n{printed}"))?;
    ensure!(counts.failed == 0, "h2load had failures:\n{printed}");
    Ok(f64::from(counts.succeeded))
}

/// Connections with calls at a constant rate.
pub(crate) const RATE_CONNECTIONS: u32 = 4;

/// Makes calls for one movie at a constant rate for some seconds, and returns the number of successful ones.
pub(crate) fn calls_at_rate(address: SocketAddr, movie: u64, rate: u64, seconds: u64) -> Result<f64> {
    let body = Body::of(&message(movie)?)?;
    let connections = u64::from(RATE_CONNECTIONS);
    let mut command = h2load_command(connections, 100);
    command.args(["-D", &seconds.to_string(), "--rps", &(rate / connections).to_string()]);
    body.send(&mut command, address, "Movie/GetMovieByID");
    let printed = program::run(&mut command, LOAD_TIMEOUT)?;
    let counts = Counts::of(&printed).with_context(|| format!("h2load printed no counts:\n{printed}"))?;
    ensure!(counts.failed == 0, "h2load had failures:\n{printed}");
    Ok(f64::from(counts.succeeded))
}

/// Writes to etcd, always the same key.
pub(crate) fn puts(address: SocketAddr, puts: u64, writers: (u64, u64)) -> Result<()> {
    /// A `PutRequest` with a key of 36 bytes and a value of 20 bytes.
    const REQUEST: &[u8] = b"\x0a\x24c0ffee00-0000-4000-8000-00000000000a\x12\x14A created movie 2026";
    h2load(address, "etcdserverpb.KV/Put", REQUEST, puts, writers)
}

/// A version of HTTP, without TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Sends GET requests for one path.
pub(crate) fn gets(
    address: SocketAddr,
    path: &str,
    protocol: Protocol,
    requests: u64,
    (connections, streams): (u64, u64),
) -> Result<()> {
    let mut command = h2load_command(connections, streams);
    if matches!(protocol, Protocol::Http1) {
        command.arg("--h1");
    }
    check_run(command.arg(format!("http://{address}{path}")), requests)
}

/// Requests pages with filters and orders, one after the other.
pub(crate) fn pages(target: &Path, address: SocketAddr, pages: u64) -> Result<()> {
    program::run(generator(target, "pages", address).arg(pages.to_string()), LOAD_TIMEOUT).map(drop)
}

/// Requests batches of 1,000 movies of a generated database, one after the other, and returns the size of one in bytes.
pub(crate) fn batches(target: &Path, address: SocketAddr, movies: u64, batches: u64) -> Result<f64> {
    let mut command = generator(target, "batches", address);
    let printed =
        program::run(command.args([movies, batches].map(|number| number.to_string())), LOAD_TIMEOUT)?;
    Ok(printed.trim().parse()?)
}

/// Looks ids of a generated database up in bursts, on one stream.
pub(crate) fn lookups(target: &Path, address: SocketAddr, movies: u64, ids: u64) -> Result<()> {
    let mut command = generator(target, "lookups", address);
    program::run(command.args([movies, ids].map(|number| number.to_string())), LOAD_TIMEOUT).map(drop)
}

/// Creates movies with concurrent writers, and returns the number of movies per second.
pub(crate) fn writes(target: &Path, address: SocketAddr, writers: u64, movies: u64) -> Result<f64> {
    let mut command = generator(target, "writes", address);
    let printed =
        program::run(command.args([writers, movies].map(|number| number.to_string())), LOAD_TIMEOUT)?;
    Ok(printed.trim().parse()?)
}

/// Writes new movies to a catalogue alone, which keeps `kept` changes, and returns its memory in bytes.
pub(crate) fn change_log(target: &Path, kept: u32, movies: u32) -> Result<f64> {
    let mut command = Command::new(target.join("plain/examples/change_log"));
    let printed = program::run(command.args([kept, movies].map(|number| number.to_string())), LOAD_TIMEOUT)?;
    Ok(printed.trim().parse()?)
}

/// Returns a request message whose first field is the id of a movie.
fn message(movie: u64) -> Result<Vec<u8>> {
    let id = data::id(movie);
    Ok([&[10, u8::try_from(id.len())?], id.as_bytes()].concat())
}

/// Reads the whole list several times, one after the other.
pub(crate) fn lists(address: SocketAddr, lists: u64) -> Result<()> {
    h2load(address, "Movie/GetListMovies", &[], lists, (1, 1))
}

fn h2load(
    address: SocketAddr,
    method: &str,
    message: &[u8],
    calls: u64,
    (connections, streams): (u64, u64),
) -> Result<()> {
    let body = Body::of(message)?;
    let mut command = h2load_command(connections, streams);
    body.send(&mut command, address, method);
    check_run(&mut command, calls)
}

/// A file with a length-prefixed message.
struct Body(NamedTempFile);

impl Body {
    fn of(message: &[u8]) -> Result<Self> {
        let mut file = NamedTempFile::new()?;
        let length = u32::try_from(message.len())?.to_be_bytes();
        file.write_all(&[&[0], length.as_slice(), message].concat())?;
        Ok(Self(file))
    }

    /// Adds the arguments for calls with this message.
    fn send(&self, command: &mut Command, address: SocketAddr, method: &str) {
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"]);
        command.arg(self.0.path()).arg(format!("http://{address}/{method}"));
    }
}

fn h2load_command(connections: u64, streams: u64) -> Command {
    let mut command = H2LOAD.command();
    command.args(["-c", &connections.to_string(), "-m", &streams.to_string()]);
    // Windows of 16 MiB, so that flow control does not slow down the server.
    command.args(["-w", "24", "-W", "24"]);
    command
}

/// Sends this many requests with h2load, and fails if one of them did.
fn check_run(command: &mut Command, requests: u64) -> Result<()> {
    let printed = program::run(command.args(["-n", &requests.to_string()]), LOAD_TIMEOUT)?;
    let expected = Counts { succeeded: requests.try_into()?, failed: 0 };
    ensure!(Counts::of(&printed) == Some(expected), "h2load had failures:\n{printed}");
    Ok(())
}

/// Requests that h2load counted.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    succeeded: u32,
    failed: u32,
}

impl Counts {
    /// Reads the line `requests: …` of what h2load prints.
    fn of(printed: &str) -> Option<Self> {
        let line = printed.lines().find_map(|line| line.strip_prefix("requests: "))?;
        let count = |name| {
            let mut counts = line.split(", ").filter_map(|count| count.split_once(' '));
            counts.find(|(_, of)| *of == name)?.0.parse().ok()
        };
        Some(Self { succeeded: count("succeeded")?, failed: count("failed")? })
    }
}

/// Compares the responses of a server with its database.
pub(crate) fn check(target: &Path, address: SocketAddr, database: &Path) -> Result<()> {
    let mut command = generator(target, "check", address);
    program::run(command.arg(database), LOAD_TIMEOUT).map(drop)
}

/// Makes calls of `GetMovieByID` with random ids, and returns the median latency in microseconds.
pub(crate) fn random_calls(
    target: &Path,
    address: SocketAddr,
    movies: u64,
    calls: u64,
    (connections, streams): (u64, u64),
) -> Result<f64> {
    let mut command = generator(target, "calls", address);
    command.args([movies, calls, connections, streams].map(|number| number.to_string()));
    let printed = program::run(&mut command, LOAD_TIMEOUT)?;
    Ok(printed.trim().parse::<f64>()? / 1e3)
}

/// Sends bytes over plain TCP from another process, and returns its CPU time per byte, in seconds.
pub(crate) fn plain_tcp(target: &Path, bytes: u32) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut command = generator(target, "send", listener.local_addr()?);
    let mut sender = Generator(command.arg(bytes.to_string()).stdin(Stdio::piped()).spawn()?);
    let (mut stream, _) = listener.accept()?;
    // Without the start of the sender.
    let before = process::cpu(sender.0.id())?;
    let (mut received, mut buffer) = (0.0, vec![0; 256 * 1024]);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => received += f64::from(u32::try_from(read)?),
        }
    }
    let cpu = process::cpu(sender.0.id())? - before;
    drop(sender.0.stdin.take());
    Ok(cpu / received)
}

/// A process with connections that request the list and read nothing. It is killed when it is dropped.
pub(crate) struct Generator(Child);

/// Opens connections that request the list and read nothing.
pub(crate) fn stall(target: &Path, address: SocketAddr, connections: u64) -> Result<Generator> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 4096; exec \"$@\"", "sh"]).arg(generator_path(target));
    command.args(["stall", &address.to_string(), &connections.to_string()]);
    let mut stalled = Generator(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let stdout = stalled.0.stdout.take().context("the output is not a pipe")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(line == "stalled\n", "the stalled connections could not be opened");
    Ok(stalled)
}

impl Drop for Generator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn generator(target: &Path, command: &str, address: SocketAddr) -> Command {
    let mut load = Command::new(generator_path(target));
    load.args([command, &address.to_string()]);
    load
}

fn generator_path(target: &Path) -> std::path::PathBuf {
    target.join("plain/examples/load")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_outcome() {
        let printed = "finished in 2.00s\nrequests: 9 total, 9 started, 9 done, 7 succeeded, 2 failed, 1 errored, 0 timeout\n";
        assert_eq!(Counts::of(printed), Some(Counts { succeeded: 7, failed: 2 }));
        assert_eq!(Counts::of("usage: h2load"), None);
    }
}
