//! Load generator of `cargo xtask bench watch` and `cargo xtask soak`: watchers of the service, or of etcd.
//!
//! `watchers movies|etcd ADDRESS WATCHERS CONNECTIONS WRITES RATE CALLS` opens the watchers, and prints `ready`. For each line of
//! its standard input, it makes WRITES writes, one after the other: RATE a second or, if that is 0, each when all watchers were
//! told the one before. Each watcher must be told each write once and in order. Meanwhile it makes CALLS reads of a movie a second. Then it
//! prints the 50th and the 99th percentile and the maximum of the delays from the time at which a write was due to a watcher, and of the
//! latencies of the reads, all in microseconds. Without watchers, it makes reads for as long as the writes would take.
//!
//! With the variables `MOVIE_TLS_CA` and `MOVIE_TOKEN`, the calls are encrypted and have a token.
//!
//! It speaks HTTP/2 by itself, because a generated client takes more time for a message than the service does.

use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use movie_proto::catalog::v1::{GetMovieRequest, Movie, UpdateMovieRequest};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};

#[path = "shared/secure.rs"]
mod secure;

use self::secure::Credentials;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Number of movies, or keys, that the writes change in turn.
const MOVIES: u64 = 100;

/// Number of tasks that make reads. Each has a connection.
const READERS: u64 = 10;

/// `WatchMoviesResponse`, as far as it is checked.
#[derive(Clone, PartialEq, Message)]
struct MovieEvent {
    #[prost(int64, tag = "1")]
    revision: i64,
    #[prost(message, optional, tag = "2")]
    upserted: Option<Titled>,
    #[prost(bool, tag = "4")]
    caught_up: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Titled {
    #[prost(string, tag = "1")]
    title: String,
}

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, Message)]
struct Put {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `etcdserverpb.WatchRequest`.
#[derive(Clone, PartialEq, Message)]
struct EtcdWatch {
    #[prost(message, optional, tag = "1")]
    create: Option<KeyRange>,
}

/// `etcdserverpb.WatchCreateRequest`.
#[derive(Clone, PartialEq, Message)]
struct KeyRange {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    end: String,
}

/// `etcdserverpb.WatchResponse`.
#[derive(Clone, PartialEq, Message)]
struct EtcdEvents {
    #[prost(message, optional, tag = "1")]
    header: Option<EtcdHeader>,
    #[prost(bool, tag = "3")]
    created: bool,
    #[prost(message, repeated, tag = "11")]
    events: Vec<EtcdEvent>,
}

/// `etcdserverpb.ResponseHeader`.
#[derive(Clone, PartialEq, Message)]
struct EtcdHeader {
    #[prost(int64, tag = "3")]
    revision: i64,
}

/// `mvccpb.Event`.
#[derive(Clone, PartialEq, Message)]
struct EtcdEvent {
    #[prost(message, optional, tag = "2")]
    pair: Option<EtcdPair>,
}

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
struct EtcdPair {
    #[prost(int64, tag = "3")]
    revision: i64,
    #[prost(string, tag = "5")]
    value: String,
}

/// A connection, and the credentials of its calls.
#[derive(Clone)]
struct Caller {
    sender: SendRequest<Bytes>,
    credentials: Option<Arc<Credentials>>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    Movies,
    Etcd,
}

impl Server {
    fn watch_path(self) -> &'static str {
        match self {
            Self::Movies => "/movie.catalog.v1.MovieCatalog/WatchMovies",
            Self::Etcd => "/etcdserverpb.Watch/Watch",
        }
    }

    fn watch_request(self) -> Vec<u8> {
        match self {
            Self::Movies => Vec::new(),
            Self::Etcd => {
                let create = Some(KeyRange { key: "m".into(), end: "n".into() });
                EtcdWatch { create }.encode_to_vec()
            }
        }
    }

    /// Returns the path and the message of a write.
    fn write(self, number: u64, text: String) -> (&'static str, Vec<u8>) {
        let id = format!("m{}", number % MOVIES);
        match self {
            Self::Movies => {
                let movie = Some(Movie { id, title: text, ..Movie::default() });
                let request =
                    UpdateMovieRequest { movie, allow_missing: true, ..UpdateMovieRequest::default() };
                ("/movie.catalog.v1.MovieCatalog/UpdateMovie", request.encode_to_vec())
            }
            Self::Etcd => ("/etcdserverpb.KV/Put", Put { key: id, value: text }.encode_to_vec()),
        }
    }

    /// Passes the revisions and texts of the changes in a message to `change`; for the first message of a watch, its
    /// revision without a text.
    fn read(self, message: Bytes, mut change: impl FnMut(i64, Option<&str>) -> Result<()>) -> Result<()> {
        match self {
            Self::Movies => {
                let MovieEvent { revision, upserted, .. } = MovieEvent::decode(message)?;
                change(revision, upserted.as_ref().map(|movie| movie.title.as_str()))
            }
            Self::Etcd => {
                let EtcdEvents { header, created, events } = EtcdEvents::decode(message)?;
                if created {
                    return change(header.unwrap_or_default().revision, None);
                }
                events
                    .into_iter()
                    .filter_map(|event| event.pair)
                    .try_for_each(|pair| change(pair.revision, Some(&pair.value)))
            }
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, address, numbers @ ..] = args.as_slice() else {
        return Err("expected arguments; movie-service/examples/watchers.rs lists them".into());
    };
    let server = if server == "etcd" { Server::Etcd } else { Server::Movies };
    let numbers = numbers.iter().map(|text| text.parse()).collect::<std::result::Result<Vec<u64>, _>>()?;
    let [watchers, connections, writes, rate, calls] = numbers[..] else {
        return Err("expected five numbers".into());
    };
    let credentials = Credentials::from_env()?.map(Arc::new);
    let connect = || connect(address, credentials.clone());
    let began = Instant::now();
    let (events, mut told) = mpsc::unbounded_channel();
    let mut open = Vec::new();
    for connection in 0..connections {
        let caller = connect().await?;
        for _ in 0..(watchers * (connection + 1) / connections - watchers * connection / connections) {
            open.push(watch(server, &caller, began, events.clone()).await?);
        }
    }
    for _ in 0..watchers {
        told.recv().await.ok_or("a watch ended")??;
    }
    println!("ready");
    let caller = connect().await?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let reads = Arc::new(AtomicBool::new(true));
        let mut readers = JoinSet::new();
        for reader in 0..if calls > 0 { READERS } else { 0 } {
            readers.spawn(read(connect().await?, reader, calls, reads.clone()));
        }
        let mut delays = Vec::new();
        if rate == 0 {
            for number in 0..writes {
                write(server, &caller, began.elapsed(), number).await?;
                collect(&mut told, watchers, &mut delays).await?;
            }
        } else {
            let write_all = async {
                let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate)?);
                for number in 0..writes {
                    // After a stall, the writes that it held up count from the time at which they were due.
                    let due = ticks.tick().await.into_std();
                    if watchers > 0 {
                        write(server, &caller, due.duration_since(began), number).await?;
                    }
                }
                Ok(())
            };
            tokio::try_join!(write_all, collect(&mut told, watchers * writes, &mut delays))?;
        }
        reads.store(false, Ordering::Relaxed);
        let mut latencies = Vec::new();
        while let Some(reader) = readers.join_next().await {
            latencies.extend(reader??);
        }
        println!("{} {}", percentiles(&mut delays), percentiles(&mut latencies));
    }
    Ok(())
}

/// Makes a write that says when it was due.
async fn write(server: Server, caller: &Caller, due: Duration, number: u64) -> Result<()> {
    let (path, message) = server.write(number, due.as_micros().to_string());
    call(caller, path, &message).await
}

/// Waits until this many changes were delivered, and adds their delays.
async fn collect(told: &mut UnboundedReceiver<Result<u32>>, count: u64, delays: &mut Vec<u32>) -> Result<()> {
    for _ in 0..count {
        delays.push(told.recv().await.ok_or("a watch ended")??);
    }
    Ok(())
}

/// Returns the 50th and the 99th percentile, and the maximum.
fn percentiles(values: &mut [u32]) -> String {
    values.sort_unstable();
    let at =
        |share: usize| values.get(values.len() * share / 100).or(values.last()).copied().unwrap_or_default();
    format!("{} {} {}", at(50), at(99), at(100))
}

async fn connect(address: &str, credentials: Option<Arc<Credentials>>) -> Result<Caller> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let sender = match &credentials {
        Some(credentials) => handshake(secure::connect(stream, &credentials.authority, b"h2").await?).await?,
        None => handshake(stream).await?,
    };
    Ok(Caller { sender, credentials })
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Bytes>> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
    let (sender, connection) = builder.handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Opens a call, and sends its first message.
async fn open(
    caller: &Caller,
    path: &str,
    message: &[u8],
    is_last: bool,
) -> Result<(RecvStream, SendStream<Bytes>)> {
    let scheme = if caller.credentials.is_some() { "https" } else { "http" };
    let mut request = Request::post(format!("{scheme}://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(credentials) = &caller.credentials {
        request = request.header("authorization", &credentials.authorization);
    }
    let request = request.body(())?;
    let (response, mut body) = caller.sender.clone().ready().await?.send_request(request, false)?;
    let length = u32::try_from(message.len())?.to_be_bytes();
    body.send_data([&[0], &length[..], message].concat().into(), is_last)?;
    Ok((response.await?.into_body(), body))
}

async fn call(caller: &Caller, path: &str, message: &[u8]) -> Result<()> {
    let (mut response, _) = open(caller, path, message, true).await?;
    while let Some(data) = response.data().await {
        response.flow_control().release_capacity(data?.len())?;
    }
    let trailers = response.trailers().await?.unwrap_or_default();
    match trailers.get("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        _ => Err(format!("{path}: {trailers:?}").into()),
    }
}

/// Opens a watch. For its start and for each change, it sends the delay in microseconds, or why it ended.
async fn watch(
    server: Server,
    caller: &Caller,
    began: Instant,
    events: UnboundedSender<Result<u32>>,
) -> Result<SendStream<Bytes>> {
    let is_last = server == Server::Movies;
    let (response, request) = open(caller, server.watch_path(), &server.watch_request(), is_last).await?;
    tokio::spawn(async move {
        let end = follow(server, response, began, &events).await;
        let _ = events.send(Err(end.err().unwrap_or("a watch ended".into())));
    });
    Ok(request)
}

async fn follow(
    server: Server,
    mut response: RecvStream,
    began: Instant,
    events: &UnboundedSender<Result<u32>>,
) -> Result<()> {
    let (mut unread, mut newest) = (BytesMut::new(), None);
    while let Some(data) = response.data().await {
        let data = data?;
        response.flow_control().release_capacity(data.len())?;
        unread.extend_from_slice(&data);
        while let Some([_, length @ ..]) = unread.first_chunk::<5>()
            && let length = u32::from_be_bytes(*length) as usize
            && unread.len() >= 5 + length
        {
            unread.advance(5);
            server.read(unread.split_to(length).freeze(), |revision, text| {
                let delay = match (text, newest) {
                    (None, None) => 0,
                    (Some(text), Some(newest)) if revision == newest + 1 => {
                        began.elapsed().as_micros() - text.parse::<u128>()?
                    }
                    _ => return Err(format!("revision {revision} after {newest:?}").into()),
                };
                newest = Some(revision);
                events.send(Ok(u32::try_from(delay)?))?;
                Ok(())
            })?;
        }
    }
    Err(format!("a watch ended: {:?}", response.trailers().await?).into())
}

/// Reads a movie again and again, on a schedule, and returns the latencies in microseconds, from the scheduled times.
async fn read(caller: Caller, reader: u64, calls: u64, is_running: Arc<AtomicBool>) -> Result<Vec<u32>> {
    let period = Duration::from_secs(READERS) / u32::try_from(calls)?;
    let mut at = Instant::now() + period * u32::try_from(reader)? / u32::try_from(READERS)?;
    let request: Bytes = GetMovieRequest { id: "m0".into() }.encode_to_vec().into();
    let (mut latencies, mut calls) = (Vec::new(), JoinSet::new());
    while is_running.load(Ordering::Relaxed) {
        sleep_until(at.into()).await;
        // A slow call does not delay those after it (open loop).
        let (caller, request) = (caller.clone(), request.clone());
        calls.spawn(async move {
            call(&caller, "/movie.catalog.v1.MovieCatalog/GetMovie", &request).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(u32::try_from(at.elapsed().as_micros())?)
        });
        at += period;
        while let Some(latency) = calls.try_join_next() {
            latencies.push(latency??);
        }
    }
    while let Some(latency) = calls.join_next().await {
        latencies.push(latency??);
    }
    Ok(latencies)
}
