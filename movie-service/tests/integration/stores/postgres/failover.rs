//! Failover to a standby, with the hosts of both servers in the URL.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use movie_proto::catalog::v1::watch_movies_response::Event;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::cluster::{Cluster, Replication};
use super::follower::follow;
use super::load::{LAST, Load, assert_nothing_lost};
use crate::stores::{TIMEOUT, TestStore, list, wait_for, watch};
use crate::support::catalog::{Stub, create, import, movie, stub};
use crate::support::metrics;
use crate::support::metrics::with_metrics;

/// Returns the URL of a database with two hosts, in this order.
pub(super) fn with_hosts(url: &str, clusters: [&Cluster; 2]) -> String {
    let (start, rest) = url.split_once('@').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    let hosts = clusters.map(Cluster::address).join(",");
    format!("{start}@{hosts}/{database}")
}

/// Reads a watch until the movie [`LAST`], and checks that each revision is sent once.
fn watch_all(mut client: Stub) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut watch = watch(&mut client, 0).await.unwrap();
        let mut revision = 0;
        loop {
            let message = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
            let Some(Event::Upserted(movie)) = message.event else { continue };
            revision += 1;
            assert_eq!(message.revision, revision);
            if movie.id == LAST {
                return;
            }
        }
    })
}

/// Kills the primary and promotes the standby under load; returns the time of the promotion.
async fn fail_over(load: &Load, primary: &mut Cluster, standby: &Cluster) -> Instant {
    primary.kill();
    let killed = Instant::now();
    standby.promote();
    let promoted = Instant::now();
    load.wait_for_more().await;
    println!("promoted {:?} after the primary was killed", promoted - killed);
    println!("each node acknowledges writes {:?} after that", promoted.elapsed());
    promoted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_synchronous_standby_loses_nothing_and_ends_no_watch() {
    let Some(mut primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Synchronous);
    let store = TestStore::at(with_hosts(&url, [&primary, &standby]));
    let nodes = [store.start(), store.start()];
    let watches = [watch_all(stub(&nodes[0]).await), watch_all(stub(&nodes[1]).await)];
    let load = Load::start(&nodes, 3).await;
    load.wait_for_more().await;
    load.wait_for_more().await;
    fail_over(&load, &mut primary, &standby).await;
    assert_nothing_lost(&nodes, &load.stop().await).await;
    for watch in watches {
        watch.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_lost_by_a_failover_are_lost_on_every_node_and_followers_are_told() {
    let Some(mut primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Asynchronous);
    // The standby comes first, and is skipped while it is read-only.
    let store = TestStore::at(with_hosts(&url, [&standby, &primary]));
    let nodes = [store.start(), store.start()];
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    import(&mut clients[0], (0..20).map(|number| movie(&format!("common {number}"), "common")).collect())
        .await
        .unwrap();
    primary.wait_for_replay(&standby);
    standby.stop_replication();
    let followers = clients.each_ref().map(|client| follow(client.clone(), LAST));
    let load = Load::start(&nodes, 2).await;
    load.wait_for_more().await;
    load.wait_for_more().await;
    let promoted = fail_over(&load, &mut primary, &standby).await;
    let acknowledged = load.stop().await;
    create(&mut clients[0], movie(LAST, "movie")).await.unwrap();
    wait_for(&mut clients[1], LAST).await;

    let fresh = store.start();
    let stored = list(&mut stub(&fresh).await).await;
    for client in &mut clients {
        assert_eq!(list(client).await, stored);
    }
    let stored: HashMap<_, _> = stored.into_iter().map(|movie| (movie.id.clone(), movie)).collect();
    let (after, before): (Vec<_>, Vec<_>) = acknowledged.iter().partition(|write| write.asked > promoted);
    assert!(after.iter().all(|write| stored.contains_key(&write.id)), "a write to the new primary was lost");
    assert!(before.iter().any(|write| !stored.contains_key(&write.id)), "nothing was lost");
    for follower in followers {
        let copy = follower.await.unwrap();
        assert_eq!(copy.movies, stored);
        assert_eq!(copy.restarts, 1);
    }
}

#[tokio::test]
async fn a_lagging_standby_is_not_taken_for_another_history() {
    let Some(mut primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Synchronous);
    let url = with_hosts(&url, [&primary, &standby]);
    let (node, pages) = metrics::run(with_metrics(url.as_ref()).arg("--allow-anonymous-writes"));
    let mut client = stub(&node).await;
    create(&mut client, movie("shown", "movie")).await.unwrap();
    primary.wait_for_replay(&standby);
    standby.pause_replay();
    for number in 0..5 {
        create(&mut client, movie(&format!("received {number}"), "movie")).await.unwrap();
    }
    let watching = watch_all(client.clone());
    let known = list(&mut client).await;
    primary.kill();
    // Until its promotion, the standby has fewer changes than the node.
    let found = async {
        while !metrics::get(pages, "/readyz").await.1.contains("the standby is at revision 1") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, found).await.unwrap();
    let refused = create(&mut client, movie("early", "movie")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(list(&mut client).await, known);
    standby.promote();
    let written = async {
        while create(&mut client, movie(LAST, "movie")).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, written).await.unwrap();
    watching.await.unwrap();
    assert_eq!(list(&mut client).await.len(), known.len() + 1);
}
