//! Load balancing over several addresses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use movie_client::{Client, Config, Error, Field, Resolver};
use movie_proto::catalog::v1;
use tokio::net::TcpListener;

use crate::support::certificates::Authority;
use crate::support::proxy::Proxy;
use crate::support::scripted::{ScriptedServer, Step};
use crate::support::service::{Service, empty};
use crate::support::{client, config, movie, service, unused_address};

/// Addresses of a name, which can be changed.
#[derive(Clone, Default)]
struct DnsRecords(Arc<RecordsInner>);

#[derive(Default)]
struct RecordsInner {
    /// `None` if the resolution fails.
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    lookups: AtomicUsize,
}

impl DnsRecords {
    fn of(services: &[&ScriptedServer]) -> Self {
        let records = Self::default();
        records.set(services);
        records
    }

    fn set(&self, services: &[&ScriptedServer]) {
        *self.0.addresses.lock().unwrap() = Some(services.iter().map(|service| service.address).collect());
    }

    fn fail(&self) {
        *self.0.addresses.lock().unwrap() = None;
    }

    /// Returns a client of the name with this lookup interval.
    fn client(&self, lookup_interval: Duration) -> Client {
        let records = Arc::clone(&self.0);
        let look_up = move |name: String, port| {
            assert_eq!((name.as_str(), port), ("movies.example", 3001));
            records.lookups.fetch_add(1, Ordering::Relaxed);
            let addresses = records.addresses.lock().unwrap().clone();
            async move { addresses.ok_or_else(|| io::Error::other("the directory is down")) }
        };
        let addresses = vec!["movies.example:3001".parse().unwrap()];
        let resolver = Resolver::new(look_up);
        Client::connect(&Config { addresses, resolver, lookup_interval, ..config([]) }).unwrap()
    }
}

async fn get(client: &Client, times: usize) {
    for _ in 0..times {
        client.get("a").await.unwrap();
    }
}

/// Returns the number of calls to each server.
fn calls<const N: usize>(services: [&ScriptedServer; N]) -> [usize; N] {
    services.map(|service| service.calls().len())
}

#[tokio::test]
async fn calls_are_distributed_round_robin() {
    let (first, second) = (service().await, service().await);
    get(&client([first.address, second.address]), 10).await;
    assert_eq!(calls([&first, &second]), [5, 5]);
}

#[tokio::test]
async fn writes_skip_an_unreachable_address() {
    let (_socket, unreachable) = unused_address();
    let reachable = service().await;
    let mut config = config([unreachable, reachable.address]);
    // The call to the other address is not a retry: the call was not sent before.
    config.retry.max_attempts = 1;
    let client = Client::connect(&config).unwrap();
    for _ in 0..6 {
        client.update(movie("a", "A"), &[Field::Title]).await.unwrap();
    }
    assert_eq!(calls([&reachable]), [6]);
}

#[tokio::test]
async fn an_unreachable_address_is_not_tried_again_for_some_time() {
    // The listener accepts connections and closes them before the TLS handshake.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let unreachable = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let reachable = service().await;
    let mut config = config([reachable.address]);
    config.addresses.insert(0, unreachable);
    config.tls.authorities = Some(Authority::new().pem().into());
    let started = Instant::now();
    get(&Client::connect(&config).unwrap(), 10).await;
    assert_eq!(calls([&reachable]), [10]);
    // The cooldown of a failed peer is five seconds. A second connection checks whether the server uses TLS at all.
    let max = 2 * (1 + started.elapsed().as_secs() / 5);
    assert!((1..=max).contains(&(accepted.load(Ordering::Relaxed) as u64)), "{accepted:?}");
}

#[tokio::test]
async fn a_call_fails_if_no_address_is_reachable() {
    let ((_first, first), (_second, second)) = (unused_address(), unused_address());
    let error = client([first, second]).get("a").await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { reason, .. } if reason.contains("refused")), "{error}");
}

#[tokio::test]
async fn an_address_that_becomes_reachable_is_called() {
    let (unused_address, address) = unused_address();
    let client = client([address]);
    client.get("a").await.unwrap_err();
    let back =
        ScriptedServer::on(unused_address.listen(8).unwrap(), |_| vec![Step::message(&v1::Movie::default())]);
    client.get("a").await.unwrap();
    assert_eq!(calls([&back]), [1]);
}

#[tokio::test]
async fn calls_are_distributed_over_the_addresses_of_a_name() {
    let (first, second, third) = (service().await, service().await, service().await);
    let records = DnsRecords::of(&[&first, &second, &third]);
    get(&records.client(Duration::from_hours(1)), 9).await;
    assert_eq!(calls([&first, &second, &third]), [3, 3, 3]);
    assert_eq!(records.0.lookups.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_name_is_resolved_again_and_its_new_addresses_are_called() {
    let (old, stays, new) = (service().await, service().await, service().await);
    let records = DnsRecords::of(&[&old, &stays]);
    let client = records.client(Duration::ZERO);
    get(&client, 4).await;
    assert_eq!(calls([&old, &stays]), [2, 2]);
    records.set(&[&stays, &new]);
    // The new addresses are resolved in the background.
    while calls([&new]) == [0] {
        get(&client, 1).await;
    }
    let [before] = calls([&old]);
    get(&client, 4).await;
    assert_eq!(calls([&old]), [before]);
    assert_eq!(stays.connections(), 1);
}

#[tokio::test]
async fn a_name_keeps_its_addresses_when_a_later_resolution_fails() {
    let service = service().await;
    let records = DnsRecords::of(&[&service]);
    let client = records.client(Duration::ZERO);
    get(&client, 1).await;
    records.fail();
    get(&client, 3).await;
    records.set(&[]);
    let error = loop {
        if let Err(error) = client.get("a").await {
            break error;
        }
    };
    assert_eq!(error.to_string(), "no movie service at movies.example:3001: the name resolves to no address");
}

#[tokio::test]
async fn a_call_fails_with_the_error_of_the_resolver() {
    let records = DnsRecords::default();
    let error = records.client(Duration::ZERO).get("a").await.unwrap_err();
    assert_eq!(error.to_string(), "no movie service at movies.example:3001: the directory is down");
}

#[tokio::test]
async fn a_name_and_an_ip_address_may_be_the_same_service() {
    let service = Service::read_only("movies.json");
    let port = service.socket_address().port();
    let addresses = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{port}").parse().unwrap());
    let client = Client::connect(&Config { addresses: addresses.into(), ..config([]) }).unwrap();
    assert_eq!(client.catalog().await.unwrap().movie_count, 7);
    assert_eq!(client.catalog().await.unwrap().movie_count, 7);
}

#[tokio::test]
async fn a_service_on_a_unix_socket_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("movies.sock");
    let service = Service::start_on_socket(&path, empty());
    let address = service.address.to_string();
    assert_eq!(address, format!("unix:{}", path.display()));
    assert_eq!(service.client().catalog().await.unwrap().movie_count, 0);
    let client = Client::connect(&Config::new([address.parse().unwrap()])).unwrap();
    drop(service);
    let error = client.get("a").await.unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("no movie service at unix:{}", path.display())),
        "{error}"
    );
}

#[tokio::test]
async fn the_first_call_opens_the_only_connection() {
    let service = service().await;
    let client = client([service.address]);
    assert_eq!(service.connections(), 0);
    get(&client, 3).await;
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let service = service().await;
    let proxy = Proxy::to(service.address).await;
    let client = client([proxy.address]);
    for connections in 1..=3 {
        get(&client, 2).await;
        assert_eq!(proxy.connections(), connections);
        proxy.disconnect();
    }
}

#[tokio::test]
async fn concurrent_calls_share_a_connection() {
    let service = service().await;
    let client = client([service.address]);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("a").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((service.calls().len(), service.connections()), (50, 1));
}
