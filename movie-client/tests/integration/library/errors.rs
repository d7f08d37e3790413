//! Errors of calls, for people and for programs.

use std::net::Ipv4Addr;
use std::time::Duration;

use movie_client::{Client, Config, Error, Field, Filter, InvalidField, Movie, Query, Start, Token};
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::scripted::{ScriptedServer, Step};
use crate::support::service::{Service, SharedStore};
use crate::support::{client, config, failure, in_time, movie, next, unused_address};

const STATUS_MESSAGE: &str = "the status message";

/// Returns the error of a call that always ends with this status, and the address of the server.
async fn failed(status: Status) -> (Error, String) {
    let service = ScriptedServer::always([Step::End(status)]).await;
    // A deletion is not retried.
    (client([service.address]).delete("a", None).await.unwrap_err(), service.address.to_string())
}

#[tokio::test]
async fn errors_of_the_service_itself_name_its_address() {
    type ErrorOf = fn(String, String) -> Error;
    let expectations: [(Code, &str, ErrorOf, &str); 9] = [
        (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            |address, message| Error::Unavailable { address, message },
            "AT is unavailable: the status message",
        ),
        (
            Code::Unavailable,
            "OUTCOME_UNKNOWN",
            |address, message| Error::OutcomeUnknown { address, message },
            "the outcome of the write at AT is unknown: the status message",
        ),
        (
            Code::Unauthenticated,
            "CREDENTIALS_MISSING",
            |address, message| Error::Unauthenticated { address, message },
            "AT did not authenticate the caller: the status message",
        ),
        (
            Code::PermissionDenied,
            "ROLE_TOO_LOW",
            |address, message| Error::PermissionDenied { address, message },
            "AT denied permission: the status message",
        ),
        (
            Code::PermissionDenied,
            "ANONYMOUS_WRITE",
            |address, message| Error::AnonymousWrite { address, message },
            "AT denied permission: the status message",
        ),
        (
            Code::ResourceExhausted,
            "SERVICE_BUSY",
            |address, message| Error::ResourceExhausted { address, message },
            "AT is busy: the status message",
        ),
        (Code::Unimplemented, "SEARCH_OFF", |address, _| Error::SearchOff { address }, "search is off at AT"),
        (
            Code::Unimplemented,
            "",
            |address, message| Error::Unimplemented { address, message },
            "AT does not implement this call: the status message",
        ),
        (
            Code::Internal,
            "SERVICE_FAILED",
            |address, message| Error::Failed { address, code: Code::Internal, message },
            "the call to AT failed: Internal: the status message",
        ),
    ];
    for (code, reason, expected, line) in expectations {
        let (error, address) = failed(failure(code, reason)).await;
        assert_eq!(error, expected(address.clone(), STATUS_MESSAGE.to_owned()));
        assert_eq!(error.to_string(), line.replace("AT", &address));
    }
}

#[tokio::test]
async fn errors_about_movies_and_revisions_have_their_own_variants() {
    let message = || STATUS_MESSAGE.to_owned();
    let expectations = [
        (Code::AlreadyExists, "MOVIE_EXISTS", Error::AlreadyExists { message: message() }, STATUS_MESSAGE),
        (Code::Aborted, "ETAG_STALE", Error::Conflict { message: message() }, STATUS_MESSAGE),
        (
            Code::FailedPrecondition,
            "CATALOG_READ_ONLY",
            Error::ReadOnly { message: message() },
            STATUS_MESSAGE,
        ),
        (
            Code::OutOfRange,
            "PAGE_TOKEN_EXPIRED",
            Error::PageTokenExpired,
            "the page token has expired: the list has changed too much since its first page",
        ),
        (
            Code::Aborted,
            "WATCHER_TOO_SLOW",
            Error::WatcherTooSlow,
            "the watcher reads the changes too slowly",
        ),
        (
            Code::OutOfRange,
            "REVISION_COMPACTED",
            Error::RevisionCompacted { oldest: Some(7) },
            "the service no longer has the changes since that revision; the oldest is 7",
        ),
        (
            Code::OutOfRange,
            "REVISION_UNKNOWN",
            Error::RevisionUnknown { newest: Some(9) },
            "the catalogue has not reached that revision; it is at 9",
        ),
    ];
    for (code, reason, expected, line) in expectations {
        let (error, _) = failed(failure(code, reason)).await;
        assert_eq!((error.to_string().as_str(), error), (line, expected));
    }
}

#[tokio::test]
async fn an_unknown_reason_is_reported_by_its_status_code() {
    for code in [Code::Aborted, Code::OutOfRange, Code::FailedPrecondition, Code::DataLoss] {
        let (error, address) = failed(failure(code, "NEW_REASON")).await;
        assert_eq!(error, Error::Failed { address, code, message: STATUS_MESSAGE.to_owned() });
    }
}

#[tokio::test]
async fn messages_are_escaped_and_limited_to_one_line() {
    let (error, _) = failed(Status::invalid_argument("red:\u{1b}[31m\r\nnext\u{7}")).await;
    assert_eq!(error.to_string(), r"red:\u{1b}[31m\r\nnext\u{7}");
    let (error, _) = failed(Status::invalid_argument("é".repeat(2000))).await;
    assert_eq!(error.to_string().chars().count(), 500);
    let mut details = ErrorDetails::with_bad_request_violation("a\nb", "c\u{1b}d");
    details.set_resource_info("a movie", "x\ny", "", "");
    let (error, _) = failed(Status::with_error_details(Code::InvalidArgument, "", details.clone())).await;
    let field = InvalidField { field: r"a\nb".to_owned(), description: r"c\u{1b}d".to_owned() };
    assert_eq!(error, Error::Invalid { message: String::new(), fields: vec![field] });
    let (error, _) = failed(Status::with_error_details(Code::NotFound, "", details)).await;
    assert_eq!(error, Error::NotFound { message: String::new(), ids: vec!["x\ny".to_owned()] });
}

#[tokio::test]
async fn unknown_ids_are_listed() {
    let service = Service::read_only("movies.json");
    let client = service.client();
    let error = client.get("a").await.unwrap_err();
    let message = "no movie has the id `a`".to_owned();
    assert_eq!(error, Error::NotFound { message, ids: vec!["a".to_owned()] });
    let error = client.batch(["b", "c\n"]).await.unwrap_err();
    assert_eq!(error.to_string(), r"no movies have the ids `b`, `c\n`");
    let Error::NotFound { ids, .. } = error else { panic!("{error:?}") };
    assert_eq!(ids, ["b", "c\n"]);
}

#[tokio::test]
async fn all_invalid_fields_are_listed() {
    let service = Service::writable();
    let client = service.client();
    let invalid = Movie { rating: Some(11.0), year: Some(u32::MAX), ..movie("a", "") };
    let error = client.create(invalid).await.unwrap_err();
    let Error::Invalid { fields, .. } = &error else { panic!("{error:?}") };
    let names: Vec<_> = fields.iter().map(|invalid| invalid.field.as_str()).collect();
    assert_eq!(names, ["movie.title", "movie.rating", "movie.year"]);
    assert!(fields.iter().all(|invalid| invalid.description.starts_with("expected ")), "{fields:?}");
    let query = Query { order_by: "director".to_owned(), ..Query::default() };
    let error = client.first_page(query).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid { fields, .. } if fields[0].field == "order_by"), "{error:?}");
}

#[tokio::test]
async fn a_list_with_an_invalid_query_ends_with_the_reason() {
    let filter = Filter { rating_min: Some(f32::NAN), ..Filter::default() };
    let service = Service::read_only("movies.json");
    let mut list = service.client().list(Query { filter, ..Query::default() });
    let error = next(&mut list).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid { fields, .. } if fields.len() == 1), "{error:?}");
}

#[tokio::test]
async fn rejected_writes_have_the_reason() {
    let service = Service::writable();
    let client = service.client();
    let old = client.create(movie("a", "A")).await.unwrap();
    let error = client.create(movie("a", "B")).await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { message } if message.contains("`a`")), "{error:?}");
    let new = Movie { title: "B".to_owned(), ..old.clone() };
    assert_eq!(client.update(new.clone(), &[Field::Title]).await.unwrap().title, "B");
    for error in [
        client.update(new.clone(), &[Field::Title]).await.map(drop).unwrap_err(),
        client.put(new).await.map(drop).unwrap_err(),
        client.delete("a", Some(old.etag)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Conflict { message } if message.contains("etag")), "{error:?}");
    }
    let error = client.update(movie("b", "B"), &[Field::Title]).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let read_only = Service::read_only("movies.json");
    let error = read_only.client().delete("a", None).await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn compacted_and_future_revisions_are_distinguished() {
    let service = SharedStore::with_change_log(10).start();
    let client = service.client();
    client.import((0..100).map(|number| movie(&number.to_string(), "A"))).await.unwrap();
    let revision = client.catalog().await.unwrap().revision;
    let compacted =
        |error: &Error| matches!(error, Error::RevisionCompacted { oldest: Some(oldest) } if *oldest > 1);
    let error = first(&client, Start::After(1)).await;
    assert!(compacted(&error), "{error:?}");
    let error = first(&client, Start::After(revision + 1)).await;
    assert_eq!(error, Error::RevisionUnknown { newest: Some(revision) });
}

#[tokio::test]
async fn a_resume_token_of_another_store_reports_a_changed_history() {
    let services = [Service::writable(), Service::writable()];
    let [one, other] = services.each_ref().map(Service::client);
    for client in [&one, &other] {
        client.create(movie("a", "A")).await.unwrap();
    }
    let mut changes = one.watch(Start::After(0)).await.unwrap();
    let token = next(&mut changes).await.unwrap().resume_token;
    assert_eq!(first(&other, Start::Resume(token)).await, Error::HistoryChanged);
    let error = first(&one, Start::Resume("none".to_owned())).await;
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}

/// Returns the error of a watch, from its start or its first item.
async fn first(client: &Client, start: Start) -> Error {
    match in_time(client.watch(start)).await {
        Ok(mut changes) => next(&mut changes).await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn an_unreachable_address_is_reported_with_the_reason() {
    let (_nobody, address) = unused_address();
    let error = client([address]).get("a").await.unwrap_err();
    let line = error.to_string();
    assert!(line.starts_with(&format!("no movie service at {address}: Connection refused")), "{line}");
    assert!(error.is_temporary() && !line.contains('\n'));
}

#[tokio::test]
async fn an_invalid_configuration_is_rejected_before_any_call() {
    let error = Client::connect(&config([])).err().unwrap();
    assert_eq!(error, Error::Config("no address of the service is given".to_owned()));
    let error = Token::new("two words").err().unwrap();
    assert!(matches!(error, Error::Config(_)), "{error:?}");
    let error = Error::from("movies.example".parse::<movie_client::Address>().unwrap_err());
    assert_eq!(
        error.to_string(),
        "`movies.example` is not an address; expected HOST:PORT, https://HOST:PORT or unix:PATH, for example localhost:3001"
    );
}

#[tokio::test(start_paused = true)]
async fn an_expired_deadline_is_reported_with_its_duration() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    for (deadline, text) in [(50, "0.05 seconds"), (1000, "1 second")] {
        let deadline = Duration::from_millis(deadline);
        let client = Client::connect(&Config { deadline, ..config([address]) }).unwrap();
        let error = client.get("a").await.unwrap_err();
        assert_eq!(error.to_string(), format!("{address} did not respond within {text}"));
        assert!(error.is_temporary());
    }
}
