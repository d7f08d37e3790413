//! A server that hangs, and one that only keeps writers waiting.

use std::time::{Duration, Instant};

use movie_proto::catalog::v1::GetMovieRequest;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::cluster::{Cluster, Replication};
use super::failover::with_hosts;
use super::{Kept, TIMEOUT, create, list, movie, postgres, reason, stub};
use crate::metrics::{self, with_metrics};

/// How soon a hang has to be noticed: several times what is aimed at, as the machine may be busy.
const NOTICED: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_server_that_hangs_is_noticed_and_used_again_when_it_goes_on() {
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
    timeout(NOTICED, noticed).await.expect("/readyz does not say that the server hangs");
    println!("noticed after {:?}", suspended.elapsed());
    let refused = timeout(NOTICED, waiting).await.expect("the write still waits").unwrap().unwrap_err();
    println!("the write was refused after {:?}", suspended.elapsed());
    // Its commit was not on its way.
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "STORE_UNAVAILABLE"), "{refused}");
    client.get_movie(GetMovieRequest { id: "first".into() }).await.unwrap();

    cluster.resume();
    let resumed = Instant::now();
    let recovered = async {
        while metrics::get(pages, "/readyz").await.0 != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, recovered).await.expect("/readyz does not say that the server goes on");
    println!("used again after {:?}", resumed.elapsed());
    create(&mut client, movie("second", "movie")).await.unwrap();
}

#[tokio::test]
async fn a_long_transaction_of_another_session_is_no_outage() {
    let Some(kept) = postgres() else { return };
    let (node, pages) = metrics::run(with_metrics(kept.url.as_ref()).arg("--allow-anonymous-writes"));
    let mut client = stub(&node).await;
    let mut session = PgConnection::connect(&kept.url).await.unwrap();
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
async fn a_primary_that_hangs_is_left_for_the_standby_that_is_promoted() {
    let Some(primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Synchronous);
    let kept = Kept::at(with_hosts(&url, [&primary, &standby]));
    let node = kept.start();
    let mut client = stub(&node).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    // It still accepts connections, and answers none.
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
