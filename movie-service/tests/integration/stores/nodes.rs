//! Several services on one PostgreSQL database.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use movie_proto::catalog::v1::GetMovieRequest;
use movie_proto::catalog::v1::watch_movies_response::Event;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::cluster::{Cluster, shared};
use super::{Kept, Stub, create, history, list, movie, postgres, reason, revision, stub, watch};
use crate::metrics::{self, with_metrics};
use crate::process::Service;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a node shows a movie.
async fn wait_for(client: &mut Stub, id: &str) {
    let shown = async {
        while client.get_movie(GetMovieRequest { id: id.into() }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, shown).await.unwrap();
}

#[tokio::test]
async fn what_one_node_acknowledges_the_other_shows() {
    let Some(kept) = postgres() else { return };
    let (one, other) = (kept.start(), kept.start());
    let (mut one, mut other) = (stub(&one).await, stub(&other).await);
    let mut delays = Vec::new();
    for number in 0..20 {
        let id = number.to_string();
        create(&mut one, movie(&id, "movie")).await.unwrap();
        let acknowledged = Instant::now();
        wait_for(&mut other, &id).await;
        delays.push(acknowledged.elapsed());
    }
    delays.sort();
    println!("shown after {:?} at the median and {:?} at most", delays[10], delays[19]);
}

#[tokio::test]
async fn while_both_nodes_write_each_one_s_watchers_are_told_every_change_once_and_in_order() {
    let Some(kept) = postgres() else { return };
    let nodes = [kept.start(), kept.start()];
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    let mut watches = [watch(&mut clients[0], 0).await.unwrap(), watch(&mut clients[1], 0).await.unwrap()];
    let mut writers = JoinSet::new();
    for (node, client) in clients.iter().enumerate() {
        for writer in 0..4 {
            let mut client = client.clone();
            writers.spawn(async move {
                for number in 0..25 {
                    create(&mut client, movie(&format!("{node} {writer} {number}"), "movie")).await.unwrap();
                }
            });
        }
    }
    let mut told = Vec::new();
    for watch in &mut watches {
        let mut ids = Vec::new();
        while ids.len() < 200 {
            let message = timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
            if let Some(Event::Upserted(movie)) = message.event {
                ids.push(movie.id);
                assert_eq!(message.revision, i64::try_from(ids.len()).unwrap());
            }
        }
        told.push(ids);
    }
    writers.join_all().await;
    assert_eq!(told[0], told[1]);
    assert_eq!(list(&mut clients[0]).await, list(&mut clients[1]).await);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_serialised_is_tried_again_and_acknowledged_once() {
    let Some(kept) = postgres() else { return };
    let service = kept.start();
    let mut client = stub(&service).await;
    let fail = "CREATE SEQUENCE tries; \
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
          IF nextval('tries') % 3 <> 0 THEN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END IF; \
          RETURN NEW; END $$; \
        CREATE TRIGGER fail BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION fail()";
    shared().unwrap().sql(&kept.url, fail);
    for number in 0..20 {
        create(&mut client, movie(&number.to_string(), "movie")).await.unwrap();
    }
    assert_eq!(history(&mut client, 20).await.len(), 20);
    let tries = shared().unwrap().sql(&kept.url, "SELECT last_value FROM tries");
    assert_eq!(tries.trim(), "60");
}

/// Writes movies until it is told to stop, and returns those that were acknowledged and the reasons of the others.
async fn write(
    mut client: Stub,
    name: String,
    stop: tokio::sync::watch::Receiver<bool>,
) -> (Vec<String>, Vec<String>) {
    let (mut acknowledged, mut reasons) = (Vec::new(), Vec::new());
    for number in 0.. {
        if *stop.borrow() {
            break;
        }
        let id = format!("{name} {number}");
        match create(&mut client, movie(&id, "movie")).await {
            Ok(_) => acknowledged.push(id),
            Err(status) => {
                reasons.push(reason(&status));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    (acknowledged, reasons)
}

/// Checks that two nodes agree with each other and hold what was acknowledged.
async fn assert_nothing_lost(nodes: &[Service; 2], acknowledged: &[String]) {
    let mut clients = [stub(&nodes[0]).await, stub(&nodes[1]).await];
    create(&mut clients[0], movie("the last", "movie")).await.unwrap();
    wait_for(&mut clients[1], "the last").await;
    let lists = [list(&mut clients[0]).await, list(&mut clients[1]).await];
    assert_eq!(lists[0], lists[1]);
    let ids: HashSet<_> = lists[0].iter().map(|movie| movie.id.as_str()).collect();
    assert_eq!(ids.len(), lists[0].len(), "a movie is there twice");
    for id in acknowledged {
        assert!(ids.contains(id.as_str()), "{id} was lost");
    }
    for client in &mut clients {
        let at = revision(client).await;
        assert_eq!(history(client, at).await.len(), lists[0].len());
    }
}

#[tokio::test]
async fn connections_that_are_ended_lose_nothing() {
    let Some(kept) = postgres() else { return };
    let nodes = [kept.start(), kept.start()];
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        for writer in 0..3 {
            writers.spawn(write(stub(node).await, format!("{number} {writer}"), stopped.clone()));
        }
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        shared().unwrap().sql(&kept.url, end);
    }
    stop.send_replace(true);
    let mut all = Vec::new();
    for (acknowledged, reasons) in writers.join_all().await {
        all.extend(acknowledged);
        for reason in reasons {
            assert!(["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&reason.as_str()), "{reason}");
        }
    }
    assert!(!all.is_empty());
    assert_nothing_lost(&nodes, &all).await;
}

async fn health(service: &Service) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

/// Waits until health says this of a service of the node.
async fn wait_for_health(client: &mut HealthClient<Channel>, service: &str, status: ServingStatus) {
    let request = HealthCheckRequest { service: service.into() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    let told = async { while watch.message().await.unwrap().unwrap().status() != status {} };
    timeout(PATIENCE, told).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_and_starts_under_load_loses_nothing_and_ends_no_read() {
    let Some(mut cluster) = Cluster::start() else { return };
    let kept = Kept { url: cluster.database(), dir: tempfile::tempdir().unwrap() };
    let mut command = with_metrics(Path::new(&kept.url));
    let (first, pages) = metrics::run(command.arg("--allow-anonymous-writes"));
    let nodes = [first, kept.start()];
    let mut client = stub(&nodes[0]).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        writers.spawn(write(stub(node).await, number.to_string(), stopped.clone()));
    }
    let mut health = health(&nodes[0]).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.stop();
        for name in ["", "movie.catalog.v1.MovieCatalog"] {
            wait_for_health(&mut health, name, ServingStatus::NotServing).await;
        }
        wait_for_health(&mut health, "Movie", ServingStatus::Serving).await;
        let (status, text) = metrics::get(pages, "/readyz").await;
        assert!(status == 503 && text.contains("the store is unavailable, reads go on"), "{text}");
        client.get_movie(GetMovieRequest { id: "first".into() }).await.unwrap();
        let refused = create(&mut client, movie("refused", "movie")).await.unwrap_err();
        assert_eq!(reason(&refused), "STORE_UNAVAILABLE", "{refused}");
        cluster.serve();
        wait_for_health(&mut health, "", ServingStatus::Serving).await;
        assert_eq!(metrics::get(pages, "/readyz").await.0, 200);
    }
    stop.send_replace(true);
    let mut all = vec!["first".to_owned()];
    for (acknowledged, reasons) in writers.join_all().await {
        all.extend(acknowledged);
        for reason in reasons {
            assert!(["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&reason.as_str()), "{reason}");
        }
    }
    assert_nothing_lost(&nodes, &all).await;
}
