//! Misbehaving peers, name resolution and services.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use movie_client::{Client, Config, Error, Query, Resolver, RetryPolicy};
use movie_proto::catalog::v1;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::certificates::Authority;
use crate::support::program::over;
use crate::support::scripted::{ScriptedServer, Step};
use crate::support::service::Service;
use crate::support::{client, config, in_time, service};

const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_endless_retry_delay_ends_the_call() {
    let details = ErrorDetails::with_retry_info(Some(Duration::MAX));
    let service =
        ScriptedServer::always([Step::End(Status::with_error_details(Code::Unavailable, "", details))]).await;
    let error = in_time(client([service.address]).get("a")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_deadline_beyond_the_range_of_clocks_is_unlimited() {
    let service = service().await;
    let client = Client::connect(&Config { deadline: Duration::MAX, ..config([service.address]) }).unwrap();
    in_time(client.get("a")).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_connect_delays_no_call_while_another_is_connected() {
    // The TLS handshake never completes. Without TLS, a listener alone would be enough to connect.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent: movie_client::Address =
        format!("https://localhost:{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let service = service().await;
    let mut config = Config { connect_timeout: Duration::from_hours(1), ..config([service.address]) };
    config.tls.authorities = Some(Authority::new().pem().into());
    config.addresses.insert(0, silent);
    let client = Client::connect(&config).unwrap();
    for response in in_time(join_all((0..20).map(|_| client.get("a")))).await {
        response.unwrap();
    }
    assert_eq!(service.calls().len(), 20);
}

#[tokio::test]
async fn an_unresponsive_peer_gets_fewer_calls_while_another_is_connected() {
    let frozen = ScriptedServer::always([Step::Hang]).await;
    let service = service().await;
    let addresses = [frozen.address, service.address];
    let client = Client::connect(&Config { deadline: SHORT_TIMEOUT, ..config(addresses) }).unwrap();
    let mut late = 0;
    for _ in 0..20 {
        late += u32::from(in_time(client.get("a")).await.is_err());
    }
    assert_eq!((late, frozen.calls().len()), (1, 1));
}

#[tokio::test]
async fn an_endless_name_resolution_delays_no_call_after_the_first() {
    let service = service().await;
    let (address, times) = (service.address, Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&times);
    let resolver = Resolver::new(move |_, _| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            io::Result::Ok(vec![address])
        }
    });
    let addresses = vec!["movies.example:3001".parse().unwrap()];
    let config = Config { addresses, resolver, lookup_interval: Duration::ZERO, ..config([]) };
    let client = Client::connect(&config).unwrap();
    for _ in 0..10 {
        in_time(client.get("a")).await.unwrap();
    }
    assert_eq!(times.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_failed_name_resolution_is_retried() {
    let service = service().await;
    let (address, times) = (service.address, AtomicUsize::new(0));
    let resolver = Resolver::new(move |_, _| {
        let is_first = times.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if is_first { Err(io::Error::other("try again")) } else { Ok(vec![address]) } }
    });
    let addresses = vec!["movies.example:3001".parse().unwrap()];
    let client = Client::connect(&Config { addresses, resolver, ..config([]) }).unwrap();
    in_time(client.get("a")).await.unwrap();
}

// The clock advances whenever no task can run: nothing is awaited but timeouts.
#[tokio::test(start_paused = true)]
async fn the_connection_error_is_reported_when_the_deadline_leaves_no_time_for_a_retry() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let mut config = Config {
        addresses: vec![address.parse().unwrap()],
        connect_timeout: SHORT_TIMEOUT,
        deadline: SHORT_TIMEOUT * 3 / 2,
        retry: RetryPolicy { max_attempts: 9, ..config([]).retry },
        ..config([])
    };
    config.tls.authorities = Some(Authority::new().pem().into());
    let error = in_time(Client::connect(&config).unwrap().get("a")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("no connection within")),
        "{error}"
    );
}

#[tokio::test]
async fn all_pages_of_a_list_come_from_the_same_service() {
    // Their revisions begin at their start times, so a page token of one is unknown to the other.
    let (first, second) = (Service::read_only("movies.json"), Service::read_only("movies.json"));
    let client = client([first.socket_address(), second.socket_address()]);
    for _ in 0..4 {
        let query = Query { page_size: 2, ..Query::default() };
        let movies: Result<Vec<_>, _> = in_time(client.list(query).collect()).await;
        assert_eq!(movies.unwrap().len(), 7);
    }
}

#[tokio::test]
async fn a_list_with_a_repeated_page_token_ends() {
    let page = v1::ListMoviesResponse { next_page_token: "x".to_owned(), ..Default::default() };
    let service = ScriptedServer::always([Step::message(&page)]).await;
    let mut pages = client([service.address]).pages(Query::default());
    in_time(pages.next()).await.unwrap().unwrap();
    let error = in_time(pages.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the same page token again"), "{error}");
}

#[tokio::test]
async fn a_lookup_times_out_for_the_service_and_not_for_the_caller() {
    let response = v1::LookupMoviesResponse { id: "a".to_owned(), movie: None };
    let service = ScriptedServer::always([Step::message(&response), Step::Hang]).await;
    let client = Client::connect(&Config { deadline: SHORT_TIMEOUT, ..config([service.address]) }).unwrap();
    let ids = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
    let mut responses = client.lookup(ids).await.unwrap();
    in_time(responses.next()).await.unwrap().unwrap();
    let error = in_time(responses.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error:?}");

    let service = Service::read_only("movies.json");
    let client =
        Client::connect(&Config { deadline: SHORT_TIMEOUT, ..config([service.socket_address()]) }).unwrap();
    let mut responses = client.lookup(tokio_stream::pending()).await.unwrap();
    assert!(tokio::time::timeout(SHORT_TIMEOUT * 2, responses.next()).await.is_err());
}

#[tokio::test]
async fn unread_streams_block_no_other_call() {
    let client = client([over("films.json")]);
    // Each stream fills its own window. Together they would fill the default window of a connection.
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(in_time(client.course_list()).await.unwrap());
    }
    in_time(client.get("tt0038823")).await.unwrap();
    let read = in_time(unread.remove(0).collect::<Result<Vec<_>, _>>()).await;
    assert_eq!(read.unwrap().len(), 17_470);
}
