//! Migration of stores of earlier versions.

use std::fmt::Write;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{Movie, WatchMoviesRequest};
use prost::Message;
use rusqlite::Connection;
use sha2::{Digest, Sha384};

use super::postgres::cluster::{Cluster, Replication, shared};
use super::{TestStore, list};
use crate::support::catalog::{Stub, create, movie, stub};

super::on_each_store!(
    a_store_of_the_first_version_is_migrated_when_it_is_opened,
    the_first_version_cannot_write_to_a_migrated_store,
);

/// Runs statements in one transaction.
fn execute(url: &str, statements: &str) -> Result<(), String> {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let connection = Connection::open(path).map_err(|error| error.to_string())?;
            let statements = format!("BEGIN; {statements}; COMMIT");
            connection.execute_batch(&statements).map_err(|error| error.to_string())
        }
        None => shared().unwrap().try_sql(url, statements).map(drop),
    }
}

/// Returns the SQL literal of bytes.
fn literal(url: &str, bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in bytes {
        write!(digits, "{byte:02x}").unwrap();
    }
    if url.starts_with("sqlite:") { format!("x'{digits}'") } else { format!("'\\x{digits}'") }
}

/// Returns the statements with which the first version of the service creates its tables.
fn first_version(url: &str) -> String {
    let (schema, bytes) = if url.starts_with("sqlite:") {
        (include_str!("../../../migrations/sqlite/1_catalogue.sql"), "BLOB")
    } else {
        (include_str!("../../../migrations/postgres/1_catalogue.sql"), "BYTEA")
    };
    let checksum = literal(url, &Sha384::digest(schema));
    format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
            checksum {bytes} NOT NULL, execution_time BIGINT NOT NULL); \
         {schema}; \
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
            VALUES (1, 'catalogue', TRUE, {checksum}, 0)"
    )
}

/// Returns the statements with which the first version of the service creates a movie.
fn first_version_of_write(url: &str, revision: usize, movie: &Movie) -> String {
    let (id, bytes) = (&movie.id, literal(url, &movie.encode_to_vec()));
    format!(
        "INSERT INTO movies (position, id, movie) VALUES ({revision}, '{id}', {bytes}); \
         INSERT INTO changes (revision, id, movie) VALUES ({revision}, '{id}', {bytes}); \
         UPDATE head SET revision = {revision}"
    )
}

/// Returns the ids that a watch sends until it has caught up, and the resume token.
async fn changes(client: &mut Stub, start: Start) -> (Vec<String>, String) {
    let request = WatchMoviesRequest { start: Some(start) };
    let mut watch = client.watch_movies(request).await.unwrap().into_inner();
    let mut ids = Vec::new();
    loop {
        let message = watch.message().await.unwrap().unwrap();
        match message.event.unwrap() {
            Event::Upserted(movie) => ids.push(movie.id),
            Event::DeletedId(id) => panic!("{id} was not removed"),
            Event::CaughtUp(_) => return (ids, message.resume_token),
        }
    }
}

async fn a_store_of_the_first_version_is_migrated_when_it_is_opened(store: &TestStore) {
    execute(&store.url, &first_version(&store.url)).unwrap();
    for revision in 1..=3 {
        let movie = movie(&revision.to_string(), "first");
        execute(&store.url, &first_version_of_write(&store.url, revision, &movie)).unwrap();
    }
    let mut service = store.start();
    let mut client = stub(&service).await;
    let ids: Vec<_> = list(&mut client).await.into_iter().map(|movie| movie.id).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let (ids, token) = changes(&mut client, Start::FullCopy(true)).await;
    assert_eq!(ids, ["1", "2", "3"]);
    create(&mut client, movie("4", "later")).await.unwrap();
    service.end().await;
    let service = store.start();
    let mut client = stub(&service).await;
    assert_eq!(changes(&mut client, Start::ResumeToken(token)).await.0, ["4"]);
}

async fn the_first_version_cannot_write_to_a_migrated_store(store: &TestStore) {
    let service = store.start();
    let mut client = stub(&service).await;
    create(&mut client, movie("1", "movie")).await.unwrap();
    let refused =
        execute(&store.url, &first_version_of_write(&store.url, 2, &movie("2", "movie"))).unwrap_err();
    let refused = refused.to_lowercase().replace('-', " ");
    assert!(refused.contains("not null") && refused.contains("chain"), "{refused}");
    create(&mut client, movie("2", "movie")).await.unwrap();
    assert_eq!(list(&mut client).await.len(), 2);
}

#[test]
fn a_standby_with_an_outdated_schema_is_refused() {
    let Some(primary) = Cluster::start() else { return };
    let url = primary.database();
    primary.sql(&url, &first_version(&url));
    let standby = primary.standby(Replication::Asynchronous);
    let line = TestStore::at(url.replace(&primary.address(), &standby.address())).refused();
    assert!(line.contains("standby") || line.contains("read-only"), "{line}");
    assert!(line.contains("schema"), "{line}");
}
