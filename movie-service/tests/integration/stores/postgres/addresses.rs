//! URLs of PostgreSQL databases, and databases that cannot be used.

use std::net::{Ipv6Addr, TcpListener};

use super::cluster::{PROTECTED, shared};
use super::standby::once_writable;
use crate::stores::{TestStore, postgres};
use crate::support::catalog::{create, movie, stub};
use crate::support::skipped::skip;

#[tokio::test]
async fn a_host_may_be_an_ipv6_address() {
    let Some(store) = postgres() else { return };
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skip("this machine has no IPv6");
    }
    let service = TestStore::at(store.url.replace("127.0.0.1", "[::1]")).start();
    create(&mut stub(&service).await, movie("1", "movie")).await.unwrap();
}

#[test]
fn an_unknown_url_parameter_is_refused_by_name() {
    let Some(store) = postgres() else { return };
    for (parameter, named) in [
        ("sslmood=require", "sslmood"),
        ("target_session_attrs=any&aplication_name=films", "aplication_name"),
        ("target_session_attrs=sometimes", "target_session_attrs"),
    ] {
        let line = TestStore::at(format!("{}?{parameter}", store.url)).refused();
        assert!(line.contains(named), "{line}");
    }
}

#[tokio::test]
async fn a_percent_encoded_password_may_have_any_characters() {
    let Some(cluster) = shared() else { return };
    let role = format!("CREATE ROLE {PROTECTED} LOGIN PASSWORD 'p@ss/w#o?r%d: x'");
    cluster.sql("postgres", &role);
    let url = cluster.database_with(&format!("OWNER {PROTECTED}"));
    let with = |password: &str| TestStore::at(url.replace("movies@", &format!("{PROTECTED}:{password}@")));
    let service = with("p%40ss%2Fw%23o%3Fr%25d%3A%20x").start();
    // SCRAM takes long without optimizations, so a connection may time out on a busy machine.
    once_writable(&mut stub(&service).await, "1").await.unwrap();
    let line = with("another").refused();
    assert!(line.contains("password authentication failed for user \"protected\""), "{line}");
    assert!(!line.contains("another"), "{line}");
}

#[test]
fn an_error_of_the_server_is_printed_once() {
    let Some(store) = postgres() else { return };
    let line = TestStore::at(format!("{}_gone", store.url)).refused();
    assert_eq!(line.matches("does not exist").count(), 1, "{line}");
    assert!(!line.contains(".c:"), "the source line of the server: {line}");
}

#[tokio::test]
async fn a_role_that_may_not_create_tables_is_told_the_missing_grant() {
    let Some(store) = postgres() else { return };
    let cluster = shared().unwrap();
    cluster.sql("postgres", "CREATE ROLE limited LOGIN");
    // The default since PostgreSQL 15.
    cluster.sql(&store.url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let limited = TestStore::at(store.url.replace("movies@", "limited@"));
    let line = limited.refused();
    let (_, grant) = line.split_once("GRANT ").unwrap_or_else(|| panic!("no GRANT in {line}"));
    cluster.sql(&store.url, &format!("GRANT {grant}"));
    let service = limited.start();
    create(&mut stub(&service).await, movie("1", "movie")).await.unwrap();
}

#[test]
fn a_database_in_another_encoding_than_utf8_is_refused() {
    let Some(cluster) = shared() else { return };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        let line = TestStore::at(cluster.database_with(&options)).refused();
        assert!(line.contains(encoding) && line.contains("UTF8"), "{line}");
    }
}
