//! What peers, names and services do that is not trusted to behave, and what it must not cost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use movie_client::{Client, Config, Error, Query, Resolver, RetryPolicy};
use movie_proto::catalog::v1;
use movie_service::catalogue::Catalogue;
use movie_service::found::Found;
use movie_service::server::serve::Server;
use movie_service::store::json;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::scripted::{Scripted, Step};
use crate::service::Service;
use crate::support::{client, config, soon};

const SHORT: Duration = Duration::from_millis(300);

/// A service of the real films.
fn films() -> Service {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../databases/films.json");
    let catalogue = Arc::new(Catalogue::new(json::load(path.as_ref()).unwrap()));
    Service::start(Server::new(catalogue, Found::quiet()))
}

/// A service that has every movie.
async fn service() -> Scripted {
    Scripted::start(|_| vec![Step::say(&v1::Movie::default())]).await
}

#[tokio::test]
async fn a_wish_to_wait_for_ever_is_no_more_than_a_refusal() {
    let details = ErrorDetails::with_retry_info(Some(Duration::MAX));
    let service =
        Scripted::always([Step::End(Status::with_error_details(Code::Unavailable, "", details))]).await;
    let error = soon(client([service.address]).get("a")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_deadline_that_no_clock_has_room_for_is_none() {
    let service = service().await;
    let client = Client::connect(&Config { deadline: Duration::MAX, ..config([service.address]) }).unwrap();
    soon(client.get("a")).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_cannot_be_connected_to_holds_up_no_call_while_there_is_another() {
    // Nobody says hello in there; what speaks no TLS is connected to as soon as anybody listens.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent: movie_client::Address =
        format!("https://localhost:{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let service = service().await;
    let mut config = Config { connect_timeout: Duration::from_hours(1), ..config([service.address]) };
    config.tls.authorities = Some(rcgen_authority());
    config.addresses.insert(0, silent);
    let client = Client::connect(&config).unwrap();
    for answer in soon(join_all((0..20).map(|_| client.get("a")))).await {
        answer.unwrap();
    }
    assert_eq!(service.asked().len(), 20);
}

fn rcgen_authority() -> Vec<u8> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem().into()
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_called_less_while_there_is_another() {
    let frozen = Scripted::always([Step::Hang]).await;
    let service = service().await;
    let addresses = [frozen.address, service.address];
    let client = Client::connect(&Config { deadline: SHORT, ..config(addresses) }).unwrap();
    let mut late = 0;
    for _ in 0..20 {
        late += u32::from(soon(client.get("a")).await.is_err());
    }
    assert_eq!((late, frozen.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_look_up_that_never_ends_holds_up_no_call_once_addresses_are_known() {
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
        soon(client.get("a")).await.unwrap();
    }
    assert_eq!(times.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_at_first_is_looked_up_again() {
    let service = service().await;
    let (address, times) = (service.address, AtomicUsize::new(0));
    let resolver = Resolver::new(move |_, _| {
        let is_first = times.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if is_first { Err(io::Error::other("try again")) } else { Ok(vec![address]) } }
    });
    let addresses = vec!["movies.example:3001".parse().unwrap()];
    let client = Client::connect(&Config { addresses, resolver, ..config([]) }).unwrap();
    soon(client.get("a")).await.unwrap();
}

#[tokio::test]
async fn that_nobody_could_be_reached_is_said_although_there_was_no_time_left_to_try_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let mut config = Config {
        addresses: vec![address.parse().unwrap()],
        connect_timeout: SHORT,
        deadline: SHORT * 3 / 2,
        retry: RetryPolicy { max_attempts: 9, ..config([]).retry },
        ..config([])
    };
    config.tls.authorities = Some(rcgen_authority());
    let error = soon(Client::connect(&config).unwrap().get("a")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("no connection within")),
        "{error}"
    );
}

#[tokio::test]
async fn all_pages_of_a_list_come_from_the_service_that_gave_the_first() {
    // Their revisions are the times at which they started: neither knows a page of the other.
    let (first, second) = (Service::read_only(), Service::read_only());
    let client = client([first.socket_address(), second.socket_address()]);
    for _ in 0..4 {
        let query = Query { page_size: 2, ..Query::default() };
        let movies: Result<Vec<_>, _> = soon(client.list(query).collect()).await;
        assert_eq!(movies.unwrap().len(), 7);
    }
}

#[tokio::test]
async fn a_list_that_gives_the_same_page_again_and_again_ends() {
    let page = v1::ListMoviesResponse { next_page_token: "x".to_owned(), ..Default::default() };
    let service = Scripted::always([Step::say(&page)]).await;
    let mut pages = client([service.address]).pages(Query::default());
    soon(pages.next()).await.unwrap().unwrap();
    let error = soon(pages.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the same page again"), "{error}");
}

#[tokio::test]
async fn an_id_that_is_not_answered_ends_a_lookup_and_one_that_is_not_asked_does_not() {
    let answer = v1::LookupMoviesResponse { id: "a".to_owned(), movie: None };
    let service = Scripted::always([Step::say(&answer), Step::Hang]).await;
    let client = Client::connect(&Config { deadline: SHORT, ..config([service.address]) }).unwrap();
    let ids = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
    let mut answers = client.lookup(ids).await.unwrap();
    soon(answers.next()).await.unwrap().unwrap();
    let error = soon(answers.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error:?}");

    let service = Service::read_only();
    let client = Client::connect(&Config { deadline: SHORT, ..config([service.socket_address()]) }).unwrap();
    let mut answers = client.lookup(tokio_stream::pending()).await.unwrap();
    assert!(tokio::time::timeout(SHORT * 4, answers.next()).await.is_err());
}

#[tokio::test]
async fn streams_that_nobody_reads_stop_no_other_call() {
    let service = films();
    let client = client([service.socket_address()]);
    // Each would fill its window, and all of them together that of a connection by default.
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(soon(client.course_list()).await.unwrap());
    }
    soon(client.get("tt0038823")).await.unwrap();
    let read = soon(unread.remove(0).collect::<Result<Vec<_>, _>>()).await;
    assert_eq!(read.unwrap().len(), 17_470);
}
