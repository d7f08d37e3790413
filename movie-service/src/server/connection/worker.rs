//! Worker thread: serves connections on its own runtime.
//!
//! A call never leaves the thread of its connection, so calls need no locks and no wake-ups across cores.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::debug;

use crate::server::accept::admission::Ticket;
use crate::server::accept::listener::Accepted;
use crate::server::call::server_state::{Phase, ServerState};
use crate::server::connection::lifecycle::WorkerContext;
use crate::server::connection::{executor, lifecycle};

/// Time for connections to close after their calls sent the final status.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// A running worker.
pub(crate) struct Worker {
    queue: mpsc::UnboundedSender<Message>,
    connections: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

/// What a worker is asked for.
enum Message {
    /// To serve a connection.
    Serve(QueuedConnection),
    /// To respond, which shows that its runtime makes progress.
    Respond(oneshot::Sender<()>),
}

/// Asks a worker to respond.
pub(crate) struct Probe(mpsc::WeakUnboundedSender<Message>);

/// A connection on its way to a worker.
struct QueuedConnection {
    accepted: Accepted,
    ticket: Ticket,
    count: ConnectionCount,
}

/// Counts a connection of a worker until it is dropped.
struct ConnectionCount(Arc<AtomicUsize>);

impl Worker {
    /// Starts a worker.
    pub(crate) fn start(
        core: usize,
        server: Arc<ServerState>,
        phase: watch::Receiver<Phase>,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (queue, connections) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{core}")).spawn(move || {
            runtime.block_on(run(core, connections, &server, phase));
            // Dropping the runtime drops the tasks of force-closed connections.
            drop(runtime);
            let _ = finish.send(());
        })?;
        Ok(Self { queue, connections: Arc::default(), finished })
    }

    /// Returns the number of its connections, including queued ones.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Serves a connection.
    pub(crate) fn serve(&self, accepted: Accepted, ticket: Ticket) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let count = ConnectionCount(self.connections.clone());
        if self.queue.send(Message::Serve(QueuedConnection { accepted, ticket, count })).is_err() {
            debug!("closed a connection: its worker has ended");
        }
    }

    /// Returns a probe of this worker, which does not keep it running.
    pub(crate) fn probe(&self) -> Probe {
        Probe(self.queue.downgrade())
    }

    /// Stops taking connections. The returned future completes when all are closed.
    pub(crate) fn finish(self) -> impl Future<Output = ()> {
        let Self { queue, finished, .. } = self;
        drop(queue);
        async {
            // An error means that the thread is gone, too.
            let _ = finished.await;
        }
    }
}

impl Probe {
    /// Waits until the worker responds. Returns false if it has ended before it was asked to. A worker that drains its
    /// connections counts as responding: the grace period bounds it.
    pub(crate) async fn responds(&self) -> bool {
        let Some(queue) = self.0.upgrade() else { return true };
        let (respond, response) = oneshot::channel();
        let _ = queue.send(Message::Respond(respond));
        // The worker drains when the last sender is dropped.
        drop(queue);
        response.await.is_ok() || self.0.upgrade().is_none()
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the connections from `queue` until it is closed, then drains, and force-closes when the phase says so.
async fn run(
    worker: usize,
    mut queue: mpsc::UnboundedReceiver<Message>,
    server: &Arc<ServerState>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            queued = queue.recv() => match queued {
                Some(Message::Serve(QueuedConnection { accepted, ticket, count })) => {
                    let context = WorkerContext { server: server.clone(), phase: phase.clone(), worker };
                    open.spawn(async move {
                        lifecycle::serve(accepted, ticket, context).await;
                        drop(count);
                    });
                }
                Some(Message::Respond(respond)) => {
                    let _ = respond.send(());
                }
                None => break,
            },
            // Without this, the set would keep the results of connections that have ended.
            Some(_) = open.join_next() => {}
        }
    }
    let forced = async {
        let _ = phase.wait_for(|phase| *phase == Phase::ForceClosing).await;
        tokio::time::sleep(executor::FINAL_STATUS_TIMEOUT + CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        () = async { while open.join_next().await.is_some() {} } => {}
        () = forced => debug!(connections = open.len(), "force-closing connections"),
    }
}
