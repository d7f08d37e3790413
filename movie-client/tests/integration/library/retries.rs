//! Retries, and calls that must not be retried.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use movie_client::{Client, Config, Error, Event, Field, Resolver, RetryPolicy, Start};
use movie_proto::catalog::v1::{self, CreateMovieRequest, ImportMoviesRequest, LookupMoviesResponse};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::proxy::Proxy;
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};
use crate::support::service::Service;
use crate::support::{client, config, failure, in_time, movie, next, until, unused_address};

/// Starts a server that fails the first calls with these steps, and responds to the others with a movie.
async fn failing(first: impl Into<Vec<Step>>) -> ScriptedServer {
    let first = first.into();
    ScriptedServer::start(move |call: &RecordedCall| {
        let failure = first.get(call.number).cloned();
        vec![failure.unwrap_or_else(|| Step::message(&v1::Movie { id: "a".into(), ..v1::Movie::default() }))]
    })
    .await
}

pub(super) fn unavailable() -> Step {
    Step::End(Status::unavailable("busy"))
}

#[tokio::test]
async fn a_read_is_retried_until_the_service_is_available() {
    let service = failing([unavailable(), Step::Disconnect, unavailable()]).await;
    assert_eq!(client([service.address]).get("a").await.unwrap(), movie("a", ""));
    assert_eq!(service.calls().len(), 4);
}

#[tokio::test]
async fn a_read_has_the_maximum_number_of_attempts() {
    for tries in [1, 2, 5] {
        let service = ScriptedServer::always([unavailable()]).await;
        let mut config = config([service.address]);
        config.retry.max_attempts = tries;
        let error = Client::connect(&config).unwrap().get("a").await.unwrap_err();
        assert_eq!(
            error,
            Error::Unavailable { address: service.address.to_string(), message: "busy".into() }
        );
        assert_eq!(service.calls().len(), tries as usize);
    }
}

#[tokio::test]
async fn a_rejected_call_is_not_retried() {
    let refusals = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::DataLoss,
        Code::Unauthenticated,
    ];
    for code in refusals {
        let service = ScriptedServer::always([Step::End(Status::new(code, "no"))]).await;
        client([service.address]).get("a").await.unwrap_err();
        assert_eq!(service.calls().len(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn a_write_that_was_sent_is_not_retried() {
    for failure in [unavailable(), Step::Disconnect] {
        let service = ScriptedServer::always([failure]).await;
        let client = client([service.address]);
        let update = client.update(movie("a", "A"), &[Field::Title]).await;
        let put = client.put(movie("a", "A")).await;
        let delete = client.delete("a", None).await;
        for result in [update.map(drop), put.map(drop), delete] {
            assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
        }
        let paths: Vec<_> = service.calls().into_iter().map(|call| call.path).collect();
        let catalog = "/movie.catalog.v1.MovieCatalog";
        let once = ["UpdateMovie", "UpdateMovie", "DeleteMovie"].map(|call| format!("{catalog}/{call}"));
        assert_eq!(paths, once);
    }
}

#[tokio::test]
async fn a_write_that_was_not_stored_is_retried() {
    for reason in ["STORE_READ_ONLY", "STORE_UNAVAILABLE"] {
        let service = failing([Step::End(failure(Code::Unavailable, reason))]).await;
        let updated = client([service.address]).update(movie("a", "A"), &[Field::Title]).await;
        assert_eq!(updated.unwrap(), movie("a", ""), "{reason}");
        assert_eq!(service.calls().len(), 2, "{reason}");
    }
    for reason in ["OUTCOME_UNKNOWN", "SERVICE_STOPPING"] {
        let service = failing([Step::End(failure(Code::Unavailable, reason))]).await;
        client([service.address]).update(movie("a", "A"), &[Field::Title]).await.unwrap_err();
        assert_eq!(service.calls().len(), 1, "{reason}");
    }
}

/// Returns the status of a service that is busy and requests a retry after this delay.
pub(super) fn busy(reason: &str, retry_delay: Duration) -> Step {
    let mut details = failure(Code::ResourceExhausted, reason).get_error_details();
    details.set_retry_info(Some(retry_delay));
    Step::End(Status::with_error_details(Code::ResourceExhausted, "too many calls at a time", details))
}

#[tokio::test]
async fn a_call_that_a_busy_service_refused_is_retried_after_the_requested_delay() {
    let retry_delay = Duration::from_millis(200);
    let service = failing([busy("SERVICE_BUSY", retry_delay)]).await;
    let started = Instant::now();
    client([service.address]).get("a").await.unwrap();
    assert!(started.elapsed() >= retry_delay, "{:?}", started.elapsed());
    assert_eq!(service.calls().len(), 2);
    // The reason states that nothing was done, so even a write that must not be repeated is retried.
    let service = failing([busy("SERVICE_BUSY", Duration::ZERO)]).await;
    client([service.address]).update(movie("a", "A"), &[Field::Title]).await.unwrap();
    assert_eq!(service.calls().len(), 2);
}

#[tokio::test]
async fn a_write_is_not_retried_if_a_busy_server_does_not_state_that_nothing_was_done() {
    let service = ScriptedServer::always([busy("QUOTA", Duration::ZERO)]).await;
    let client = client([service.address]);
    let update = client.update(movie("a", "A"), &[Field::Title]).await;
    let delete = client.delete("a", None).await;
    for result in [update.map(drop), delete] {
        assert!(matches!(result, Err(Error::ResourceExhausted { .. })), "{result:?}");
    }
    assert_eq!(service.calls().len(), 2);
}

#[tokio::test]
async fn an_interrupted_lookup_is_not_retried() {
    let response = LookupMoviesResponse { id: "a".into(), movie: None };
    let service = ScriptedServer::always([Step::message(&response), Step::Disconnect]).await;
    let ids = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
    let mut found = client([service.address]).lookup(ids).await.unwrap();
    assert_eq!(next(&mut found).await.unwrap(), ("a".to_owned(), None));
    assert!(matches!(next(&mut found).await, Err(Error::Unavailable { .. })));
    assert!(found.next().await.is_none());
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn retries_of_a_creation_have_the_same_request_id() {
    let service = failing([unavailable(), Step::Disconnect]).await;
    let client = client([service.address]);
    client.create(movie("a", "A")).await.unwrap();
    client.create(movie("a", "A")).await.unwrap();
    let requests: Vec<CreateMovieRequest> = service.calls().iter().map(RecordedCall::message).collect();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.movie == requests[0].movie));
    let ids: Vec<_> = requests.iter().map(|request| request.request_id.as_str()).collect();
    assert!(!ids[0].is_empty() && ids[..3].iter().all(|id| *id == ids[0]) && ids[3] != ids[0], "{ids:?}");
}

#[tokio::test]
async fn a_movie_whose_response_was_lost_is_added_once() {
    let service = Service::writable();
    let proxy = Proxy::to(service.socket_address()).await;
    let mut changes = service.client().watch(Start::Now).await.unwrap();
    next(&mut changes).await.unwrap();
    proxy.drop_responses();
    let client = client([proxy.address]);
    let created = tokio::spawn(async move { client.create(movie("", "A")).await });
    // The service has added the movie, and its response is lost.
    let change = next(&mut changes).await.unwrap();
    proxy.pass_responses();
    proxy.disconnect();
    let created = in_time(created).await.unwrap().unwrap();
    assert_eq!(change.event, Event::Upserted(created));
    let catalog = service.client().catalog().await.unwrap();
    assert_eq!((catalog.movie_count, catalog.revision), (1, change.revision));
}

#[tokio::test]
async fn an_interrupted_import_is_retried_as_a_whole() {
    let service = Service::writable();
    let proxy = Proxy::to(service.socket_address()).await;
    let movies: Vec<_> = (0..1200).map(|number| movie(&number.to_string(), "A")).collect();
    let mut changes = service.client().watch(Start::Now).await.unwrap();
    proxy.drop_responses();
    let (client, sent) = (client([proxy.address]), movies.clone());
    let imported = tokio::spawn(async move { client.import(sent).await });
    until(&mut changes, |change| matches!(&change.event, Event::Upserted(movie) if movie.id == "1199")).await;
    proxy.pass_responses();
    proxy.disconnect();
    let imported = in_time(imported).await.unwrap().unwrap();
    assert_eq!((imported.created, imported.updated, imported.unchanged, imported.rejected), (0, 0, 1200, 0));
    assert_eq!(service.client().catalog().await.unwrap().movie_count, 1200);
}

#[tokio::test]
async fn an_import_is_retried_while_the_service_is_unavailable() {
    let service = ScriptedServer::start(|call| match call.number {
        0 => vec![unavailable()],
        _ => vec![Step::message(&v1::ImportMoviesResponse { created: 1, ..Default::default() })],
    })
    .await;
    assert_eq!(client([service.address]).import([movie("a", "A")]).await.unwrap().created, 1);
    let sent: Vec<ImportMoviesRequest> = service.calls().iter().map(RecordedCall::message).collect();
    assert!(sent.len() == 2 && sent[0] == sent[1] && sent[0].movies.len() == 1, "{sent:?}");
}

#[tokio::test]
async fn a_write_is_sent_once_a_connection_exists() {
    let (_socket, unused) = unused_address();
    let service = failing([]).await;
    let resolved = Mutex::new(vec![service.address, unused]);
    let look_up = move |_, _| {
        let mut resolved = resolved.lock().unwrap();
        let address = if resolved.len() > 1 { resolved.pop() } else { resolved.first().copied() };
        async move { Ok(address.into_iter().collect()) }
    };
    let config = Config {
        addresses: vec!["movies.example:3001".parse().unwrap()],
        resolver: Resolver::new(look_up),
        lookup_interval: Duration::ZERO,
        ..config([])
    };
    Client::connect(&config).unwrap().update(movie("a", "A"), &[Field::Title]).await.unwrap();
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn a_budget_limits_retries_to_a_fifth_of_the_calls() {
    let service = ScriptedServer::always([unavailable()]).await;
    let client = client([service.address]);
    let started = Instant::now();
    for _ in 0..200 {
        client.get("a").await.unwrap_err();
    }
    let retries = service.calls().len() - 200;
    // The budget begins with ten retries, and grows by one per second.
    let max = 200 / 5 + 10 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=max).contains(&retries), "{retries} retries of 200 calls");
}

#[tokio::test]
async fn a_requested_retry_delay_is_observed() {
    let wait = Duration::from_millis(300);
    let details = ErrorDetails::with_retry_info(Some(wait));
    let later = Status::with_error_details(Code::Unavailable, "busy", details);
    let service = failing([Step::End(later)]).await;
    let started = Instant::now();
    client([service.address]).get("a").await.unwrap();
    assert!(started.elapsed() >= wait, "{:?}", started.elapsed());
    assert_eq!(service.calls().len(), 2);
}

#[tokio::test]
async fn each_retry_waits_for_the_backoff() {
    let service = ScriptedServer::always([unavailable()]).await;
    let pause = Duration::from_millis(100);
    let retry = RetryPolicy { max_attempts: 3, initial_backoff: pause, max_backoff: pause };
    let client = Client::connect(&Config { retry, ..config([service.address]) }).unwrap();
    let started = Instant::now();
    client.get("a").await.unwrap_err();
    // Two backoffs, each at least half of the configured one.
    assert!(started.elapsed() >= pause, "{:?}", started.elapsed());
}
