//! The way of a connection, from the listener to the calls.
//!
//! * [`listen`] — opens the listener;
//! * [`serve`] — accepts connections and hands each to the worker that has fewest;
//! * `worker` — a thread with a runtime of its own, one a core, that serves the connections it is handed;
//! * `gather` — writes of a connection, gathered into few system calls;
//! * `service` — what is done with a call: the fast way, or the generated code;
//! * `fast` — the fast way of the two calls of the `Movie` service;
//! * `body` — bodies of requests and answers.

mod body;
mod fast;
mod gather;
mod gzip;
mod http1;
mod listen;
mod service;
mod sniff;
mod web;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

pub use self::listen::listen;
use self::service::Services;
pub use self::web::{InvalidOrigin, Origin};
use self::worker::Worker;
use crate::catalogue::Catalogue;
use crate::found::Found;

/// The largest message that a caller may send, in bytes. A request takes far less, and memory is set aside for a
/// message as soon as its length is announced.
pub const MAX_REQUEST: usize = 64 * 1024;

/// How long calls in flight may take to end once the service is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long to wait before accepting again when the operating system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves calls until `shutdown` completes; then accepts no more connections, lets the calls in flight end,
/// and returns.
///
/// # Errors
///
/// If a worker cannot be started.
pub async fn serve(
    listener: TcpListener,
    catalogue: Arc<Catalogue>,
    found: Found,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let services = Services::new(catalogue, found);
    let (stop, stopping) = watch::channel(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut workers = (0..cores)
        .map(|core| Worker::start(core, services.clone(), stopping.clone()))
        .collect::<io::Result<Vec<_>>>()?;

    tokio::select! {
        () = accept(&listener, &mut workers) => {}
        () = shutdown => {}
    }
    drop(listener);
    stop.send_replace(true);
    // All at once: each worker's grace starts when it is told.
    let finished: Vec<_> = workers.into_iter().map(Worker::finish).collect();
    for worker in finished {
        worker.await;
    }
    Ok(())
}

/// Hands each connection to the worker that has fewest, so that few connections use all cores, too.
async fn accept(listener: &TcpListener, workers: &mut [Worker]) {
    let (mut next, mut refused) = (0, false);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                refused = false;
                // Among equals, take turns.
                workers.rotate_left(next);
                next = 1;
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
                    hand_over(stream, worker);
                }
            }
            // What is wrong here, such as too many open files, does not go away by trying harder.
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    warn!(%error, "cannot accept connections for now");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Moves a connection from this runtime to the worker's.
fn hand_over(stream: TcpStream, worker: &Worker) {
    // Answers are small and complete: waiting to fill a packet only delays them. A peer that vanished without a
    // word is found by asking.
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_keepalive(true));
    match prepared.and_then(|()| stream.into_std()) {
        Ok(stream) => worker.serve(stream),
        Err(error) => debug!(%error, "lost a connection before its first byte"),
    }
}
