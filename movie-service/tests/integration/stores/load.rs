//! Writers that work through outages, and what has to be left of what they wrote.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Stub, TIMEOUT, create, history, list, movie, reason, revision, stub, wait_for};
use crate::process::Service;

/// The id of the movie that is created once all others are.
pub(super) const LAST: &str = "the last";

/// Writers over some nodes, which create movies until they are stopped.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    /// For each node, how many writes it has acknowledged.
    counts: Vec<Arc<AtomicUsize>>,
    writers: JoinSet<Vec<Acknowledged>>,
}

/// A write that was acknowledged.
pub(super) struct Acknowledged {
    pub(super) id: String,
    /// When it was asked for.
    pub(super) asked: Instant,
}

impl Load {
    /// Starts some writers for each node.
    pub(super) async fn start(nodes: &[Service], writers_per_node: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut counts, mut writers) = (Vec::new(), JoinSet::new());
        for (number, node) in nodes.iter().enumerate() {
            let count = Arc::new(AtomicUsize::new(0));
            for writer in 0..writers_per_node {
                let name = format!("{number} {writer}");
                writers.spawn(write(stub(node).await, name, stopped.clone(), count.clone()));
            }
            counts.push(count);
        }
        Self { stop, counts, writers }
    }

    /// Waits until each node has acknowledged some more writes.
    pub(super) async fn wait_for_more(&self) {
        for count in &self.counts {
            let more = count.load(Ordering::Relaxed) + 3;
            let acknowledged = async {
                while count.load(Ordering::Relaxed) < more {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(TIMEOUT, acknowledged).await.expect("nothing is acknowledged");
        }
    }

    /// Stops the writers; returns what was acknowledged. All else has failed for an outage of the store.
    pub(super) async fn stop(self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        self.writers.join_all().await.into_iter().flatten().collect()
    }
}

/// Creates movies until it is told to stop.
async fn write(
    mut client: Stub,
    name: String,
    stop: watch::Receiver<bool>,
    count: Arc<AtomicUsize>,
) -> Vec<Acknowledged> {
    const OUTAGES: [&str; 3] = ["STORE_UNAVAILABLE", "STORE_READ_ONLY", "OUTCOME_UNKNOWN"];
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if *stop.borrow() {
            break;
        }
        let (id, asked) = (format!("{name} {number}"), Instant::now());
        match create(&mut client, movie(&id, "movie")).await {
            Ok(_) => {
                acknowledged.push(Acknowledged { id, asked });
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                assert!(OUTAGES.contains(&reason(&status).as_str()), "{status}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    acknowledged
}

/// Checks that two nodes agree with each other and hold what was acknowledged.
pub(super) async fn assert_nothing_lost(nodes: &[Service; 2], acknowledged: &[Acknowledged]) {
    assert!(!acknowledged.is_empty());
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    create(&mut clients[0], movie(LAST, "movie")).await.unwrap();
    wait_for(&mut clients[1], LAST).await;
    let lists = [list(&mut clients[0]).await, list(&mut clients[1]).await];
    assert_eq!(lists[0], lists[1]);
    let ids: HashSet<_> = lists[0].iter().map(|movie| movie.id.as_str()).collect();
    assert_eq!(ids.len(), lists[0].len(), "a movie is there twice");
    for Acknowledged { id, .. } in acknowledged {
        assert!(ids.contains(id.as_str()), "{id} was lost");
    }
    for client in &mut clients {
        let at = revision(client).await;
        assert_eq!(history(client, at).await.len(), lists[0].len());
    }
}
