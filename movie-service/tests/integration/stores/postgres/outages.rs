//! Servers that hang, and transactions that only make writers wait.

use std::time::{Duration, Instant};

use movie_proto::catalog::v1::GetMovieRequest;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::cluster::{Cluster, Replication};
use super::failover::with_hosts;
use crate::stores::{TIMEOUT, TestStore, list, postgres, reason};
use crate::support::catalog::{create, movie, stub};
use crate::support::metrics;
use crate::support::metrics::with_metrics;

/// Upper bound of the time until a hang is detected: several times the goal, because the machine may be busy.
const DETECTION_TIMEOUT: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_hanging_server_is_detected_and_used_again_when_it_continues() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.database();
    let (node, pages) = metrics::run(with_metrics(url.as_ref()).arg("--allow-anonymous-writes"));
    let mut client = stub(&node).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    cluster.suspend();
    let suspended = Instant::now();
    let mut writer = client.clone();
    let waiting = tokio::spawn(async move { create(&mut writer, movie("second", "movie")).await });
    let noticed = async {
        while metrics::get(pages, "/readyz").await.0 != 503 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DETECTION_TIMEOUT, noticed).await.expect("/readyz does not report that the server hangs");
    println!("noticed after {:?}", suspended.elapsed());
    let refused =
        timeout(DETECTION_TIMEOUT, waiting).await.expect("the write is still waiting").unwrap().unwrap_err();
    println!("the write was refused after {:?}", suspended.elapsed());
    // The transaction was not being committed.
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "STORE_UNAVAILABLE"), "{refused}");
    client.get_movie(GetMovieRequest { id: "first".into() }).await.unwrap();

    cluster.resume();
    let resumed = Instant::now();
    let recovered = async {
        while metrics::get(pages, "/readyz").await.0 != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, recovered).await.expect("/readyz does not report that the server continues");
    println!("used again after {:?}", resumed.elapsed());
    create(&mut client, movie("second", "movie")).await.unwrap();
}

#[tokio::test]
async fn a_long_transaction_of_another_session_is_no_outage() {
    let Some(store) = postgres() else { return };
    let (node, pages) = metrics::run(with_metrics(store.url.as_ref()).arg("--allow-anonymous-writes"));
    let mut client = stub(&node).await;
    let mut session = PgConnection::connect(&store.url).await.unwrap();
    session.execute("BEGIN; UPDATE head SET revision = revision").await.unwrap();
    let mut writer = client.clone();
    let waiting = tokio::spawn(async move { create(&mut writer, movie("waits", "movie")).await });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let (status, text) = metrics::get(pages, "/readyz").await;
        assert_eq!(status, 200, "{text}");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!waiting.is_finished());
    session.execute("ROLLBACK").await.unwrap();
    timeout(TIMEOUT, waiting).await.unwrap().unwrap().unwrap();
    client.get_movie(GetMovieRequest { id: "waits".into() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_is_used_instead_of_a_hanging_primary() {
    let Some(primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Synchronous);
    let store = TestStore::at(with_hosts(&url, [&primary, &standby]));
    let node = store.start();
    let mut client = stub(&node).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    // The kernel still accepts connections, but no process answers.
    primary.suspend();
    standby.promote();
    let suspended = Instant::now();
    let written = async {
        while let Err(refused) = create(&mut client, movie("second", "movie")).await {
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(TIMEOUT, written).await.expect("the standby is not used");
    println!("written to the standby after {:?}", suspended.elapsed());
    assert_eq!(list(&mut client).await.len(), 2);
}
