//! Writers that continue through outages, and checks that no acknowledged write is lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::stores::{TIMEOUT, history, list, reason, revision, wait_for};
use crate::support::catalog::{Stub, create, movie, stub};
use crate::support::process::Service;

/// The id of the movie that is created last.
pub(super) const LAST: &str = "the last";

/// Writers to several nodes, which create movies until they are stopped.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    /// The number of acknowledged writes of each node.
    counts: Vec<watch::Receiver<usize>>,
    writers: JoinSet<Vec<Acknowledged>>,
}

/// An acknowledged write.
pub(super) struct Acknowledged {
    pub(super) id: String,
    /// When the call began.
    pub(super) asked: Instant,
}

impl Load {
    /// Starts writers for each node.
    pub(super) async fn start(nodes: &[Service], writers_per_node: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut counts, mut writers) = (Vec::new(), JoinSet::new());
        for (number, node) in nodes.iter().enumerate() {
            let (acknowledged, count) = watch::channel(0);
            for writer in 0..writers_per_node {
                let name = format!("{number} {writer}");
                writers.spawn(write(stub(node).await, name, stopped.clone(), acknowledged.clone()));
            }
            counts.push(count);
        }
        Self { stop, counts, writers }
    }

    /// Waits until each node has acknowledged three more writes.
    pub(super) async fn wait_for_more(&self) {
        for count in &self.counts {
            let mut count = count.clone();
            let more = *count.borrow() + 3;
            let acknowledged = timeout(TIMEOUT, count.wait_for(|count| *count >= more));
            acknowledged.await.expect("no write is acknowledged").unwrap();
        }
    }

    /// Stops the writers; returns the acknowledged writes. All others have failed because of an outage.
    pub(super) async fn stop(self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        self.writers.join_all().await.into_iter().flatten().collect()
    }
}

/// Creates movies until `stop` is set.
async fn write(
    mut client: Stub,
    name: String,
    stop: watch::Receiver<bool>,
    count: watch::Sender<usize>,
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
                count.send_modify(|count| *count += 1);
            }
            Err(status) => {
                assert!(OUTAGES.contains(&reason(&status).as_str()), "{status}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    acknowledged
}

/// Checks that two nodes have the same movies, and all that were acknowledged.
pub(super) async fn assert_nothing_lost(nodes: &[Service; 2], acknowledged: &[Acknowledged]) {
    assert!(!acknowledged.is_empty());
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    create(&mut clients[0], movie(LAST, "movie")).await.unwrap();
    wait_for(&mut clients[1], LAST).await;
    let lists = [list(&mut clients[0]).await, list(&mut clients[1]).await];
    assert_eq!(lists[0], lists[1]);
    let ids: HashSet<_> = lists[0].iter().map(|movie| movie.id.as_str()).collect();
    assert_eq!(ids.len(), lists[0].len(), "a movie is listed twice");
    for Acknowledged { id, .. } in acknowledged {
        assert!(ids.contains(id.as_str()), "{id} was lost");
    }
    for client in &mut clients {
        let at = revision(client).await;
        assert_eq!(history(client, at).await.len(), lists[0].len());
    }
}
