//! Deadlines of calls to silent servers.
//!
//! The clock is paused where nothing is awaited but the deadline. It advances whenever no task can run, so a test that waits for
//! a response, too, has the real clock.

use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

use movie_client::{Client, Config, Error, Event, Query, Resolver, Start};
use movie_proto::MovieData;
use movie_proto::catalog::v1::{self, watch_movies_response};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::certificates::Authority;
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};
use crate::support::{config, in_time, movie, next};

const DEADLINE: Duration = Duration::from_millis(300);

fn with_deadline(config: Config) -> Client {
    Client::connect(&Config { deadline: DEADLINE, ..config }).unwrap()
}

/// Asserts that a call ends after its deadline.
async fn assert_deadline_exceeded<T: std::fmt::Debug>(
    address: &str,
    call: impl Future<Output = Result<T, Error>>,
) {
    let started = Instant::now();
    let expected = Error::DeadlineExceeded { address: address.to_owned(), after: DEADLINE };
    assert_eq!(in_time(call).await.unwrap_err(), expected);
    assert!(started.elapsed() >= DEADLINE, "{:?}", started.elapsed());
    assert_eq!(expected.to_string(), format!("{address} did not respond within 0.3 seconds"));
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_silent_server_ends_at_its_deadline() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = with_deadline(config([address]));
    assert_deadline_exceeded(&address.to_string(), client.get("a")).await;
    assert_deadline_exceeded(&address.to_string(), client.delete("a", None)).await;
    assert_deadline_exceeded(&address.to_string(), client.import([movie("a", "A")])).await;
    assert_deadline_exceeded(&address.to_string(), async { client.watch(Start::Now).await.map(drop) }).await;
}

#[tokio::test]
async fn a_call_without_a_response_ends_at_its_deadline() {
    let service = ScriptedServer::always([Step::Hang]).await;
    let client = with_deadline(config([service.address]));
    assert_deadline_exceeded(&service.address.to_string(), client.get("a")).await;
    assert_deadline_exceeded(&service.address.to_string(), client.create(movie("a", "A"))).await;
    assert_deadline_exceeded(&service.address.to_string(), async { client.course_list().await.map(drop) })
        .await;
    // A call that exceeded its deadline may have been processed, so it is not retried.
    assert_eq!(service.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_during_name_resolution() {
    let config = Config {
        addresses: vec!["movies.example:3001".parse().unwrap()],
        resolver: Resolver::new(|_, _| pending()),
        ..config([])
    };
    assert_deadline_exceeded("movies.example:3001", with_deadline(config).get("a")).await;
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_at_its_timeout() {
    // The listener accepts connections and sends nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("https://{}", silent.local_addr().unwrap());
    let mut config = Config { connect_timeout: DEADLINE, ..Config::new([address.parse().unwrap()]) };
    config.tls.authorities = Some(Authority::new().pem().into());
    config.retry.max_attempts = 1;
    let started = Instant::now();
    let error = in_time(Client::connect(&config).unwrap().get("a")).await.unwrap_err();
    assert!(started.elapsed() >= DEADLINE, "{:?}", started.elapsed());
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason == "no connection within 300ms"),
        "{error}"
    );
}

#[tokio::test]
async fn the_deadline_includes_retries_and_the_service_gets_the_remaining_time() {
    let service = ScriptedServer::start(|call| match call.number {
        0 => vec![Step::Pause(DEADLINE / 10), Step::End(Status::unavailable(""))],
        _ => vec![Step::Hang],
    })
    .await;
    assert_deadline_exceeded(&service.address.to_string(), with_deadline(config([service.address])).get("a"))
        .await;
    let timeouts: Vec<_> = service.calls().iter().map(RecordedCall::timeout).collect();
    assert_eq!(timeouts.len(), 2);
    assert!(timeouts[0] <= DEADLINE && timeouts[1] + DEADLINE / 10 <= DEADLINE, "{timeouts:?}");
}

#[tokio::test]
async fn a_retry_delay_beyond_the_deadline_ends_the_call() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_hours(1)));
    let later = Status::with_error_details(Code::Unavailable, "busy", details);
    let service = ScriptedServer::always([Step::End(later)]).await;
    let error = in_time(with_deadline(config([service.address])).get("a")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn a_list_ends_when_its_next_item_exceeds_the_deadline() {
    let film = MovieData { id: "a".into(), ..MovieData::default() };
    let service = ScriptedServer::always([
        Step::message(&film),
        Step::Pause(DEADLINE / 2),
        Step::message(&film),
        Step::Hang,
    ])
    .await;
    let mut list = with_deadline(config([service.address])).course_list().await.unwrap();
    next(&mut list).await.unwrap();
    next(&mut list).await.unwrap();
    assert_deadline_exceeded(&service.address.to_string(), next(&mut list)).await;
    assert!(list.next().await.is_none());
}

#[tokio::test]
async fn a_list_ends_when_its_next_page_exceeds_the_deadline() {
    let service = ScriptedServer::start(|call| match call.number {
        0 => {
            let movies = vec![v1::Movie { id: "a".into(), ..v1::Movie::default() }];
            let next_page_token = "more".to_owned();
            vec![Step::message(&v1::ListMoviesResponse { movies, next_page_token, total_size: 2 })]
        }
        _ => vec![Step::Hang],
    })
    .await;
    let mut list = with_deadline(config([service.address])).list(Query::default());
    assert_eq!(next(&mut list).await.unwrap().id, "a");
    let error = next(&mut list).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error}");
    assert!(list.next().await.is_none());
}

#[tokio::test]
async fn a_watch_has_no_deadline() {
    let message = |revision, event| {
        Step::message(&v1::WatchMoviesResponse { revision, event: Some(event), resume_token: String::new() })
    };
    let service = ScriptedServer::always([
        message(7, watch_movies_response::Event::CaughtUp(true)),
        Step::Pause(3 * DEADLINE),
        message(8, watch_movies_response::Event::DeletedId("a".into())),
        Step::Hang,
    ])
    .await;
    let mut changes = with_deadline(config([service.address])).watch(Start::Now).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().event, Event::CaughtUp);
    assert_eq!(next(&mut changes).await.unwrap().event, Event::Deleted("a".into()));
    let calls = service.calls();
    assert!(calls.len() == 1 && !calls[0].headers.contains_key("grpc-timeout"));
}
