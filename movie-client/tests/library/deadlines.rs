//! How long a call may take, whoever is silent.

use std::future::pending;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use movie_client::{Client, Config, Error, Event, Query, Resolver, Start};
use movie_proto::MovieData;
use movie_proto::catalog::v1::{self, watch_movies_response};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::scripted::{Asked, Scripted, Step};
use crate::support::{config, movie, next, soon};

const DEADLINE: Duration = Duration::from_millis(300);

fn with_deadline(config: Config) -> Client {
    Client::connect(&Config { deadline: DEADLINE, ..config }).unwrap()
}

/// Asserts that a call took its time, and no longer than a test can wait.
async fn assert_late<T: std::fmt::Debug>(address: &str, call: impl Future<Output = Result<T, Error>>) {
    let began = Instant::now();
    let late = Error::DeadlineExceeded { address: address.to_owned(), after: DEADLINE };
    assert_eq!(soon(call).await.unwrap_err(), late);
    assert!(began.elapsed() >= DEADLINE, "{:?}", began.elapsed());
    assert_eq!(late.to_string(), format!("{address} did not respond within 0.3 seconds"));
}

#[tokio::test]
async fn a_call_ends_where_nobody_ever_says_anything() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = with_deadline(config([address]));
    assert_late(&address.to_string(), client.get("a")).await;
    assert_late(&address.to_string(), client.delete("a", None)).await;
    assert_late(&address.to_string(), client.import([movie("a", "A")])).await;
    assert_late(&address.to_string(), async { client.watch(Start::Now).await.map(drop) }).await;
}

#[tokio::test]
async fn a_call_ends_where_the_service_does_not_answer() {
    let service = Scripted::always([Step::Hang]).await;
    let client = with_deadline(config([service.address]));
    assert_late(&service.address.to_string(), client.get("a")).await;
    assert_late(&service.address.to_string(), client.create(movie("a", "A"))).await;
    assert_late(&service.address.to_string(), async { client.course_list().await.map(drop) }).await;
    // What was not answered in time may have been done: it is not sent again.
    assert_eq!(service.asked().len(), 3);
}

#[tokio::test]
async fn a_call_ends_where_names_are_not_looked_up() {
    let config = Config {
        addresses: vec!["movies.example:3001".parse().unwrap()],
        resolver: Resolver::new(|_, _| pending()),
        ..config([])
    };
    assert_late("movies.example:3001", with_deadline(config).get("a")).await;
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_given_up() {
    // It takes connections and does not speak TLS, nor anything.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("https://{}", silent.local_addr().unwrap());
    let mut config = Config { connect_timeout: DEADLINE, ..Config::new([address.parse().unwrap()]) };
    config.tls.authorities =
        Some(rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem().into());
    config.retry.max_attempts = 1;
    let began = Instant::now();
    let error = soon(Client::connect(&config).unwrap().get("a")).await.unwrap_err();
    assert!(began.elapsed() >= DEADLINE, "{:?}", began.elapsed());
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason == "no connection within 300ms"),
        "{error}"
    );
}

#[tokio::test]
async fn the_deadline_is_for_all_repetitions_and_the_service_is_told_what_is_left_of_it() {
    let service = Scripted::start(|asked| match asked.number {
        0 => vec![Step::Pause(DEADLINE / 10), Step::End(Status::unavailable(""))],
        _ => vec![Step::Hang],
    })
    .await;
    assert_late(&service.address.to_string(), with_deadline(config([service.address])).get("a")).await;
    let told: Vec<_> = service.asked().iter().map(Asked::timeout).collect();
    assert_eq!(told.len(), 2);
    assert!(told[0] <= DEADLINE && told[1] + DEADLINE / 10 <= DEADLINE, "{told:?}");
}

#[tokio::test]
async fn a_service_that_wants_to_be_left_alone_for_longer_is_not_waited_for() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_hours(1)));
    let later = Status::with_error_details(Code::Unavailable, "busy", details);
    let service = Scripted::always([Step::End(later)]).await;
    let error = soon(with_deadline(config([service.address])).get("a")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn a_list_ends_where_its_next_item_does_not_come() {
    let film = MovieData { id: "a".into(), ..MovieData::default() };
    let service =
        Scripted::always([Step::say(&film), Step::Pause(DEADLINE / 2), Step::say(&film), Step::Hang]).await;
    let mut list = with_deadline(config([service.address])).course_list().await.unwrap();
    next(&mut list).await.unwrap();
    next(&mut list).await.unwrap();
    assert_late(&service.address.to_string(), next(&mut list)).await;
    assert!(list.next().await.is_none());
}

#[tokio::test]
async fn a_list_ends_where_its_next_page_does_not_come() {
    let service = Scripted::start(|asked| match asked.number {
        0 => {
            let movies = vec![v1::Movie { id: "a".into(), ..v1::Movie::default() }];
            let next_page_token = "more".to_owned();
            vec![Step::say(&v1::ListMoviesResponse { movies, next_page_token, total_size: 2 })]
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
async fn a_watch_waits_for_as_long_as_nothing_happens() {
    let told = |revision, event| {
        Step::say(&v1::WatchMoviesResponse { revision, event: Some(event), resume_token: String::new() })
    };
    let service = Scripted::always([
        told(7, watch_movies_response::Event::CaughtUp(true)),
        Step::Pause(3 * DEADLINE),
        told(8, watch_movies_response::Event::DeletedId("a".into())),
        Step::Hang,
    ])
    .await;
    let mut changes = with_deadline(config([service.address])).watch(Start::Now).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().event, Event::CaughtUp);
    assert_eq!(next(&mut changes).await.unwrap().event, Event::Deleted("a".into()));
    let asked = service.asked();
    assert!(asked.len() == 1 && !asked[0].headers.contains_key("grpc-timeout"));
}
