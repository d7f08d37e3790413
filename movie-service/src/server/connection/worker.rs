//! A thread that serves connections, on a runtime of its own.
//!
//! A call never leaves the thread of its connection: nothing is stolen, locked or woken across cores.

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
use crate::server::call::state::{Phase, Shared};
use crate::server::connection::lifecycle::WorkerContext;
use crate::server::connection::{executor, lifecycle};

/// Time for connections to close after their calls sent the final status.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(200);

/// A running worker.
pub(crate) struct Worker {
    queue: mpsc::UnboundedSender<Handed>,
    connections: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

/// A connection on its way to or in a worker; counted until it is dropped.
struct Handed {
    accepted: Accepted,
    ticket: Ticket,
    counted: Permit,
}

struct Permit(Arc<AtomicUsize>);

impl Worker {
    /// Starts a worker.
    pub(crate) fn start(core: usize, shared: Arc<Shared>, phase: watch::Receiver<Phase>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (queue, connections) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{core}")).spawn(move || {
            runtime.block_on(run(core, connections, &shared, phase));
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
        let handed = Handed { accepted, ticket, counted: Permit(self.connections.clone()) };
        if self.queue.send(handed).is_err() {
            debug!("lost a connection: its worker has ended");
        }
    }

    /// Has the worker finish its connections. The returned future completes when all are closed.
    pub(crate) fn finish(self) -> impl Future<Output = ()> {
        let Self { queue, finished, .. } = self;
        drop(queue);
        async {
            // An error means that the thread is gone, too.
            let _ = finished.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves what comes through `queue` until that is closed, then drains, and force-closes when the phase says so.
async fn run(
    worker: usize,
    mut queue: mpsc::UnboundedReceiver<Handed>,
    shared: &Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            handed = queue.recv() => match handed {
                Some(Handed { accepted, ticket, counted }) => {
                    let context = WorkerContext { shared: shared.clone(), phase: phase.clone(), worker };
                    open.spawn(async move {
                        lifecycle::serve(accepted, ticket, context).await;
                        drop(counted);
                    });
                }
                None => break,
            },
            // Without this, the set would keep the results of connections that have ended.
            Some(_) = open.join_next() => {}
        }
    }
    let forced = async {
        let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
        tokio::time::sleep(executor::FINAL_STATUS_TIMEOUT + LEAVE_TIMEOUT).await;
    };
    tokio::select! {
        () = async { while open.join_next().await.is_some() {} } => {}
        () = forced => debug!(connections = open.len(), "closing connections by force"),
    }
}
