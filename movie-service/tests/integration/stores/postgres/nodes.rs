//! Several services on one PostgreSQL database.

use std::path::Path;
use std::time::Instant;

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
use crate::stores::{TIMEOUT, TestStore, history, list, postgres, reason, wait_for, watch};
use crate::support::catalog::{create, movie, stub};
use crate::support::metrics;
use crate::support::metrics::with_metrics;
use crate::support::process::Service;

#[tokio::test]
async fn a_write_to_one_node_is_visible_on_the_other() {
    let Some(store) = postgres() else { return };
    let (one, other) = (store.start(), store.start());
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
async fn watchers_of_both_nodes_get_every_change_once_and_in_order() {
    let Some(store) = postgres() else { return };
    let nodes = [store.start(), store.start()];
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
    let mut sent = Vec::new();
    for watch in &mut watches {
        let mut ids = Vec::new();
        while ids.len() < 200 {
            let message = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
            if let Some(Event::Upserted(movie)) = message.event {
                ids.push(movie.id);
                assert_eq!(message.revision, i64::try_from(ids.len()).unwrap());
            }
        }
        sent.push(ids);
    }
    writers.join_all().await;
    assert_eq!(sent[0], sent[1]);
    assert_eq!(list(&mut clients[0]).await, list(&mut clients[1]).await);
}

#[tokio::test]
async fn a_transaction_with_a_serialization_failure_is_retried_and_acknowledged_once() {
    let Some(store) = postgres() else { return };
    let service = store.start();
    let mut client = stub(&service).await;
    let fail = "CREATE SEQUENCE tries; \
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
          IF nextval('tries') % 3 <> 0 THEN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END IF; \
          RETURN NEW; END $$; \
        CREATE TRIGGER fail BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION fail()";
    shared().unwrap().sql(&store.url, fail);
    for number in 0..20 {
        create(&mut client, movie(&number.to_string(), "movie")).await.unwrap();
    }
    assert_eq!(history(&mut client, 20).await.len(), 20);
    let tries = shared().unwrap().sql(&store.url, "SELECT last_value FROM tries");
    assert_eq!(tries.trim(), "60");
}

#[tokio::test]
async fn no_write_is_lost_when_the_server_ends_connections() {
    let Some(store) = postgres() else { return };
    let nodes = [store.start(), store.start()];
    let load = Load::start(&nodes, 3).await;
    for _ in 0..10 {
        load.wait_for_more().await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        shared().unwrap().sql(&store.url, end);
    }
    assert_nothing_lost(&nodes, &load.stop().await).await;
}

async fn health(service: &Service) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

/// Waits until a service of the node has this health status.
async fn wait_for_health(client: &mut HealthClient<Channel>, service: &str, status: ServingStatus) {
    let request = HealthCheckRequest { service: service.into() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    let reported = async { while watch.message().await.unwrap().unwrap().status() != status {} };
    timeout(TIMEOUT, reported).await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_server_under_load_loses_no_write_and_no_read_fails() {
    let Some(mut cluster) = Cluster::start() else { return };
    let store = TestStore::at(cluster.database());
    let mut command = with_metrics(Path::new(&store.url));
    let (first, pages) = metrics::run(command.arg("--allow-anonymous-writes"));
    let nodes = [first, store.start()];
    let mut client = stub(&nodes[0]).await;
    create(&mut client, movie("first", "movie")).await.unwrap();
    let load = Load::start(&nodes, 1).await;
    let mut health = health(&nodes[0]).await;
    for _ in 0..2 {
        load.wait_for_more().await;
        cluster.stop();
        for name in ["", "movie.catalog.v1.MovieCatalog"] {
            wait_for_health(&mut health, name, ServingStatus::NotServing).await;
        }
        wait_for_health(&mut health, "Movie", ServingStatus::Serving).await;
        let (status, text) = metrics::get(pages, "/readyz").await;
        assert!(status == 503 && text.contains("the store is unavailable, reads continue"), "{text}");
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
