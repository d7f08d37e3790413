//! Several services on one PostgreSQL database.

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
use super::load::{Load, assert_nothing_lost};
use super::{Kept, TIMEOUT, create, history, list, movie, postgres, reason, stub, wait_for, watch};
use crate::metrics::{self, with_metrics};
use crate::process::Service;

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
            let message = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
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

#[tokio::test]
async fn connections_that_are_ended_lose_nothing() {
    let Some(kept) = postgres() else { return };
    let nodes = [kept.start(), kept.start()];
    let load = Load::start(&nodes, 3).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        shared().unwrap().sql(&kept.url, end);
    }
    assert_nothing_lost(&nodes, &load.stop().await).await;
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
    timeout(TIMEOUT, told).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_and_starts_under_load_loses_nothing_and_ends_no_read() {
    let Some(mut cluster) = Cluster::start() else { return };
    let kept = Kept::at(cluster.database());
    let mut command = with_metrics(Path::new(&kept.url));
    let (first, pages) = metrics::run(command.arg("--allow-anonymous-writes"));
    let nodes = [first, kept.start()];
    let mut client = stub(&nodes[0]).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    let load = Load::start(&nodes, 1).await;
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
    assert_nothing_lost(&nodes, &load.stop().await).await;
    client.get_movie(GetMovieRequest { id: "first".into() }).await.unwrap();
}
