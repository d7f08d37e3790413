//! Nodes on a hot standby: read-only until the standby is promoted.

use std::net::SocketAddr;
use std::time::Duration;

use movie_proto::catalog::v1::Movie;
use movie_proto::catalog::v1::watch_movies_response::Event;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::cluster::{Cluster, Replication};
use super::failover::with_hosts;
use crate::stores::{TIMEOUT, TestStore, list, reason, wait_for, watch};
use crate::support::catalog::{Stub, create, movie, stub};
use crate::support::metrics;
use crate::support::metrics::with_metrics;
use crate::support::process::{Service, command};

/// A primary, its standby, and a node that writes to the primary.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    /// The URL of the database on the standby.
    url: String,
    writer: Service,
}

impl Pair {
    async fn start() -> Option<Self> {
        let primary = Cluster::start()?;
        let standby = primary.standby(Replication::Asynchronous);
        let url = primary.database();
        let writer = TestStore::at(url.clone()).start();
        create(&mut stub(&writer).await, movie("first", "movie")).await.unwrap();
        primary.wait_for_replay(&standby);
        let url = url.replace(&primary.address(), &standby.address());
        Some(Self { primary, standby, url, writer })
    }

    fn fail_over(&mut self) {
        self.primary.kill();
        self.standby.promote();
    }
}

/// Repeats a write while the store is unavailable or read-only; returns the result.
pub(super) async fn once_writable(client: &mut Stub, id: &str) -> Result<Movie, Status> {
    let writing = async {
        loop {
            match create(client, movie(id, "movie")).await {
                Err(status) if status.code() == Code::Unavailable => sleep(Duration::from_millis(20)).await,
                written => return written,
            }
        }
    };
    timeout(TIMEOUT, writing).await.expect("the store stays read-only")
}

/// Waits until `/readyz` has this status and, according to `read_only`, says or does not say that the store is read-only.
async fn wait_for_ready(pages: SocketAddr, status: u16, read_only: bool) {
    let said = async {
        loop {
            let page = metrics::get(pages, "/readyz").await;
            if page.0 == status && page.1.contains("read-only") == read_only {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, said).await.unwrap();
}

#[tokio::test]
async fn a_node_on_a_standby_is_read_only_until_the_standby_is_promoted() {
    let Some(mut pair) = Pair::start().await else { return };
    let (node, pages) = metrics::run(with_metrics(pair.url.as_ref()).arg("--allow-anonymous-writes"));
    let (mut client, mut writer) = (stub(&node).await, stub(&pair.writer).await);
    assert_eq!(list(&mut client).await, list(&mut writer).await);
    wait_for_ready(pages, 200, true).await;
    let refused = create(&mut client, movie("refused", "movie")).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "STORE_READ_ONLY"), "{refused}");

    let mut watch = watch(&mut client, 1).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().event, Some(Event::CaughtUp(true)));
    let second = create(&mut writer, movie("second", "movie")).await.unwrap();
    let sent = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((sent.revision, sent.event), (2, Some(Event::Upserted(second))));

    pair.primary.wait_for_replay(&pair.standby);
    pair.fail_over();
    let third = once_writable(&mut client, "third").await.unwrap();
    let sent = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((sent.revision, sent.event), (3, Some(Event::Upserted(third))));
    wait_for_ready(pages, 200, false).await;
    wait_for(&mut client, "third").await;
}

#[tokio::test]
async fn the_first_writable_host_is_used_unless_any_host_is_allowed() {
    let Some(pair) = Pair::start().await else { return };
    let url = with_hosts(&pair.url, [&pair.standby, &pair.primary]);
    let node = TestStore::at(url.clone()).start();
    create(&mut stub(&node).await, movie("second", "movie")).await.unwrap();
    let node = TestStore::at(format!("{url}?target_session_attrs=any")).start();
    let refused = create(&mut stub(&node).await, movie("third", "movie")).await.unwrap_err();
    assert_eq!(reason(&refused), "STORE_READ_ONLY", "{refused}");
}

#[tokio::test]
async fn write_permissions_do_not_depend_on_the_store_being_a_standby() {
    let Some(mut pair) = Pair::start().await else { return };
    // Without tokens and without --allow-anonymous-writes.
    let node = Service::run(&mut command(pair.url.as_ref()));
    let mut client = stub(&node).await;
    let denied = create(&mut client, movie("anonymous", "movie")).await.unwrap_err();
    assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "ANONYMOUS_WRITE"), "{denied}");
    pair.fail_over();
    // Another node shows when the store is writable.
    let open = TestStore::at(pair.url.clone()).start();
    once_writable(&mut stub(&open).await, "open").await.unwrap();
    wait_for(&mut client, "open").await;
    let denied = create(&mut client, movie("anonymous", "movie")).await.unwrap_err();
    assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "ANONYMOUS_WRITE"), "{denied}");
}
