//! PgBouncer between the nodes and the server.

use std::thread;

use super::cluster::{PgBouncer, PoolMode, shared};
use super::load::{Load, assert_nothing_lost};
use crate::stores::{TestStore, list, wait_for};
use crate::support::catalog::{create, movie, stub};
use crate::support::process::Service;

/// Starts two nodes at the same time.
fn start_both(url: &str) -> [Service; 2] {
    let store = TestStore::at(url.to_owned());
    thread::scope(|scope| {
        [scope.spawn(|| store.start()), scope.spawn(|| store.start())].map(|node| node.join().unwrap())
    })
}

/// Checks that two nodes over an empty database show the writes of each other.
async fn assert_serve(nodes: &[Service; 2]) {
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    create(&mut clients[0], movie("one", "movie")).await.unwrap();
    create(&mut clients[1], movie("other", "movie")).await.unwrap();
    wait_for(&mut clients[0], "other").await;
    wait_for(&mut clients[1], "one").await;
    assert_eq!(list(&mut clients[0]).await, list(&mut clients[1]).await);
}

/// Runs two nodes over one pooler and an empty database.
async fn serve_by(mode: PoolMode, pool_size: usize) {
    let Some(cluster) = shared() else { return };
    let Some(pooler) = PgBouncer::start(cluster, mode, pool_size) else { return };
    let nodes = start_both(&pooler.url(&cluster.database()));
    assert_serve(&nodes).await;
    let load = Load::start(&nodes, 2).await;
    for _ in 0..5 {
        load.wait_for_more().await;
    }
    assert_nothing_lost(&nodes, &load.stop().await).await;
}

#[tokio::test]
async fn two_nodes_share_a_pool_of_sessions() {
    // Each node has its own sessions.
    serve_by(PoolMode::Session, 20).await;
}

#[tokio::test]
async fn two_nodes_share_a_pool_of_transactions() {
    serve_by(PoolMode::Transaction, 2).await;
}

#[tokio::test]
async fn two_nodes_that_start_together_on_an_empty_database_both_serve() {
    let Some(cluster) = shared() else { return };
    for _ in 0..3 {
        assert_serve(&start_both(&cluster.database())).await;
    }
}
