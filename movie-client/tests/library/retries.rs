//! When a call is made again, and when not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use movie_client::{Client, Config, Error, Event, Field, Resolver, RetryPolicy, Start};
use movie_proto::catalog::v1::{self, CreateMovieRequest, ImportMoviesRequest, LookupMoviesResponse};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::proxy::Proxy;
use crate::scripted::{Asked, Scripted, Step};
use crate::service::Service;
use crate::support::{client, config, failure, movie, next, nobody, soon, until};

/// Fails the first calls with these, and answers those that follow with a movie.
async fn failing(first: impl Into<Vec<Step>>) -> Scripted {
    let first = first.into();
    Scripted::start(move |asked: &Asked| {
        let failure = first.get(asked.number).cloned();
        vec![failure.unwrap_or_else(|| Step::say(&v1::Movie { id: "a".into(), ..v1::Movie::default() }))]
    })
    .await
}

fn unavailable() -> Step {
    Step::End(Status::unavailable("busy"))
}

#[tokio::test]
async fn a_read_is_repeated_until_the_service_is_there_for_it() {
    let service = failing([unavailable(), Step::Cut, unavailable()]).await;
    assert_eq!(client([service.address]).get("a").await.unwrap(), movie("a", ""));
    assert_eq!(service.asked().len(), 4);
}

#[tokio::test]
async fn a_read_is_tried_as_often_as_it_may_be_and_no_more() {
    for tries in [1, 2, 5] {
        let service = Scripted::always([unavailable()]).await;
        let mut config = config([service.address]);
        config.retry.max_attempts = tries;
        let error = Client::connect(&config).unwrap().get("a").await.unwrap_err();
        assert_eq!(
            error,
            Error::Unavailable { address: service.address.to_string(), message: "busy".into() }
        );
        assert_eq!(service.asked().len(), tries as usize);
    }
}

#[tokio::test]
async fn what_the_service_refuses_is_not_asked_again() {
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
        let service = Scripted::always([Step::End(Status::new(code, "no"))]).await;
        client([service.address]).get("a").await.unwrap_err();
        assert_eq!(service.asked().len(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn a_change_that_has_left_is_never_sent_again() {
    for failure in [unavailable(), Step::Cut] {
        let service = Scripted::always([failure]).await;
        let client = client([service.address]);
        let update = client.update(movie("a", "A"), &[Field::Title]).await;
        let put = client.put(movie("a", "A")).await;
        let delete = client.delete("a", None).await;
        for result in [update.map(drop), put.map(drop), delete] {
            assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
        }
        let paths: Vec<_> = service.asked().into_iter().map(|asked| asked.path).collect();
        let catalog = "/movie.catalog.v1.MovieCatalog";
        let once = ["UpdateMovie", "UpdateMovie", "DeleteMovie"].map(|call| format!("{catalog}/{call}"));
        assert_eq!(paths, once);
    }
}

#[tokio::test]
async fn a_change_that_the_store_has_not_taken_is_sent_again() {
    for reason in ["STORE_READ_ONLY", "STORE_UNAVAILABLE"] {
        let service = failing([Step::End(failure(Code::Unavailable, reason))]).await;
        let updated = client([service.address]).update(movie("a", "A"), &[Field::Title]).await;
        assert_eq!(updated.unwrap(), movie("a", ""), "{reason}");
        assert_eq!(service.asked().len(), 2, "{reason}");
    }
    for reason in ["OUTCOME_UNKNOWN", "SERVICE_STOPPING"] {
        let service = failing([Step::End(failure(Code::Unavailable, reason))]).await;
        client([service.address]).update(movie("a", "A"), &[Field::Title]).await.unwrap_err();
        assert_eq!(service.asked().len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn ids_that_were_looked_up_are_not_sent_again() {
    let answer = LookupMoviesResponse { id: "a".into(), movie: None };
    let service = Scripted::always([Step::say(&answer), Step::Cut]).await;
    let ids = tokio_stream::iter(["a".to_owned(), "b".to_owned()]);
    let mut found = client([service.address]).lookup(ids).await.unwrap();
    assert_eq!(next(&mut found).await.unwrap(), ("a".to_owned(), None));
    assert!(matches!(next(&mut found).await, Err(Error::Unavailable { .. })));
    assert!(found.next().await.is_none());
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn a_movie_is_added_again_under_the_same_request_id_and_another_movie_under_another() {
    let service = failing([unavailable(), Step::Cut]).await;
    let client = client([service.address]);
    client.create(movie("a", "A")).await.unwrap();
    client.create(movie("a", "A")).await.unwrap();
    let requests: Vec<CreateMovieRequest> = service.asked().iter().map(Asked::message).collect();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.movie == requests[0].movie));
    let ids: Vec<_> = requests.iter().map(|request| request.request_id.as_str()).collect();
    assert!(!ids[0].is_empty() && ids[..3].iter().all(|id| *id == ids[0]) && ids[3] != ids[0], "{ids:?}");
}

#[tokio::test]
async fn a_movie_whose_answer_was_lost_is_there_once() {
    let service = Service::writable().await;
    let proxy = Proxy::to(service.socket_address()).await;
    let mut changes = service.client().watch(Start::Now).await.unwrap();
    next(&mut changes).await.unwrap();
    proxy.mute();
    let client = client([proxy.address]);
    let created = tokio::spawn(async move { client.create(movie("", "A")).await });
    // The service has done it, and its answer is lost.
    let change = next(&mut changes).await.unwrap();
    proxy.unmute();
    proxy.cut();
    let created = soon(created).await.unwrap().unwrap();
    assert_eq!(change.event, Event::Upserted(created));
    let catalog = service.client().catalog().await.unwrap();
    assert_eq!((catalog.movie_count, catalog.revision), (1, change.revision));
}

#[tokio::test]
async fn an_import_that_was_cut_is_sent_again_as_a_whole() {
    let service = Service::writable().await;
    let proxy = Proxy::to(service.socket_address()).await;
    let movies: Vec<_> = (0..1200).map(|number| movie(&number.to_string(), "A")).collect();
    let mut changes = service.client().watch(Start::Now).await.unwrap();
    proxy.mute();
    let (client, sent) = (client([proxy.address]), movies.clone());
    let imported = tokio::spawn(async move { client.import(sent).await });
    until(&mut changes, |change| matches!(&change.event, Event::Upserted(movie) if movie.id == "1199")).await;
    proxy.unmute();
    proxy.cut();
    let imported = soon(imported).await.unwrap().unwrap();
    assert_eq!((imported.created, imported.updated, imported.unchanged, imported.rejected), (0, 0, 1200, 0));
    assert_eq!(service.client().catalog().await.unwrap().movie_count, 1200);
}

#[tokio::test]
async fn an_import_is_repeated_while_the_service_is_not_there_for_it() {
    let service = Scripted::start(|asked| match asked.number {
        0 => vec![unavailable()],
        _ => vec![Step::say(&v1::ImportMoviesResponse { created: 1, ..Default::default() })],
    })
    .await;
    assert_eq!(client([service.address]).import([movie("a", "A")]).await.unwrap().created, 1);
    let sent: Vec<ImportMoviesRequest> = service.asked().iter().map(Asked::message).collect();
    assert!(sent.len() == 2 && sent[0] == sent[1] && sent[0].movies.len() == 1, "{sent:?}");
}

#[tokio::test]
async fn a_change_that_found_no_connection_is_sent_once_there_is_one() {
    let (_nobody, gone) = nobody();
    let service = failing([]).await;
    let answers = Mutex::new(vec![service.address, gone]);
    let look_up = move |_, _| {
        let mut answers = answers.lock().unwrap();
        let address = if answers.len() > 1 { answers.pop() } else { answers.first().copied() };
        async move { Ok(address.into_iter().collect()) }
    };
    let config = Config {
        addresses: vec!["movies.example:3001".parse().unwrap()],
        resolver: Resolver::new(look_up),
        lookup_interval: Duration::ZERO,
        ..config([])
    };
    Client::connect(&config).unwrap().update(movie("a", "A"), &[Field::Title]).await.unwrap();
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn repetitions_are_a_fifth_of_the_calls_and_some_so_that_they_are_no_storm() {
    let service = Scripted::always([unavailable()]).await;
    let client = client([service.address]);
    let began = Instant::now();
    for _ in 0..200 {
        client.get("a").await.unwrap_err();
    }
    let repetitions = service.asked().len() - 200;
    // Ten at first, and one a second from then on.
    let most = 200 / 5 + 10 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=most).contains(&repetitions), "{repetitions} repetitions of 200 calls");
}

#[tokio::test]
async fn a_service_that_says_when_to_come_again_is_left_alone_until_then() {
    let wait = Duration::from_millis(300);
    let details = ErrorDetails::with_retry_info(Some(wait));
    let later = Status::with_error_details(Code::Unavailable, "busy", details);
    let service = failing([Step::End(later)]).await;
    let began = Instant::now();
    client([service.address]).get("a").await.unwrap();
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn there_is_a_pause_before_each_repetition() {
    let service = Scripted::always([unavailable()]).await;
    let pause = Duration::from_millis(100);
    let retry = RetryPolicy { max_attempts: 3, initial_backoff: pause, max_backoff: pause };
    let client = Client::connect(&Config { retry, ..config([service.address]) }).unwrap();
    let began = Instant::now();
    client.get("a").await.unwrap_err();
    // Two pauses, each at least half as long as they are on the whole.
    assert!(began.elapsed() >= pause, "{:?}", began.elapsed());
}
