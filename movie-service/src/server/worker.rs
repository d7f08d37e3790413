//! A thread that serves connections, on a runtime of its own.
//!
//! A call never leaves the thread of its connection: nothing is stolen, locked or woken across cores.

use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::debug;

use super::GRACE;
use super::gather::Gather;
use super::service::Services;

/// The most bytes of an answer that wait for the peer to read, for each stream.
const UNSENT: usize = 64 * 1024;

/// Written at once, this much is worth waiting for more before it is sent.
const MUCH: usize = 16 * 1024;

/// A running worker.
pub(super) struct Worker {
    queue: mpsc::UnboundedSender<Connection>,
    connections: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

/// A connection on its way to or in a worker; counted until it is dropped.
struct Connection {
    stream: TcpStream,
    _counted: Counted,
}

struct Counted(Arc<AtomicUsize>);

impl Worker {
    /// Starts a worker.
    pub(super) fn start(
        core: usize,
        services: Services,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (queue, connections) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{core}")).spawn(move || {
            runtime.block_on(run(connections, &services, &stopping));
            // Streams of connections that were given up end here.
            drop(runtime);
            let _ = finish.send(());
        })?;
        Ok(Self { queue, connections: Arc::default(), finished })
    }

    /// Returns how many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Serves a connection.
    pub(super) fn serve(&self, stream: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { stream, _counted: Counted(self.connections.clone()) };
        if self.queue.send(connection).is_err() {
            debug!("lost a connection: its worker has ended");
        }
    }

    /// Has the worker finish its connections. What is returned completes when there are none left.
    pub(super) fn finish(self) -> impl Future<Output = ()> {
        let Self { queue, finished, .. } = self;
        drop(queue);
        async {
            // An error means that the thread is gone, too.
            let _ = finished.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves what comes through `queue` until that is closed, then waits a while for what is open.
async fn run(
    mut queue: mpsc::UnboundedReceiver<Connection>,
    services: &Services,
    stopping: &watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            connection = queue.recv() => match connection {
                Some(connection) => {
                    open.spawn(serve(connection, services.clone(), stopping.clone()));
                }
                None => break,
            },
            // Without this, the set would keep the results of connections that have ended.
            Some(_) = open.join_next() => {}
        }
    }
    let drained = async { while open.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, drained).await;
}

/// Serves one connection until either side ends it.
async fn serve(connection: Connection, services: Services, mut stopping: watch::Receiver<bool>) {
    let Connection { stream, _counted } = connection;
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return debug!(%error, "lost a connection before its first byte"),
    };
    let gather = Gather::new(stream);
    let mut connection = pin!(
        http2::Builder::new(Inline)
            .max_send_buf_size(UNSENT)
            .serve_connection(TokioIo::new(gather.clone()), services)
    );
    let mut stopping = pin!(async { stopping.wait_for(|stopping| *stopping).await.map(drop) });
    let mut draining = false;
    let ended = poll_fn(|cx| {
        if !draining && stopping.as_mut().poll(cx).is_ready() {
            draining = true;
            connection.as_mut().graceful_shutdown();
        }
        let waiting = gather.waiting();
        let ended = connection.as_mut().poll(cx);
        // What grew by much grows on once those who write were polled, too: they are next, then this connection.
        if ended.is_pending() && gather.waiting() >= waiting + MUCH {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match gather.poll_send(cx) {
            Poll::Ready(Err(error)) if ended.is_pending() => {
                debug!(%error, "a connection was lost");
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) | Poll::Pending => ended,
        }
    });
    if let Err(error) = ended.await {
        debug!(error = &error as &dyn std::error::Error, "a connection failed");
    }
}

/// A call that panics ends at most its connection: the panic stops at the task, its own or the connection's.
const _: () = assert!(cfg!(panic = "unwind"), "build with panic = \"unwind\"");

/// Runs what hyper spawns for each call.
///
/// Most calls can be answered when they arrive, so each is polled once on the spot; only one that has to wait
/// becomes a task.
#[derive(Clone, Copy)]
struct Inline;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inline {
    fn execute(&self, call: F) {
        let mut call = Box::pin(call);
        // A waker that does nothing: polling it again, as a task, is what wakes it.
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_panics_ends_its_connection_and_no_other() {
        let mut open = JoinSet::new();
        open.spawn(async { Inline.execute(async { panic!("a bad call, as this test wants it") }) });
        assert!(open.join_next().await.unwrap().unwrap_err().is_panic());

        let (answered, answer) = oneshot::channel();
        open.spawn(async {
            Inline.execute(async move {
                tokio::task::yield_now().await;
                answered.send(()).unwrap();
            });
        });
        answer.await.unwrap();
    }
}
