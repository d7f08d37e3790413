//! Who may write, and which stores are writable.

use movie_proto::catalog::v1::GetCatalogRequest;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::*;
use crate::support::certificates::Files;
use crate::support::databases::database;
use crate::support::process::bare_command;
use crate::support::tokens::{make_token, with_tokens};

/// Makes each call that writes; returns the failures.
async fn writes(stub: &mut Stub) -> Vec<Failure> {
    let messages = tokio_stream::iter([ImportMoviesRequest::default()]);
    let failed = [
        create(stub, movie("8", "Creed II")).await.unwrap_err(),
        update(stub, movie("8", "Creed II")).await.unwrap_err(),
        delete(stub, "8").await.unwrap_err(),
        stub.import_movies(messages).await.unwrap_err(),
    ];
    failed.iter().map(Failure::of).collect()
}

/// Returns a request with a token.
fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let token = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

async fn assert_read_only(service: &Service) {
    let mut stub = stub(service).await;
    for failure in writes(&mut stub).await {
        assert_eq!(failure, Failure::new(Code::FailedPrecondition, "CATALOG_READ_ONLY"));
    }
    let denied = delete(&mut stub, "8").await.unwrap_err();
    assert!(denied.message().ends_with("or with --tokens FILE instead of the last flag"), "{denied}");
    let catalog = catalog(&mut stub).await;
    assert_eq!((catalog.store.as_str(), catalog.movie_count), ("json", 7));
    assert_eq!((catalog.read_only, catalog.can_write), (true, false));
    get(&mut stub, "720d006c-3a57-4b6a-b18f-9b713b073f3c").await.unwrap();
}

#[tokio::test]
async fn a_json_database_is_read_only_for_everyone() {
    let mut open = command(&database("movies.json"));
    assert_read_only(&Service::run(open.arg("--allow-anonymous-writes"))).await;
    // With the default database.
    let mut plain = bare_command();
    plain.args(["--listen", "127.0.0.1:0"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    assert_read_only(&Service::run(&mut plain)).await;
}

#[tokio::test]
async fn the_refusal_of_a_write_has_the_flags_with_which_it_succeeds() {
    let refused = delete(&mut stub(&Service::start("movies.json")).await, "7").await.unwrap_err();
    let flags = refused.message().split('`').nth(1).unwrap().replace(":3001", ":0");
    let dir = tempfile::tempdir().unwrap();
    let mut command = bare_command();
    let service = Service::run(command.current_dir(dir.path()).args(flags.split(' ')));
    let creation = CreateMovieRequest { movie: Some(movie("7", "Creed")), request_id: String::new() };
    stub(&service).await.create_movie(creation).await.unwrap();
}

#[tokio::test]
async fn anonymous_writes_are_denied_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::run(&mut over_sqlite(dir.path()));
    let mut stub = stub(&service).await;
    for failure in writes(&mut stub).await {
        assert_eq!(failure, Failure::new(Code::PermissionDenied, "ANONYMOUS_WRITE"));
    }
    let denied = delete(&mut stub, "8").await.unwrap_err();
    let expected = "this service accepts no writes: it was started without --tokens; add `--listen 127.0.0.1:3001 \
        --allow-anonymous-writes` to let everybody on its machine write, or --tokens FILE for callers with a token";
    assert_eq!(denied.message(), expected);
    let catalog = catalog(&mut stub).await;
    assert_eq!((catalog.revision, catalog.read_only, catalog.can_write), (0, false, false));
}

#[tokio::test]
async fn with_tokens_a_writer_may_write_and_a_reader_may_not() {
    let (dir, files) = (tempfile::tempdir().unwrap(), Files::new());
    let (reader, reads) = make_token("alice", "reader");
    let (writer, line) = make_token("bob", "writer");
    files.write("tokens", &format!("{reads}\n{line}\n"));
    let service = Service::run(&mut with_tokens(over_sqlite(dir.path()), &files));
    let mut stub = stub(&service).await;
    let creation = CreateMovieRequest { movie: Some(movie("7", "Creed")), request_id: String::new() };
    let denied = stub.create_movie(with_token(creation.clone(), &reader)).await;
    assert_failed(denied, &Failure::new(Code::PermissionDenied, "ROLE_TOO_LOW"));
    stub.create_movie(with_token(creation, &writer)).await.unwrap();
    for (token, can_write) in [(&reader, false), (&writer, true)] {
        let catalog = stub.get_catalog(with_token(GetCatalogRequest {}, token)).await.unwrap().into_inner();
        assert_eq!((catalog.can_write, catalog.read_only), (can_write, false));
    }
    let nobody = Failure::new(Code::Unauthenticated, "CREDENTIALS_MISSING");
    assert_failed(create(&mut stub, movie("8", "Creed II")).await, &nobody);
}
