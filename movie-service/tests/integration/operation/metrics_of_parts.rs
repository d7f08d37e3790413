//! Metrics of watches, searches, requests over HTTP, and certificates.

use std::path::Path;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::{SearchMoviesRequest, WatchMoviesRequest};

use crate::support::catalog::{import, movie, stub};
use crate::support::certificates::Files;
use crate::support::databases::database;
use crate::support::http1::exchange;
use crate::support::metrics::{assert_shows, get, run, with_metrics};

#[tokio::test]
async fn watches_are_counted_with_their_changes_and_why_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", dir.path().join("movies.db").display());
    let mut command = with_metrics(Path::new(&store));
    command.args(["--allow-anonymous-writes", "--limit", "watch_behind=20"]);
    let (service, address) = run(&mut command);
    let (mut writer, mut reader) = (stub(&service).await, stub(&service).await);
    let watch = async |stub: &mut crate::support::catalog::Stub, start| {
        stub.watch_movies(WatchMoviesRequest { start }).await.unwrap().into_inner()
    };
    let mut read = watch(&mut writer, None).await;
    assert!(read.message().await.unwrap().is_some());
    assert_shows(address, &["movie_service_watches_open 1", "movie_service_watch_changes_sent_total 0"])
        .await;
    import(&mut writer, vec![movie("a", "A"), movie("b", "B")]).await.unwrap();
    for _ in 0..2 {
        assert!(read.message().await.unwrap().is_some());
    }
    assert_shows(address, &["movie_service_watch_changes_sent_total 2"]).await;
    drop(read);
    let closed = r#"movie_service_watches_ended_total{reason="closed"} 1"#;
    assert_shows(address, &[closed, "movie_service_watches_open 0"]).await;
    watch(&mut writer, Some(Start::FromRevision(99))).await.message().await.unwrap_err();
    assert_shows(address, &[r#"movie_service_watches_ended_total{reason="refused"} 1"#]).await;

    let mut unread = watch(&mut reader, None).await;
    assert!(unread.message().await.unwrap().is_some());
    // Longer than the windows and buffers between the service and a watcher.
    let title = "\u{1f600}".repeat(1_000);
    for part in 0..10 {
        let movies = (1..=20).map(|number| movie(&format!("{}", part * 20 + number), &title));
        import(&mut writer, movies.collect()).await.unwrap();
    }
    while unread.message().await.is_ok() {}
    assert_shows(address, &[r#"movie_service_watches_ended_total{reason="too_slow"} 1"#]).await;
}

#[tokio::test]
async fn searches_are_counted_by_outcome_and_the_index_is_measured() {
    let (service, address) = run(&mut with_metrics(&database("movies.json")));
    let mut stub = stub(&service).await;
    for (query, size) in [("martian", 0), ("creed", 0), ("no such movie", 0), ("creed", -1)] {
        let request = SearchMoviesRequest { query: query.into(), page_size: size, ..Default::default() };
        assert_eq!(stub.search_movies(request).await.is_err(), size < 0);
    }
    assert_shows(
        address,
        &[
            r#"movie_service_searches_total{outcome="found"} 2"#,
            r#"movie_service_searches_total{outcome="empty"} 1"#,
            r#"movie_service_searches_total{outcome="refused"} 1"#,
            r#"movie_service_searches_total{outcome="busy"} 0"#,
            "movie_service_search_index_ready 1",
            "movie_service_search_index_documents 7",
        ],
    )
    .await;
    let page = get(address, "/metrics").await.1;
    let name = "movie_service_search_index_build_duration_seconds ";
    let built = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    assert!(built.parse::<f64>().unwrap() > 0.0, "{built}");

    let (_service, address) = run(with_metrics(&database("movies.json")).args(["--search", "off"]));
    let page = get(address, "/metrics").await.1;
    assert!(!page.contains("search_index"), "{page}");
}

#[tokio::test]
async fn requests_over_http_are_counted_by_kind_and_class_of_status() {
    let (service, address) = run(&mut with_metrics(&database("movies.json")));
    let preflight =
        "OPTIONS /v1/catalog HTTP/1.1\r\norigin: http://localhost\r\naccess-control-request-method: GET";
    for head in [
        "GET /v1/catalog HTTP/1.1",
        "GET /openapi.json HTTP/1.1",
        "GET /v1/movies/unknown HTTP/1.1",
        "GET / HTTP/1.1",
        "GET /favicon.svg HTTP/1.1",
        "GET /healthz HTTP/1.1",
        "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc-web+proto",
        preflight,
    ] {
        exchange(service.address, head, b"").await;
    }
    let counts = [("json", "2xx", 2), ("json", "4xx", 1), ("page", "2xx", 2), ("health", "2xx", 1)];
    let counts = counts.into_iter().chain([("grpc_web", "2xx", 1), ("json", "5xx", 0)]);
    let lines: Vec<_> = counts
        .map(|(kind, status, count)| {
            format!("movie_service_http_requests_total{{kind=\"{kind}\",status=\"{status}\"}} {count}")
        })
        .collect();
    assert_shows(address, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let page = get(address, "/metrics").await.1;
    let preflights = "movie_service_http_requests_total{kind=\"preflight\"";
    let preflights = page.lines().filter(|line| line.starts_with(preflights) && line.ends_with(" 1"));
    assert_eq!(preflights.count(), 1, "{page}");
}

#[tokio::test]
async fn the_expiry_of_the_certificate_follows_a_reload() {
    let files = Files::new();
    let (_service, address) = run(&mut files.with_tls(with_metrics(&database("movies.json"))));
    let name = "movie_service_tls_certificate_expiry_timestamp_seconds";
    let refused = r#"movie_service_last_reload_successful{what="tls"} 0"#;
    assert_shows(address, &[&format!("{name} 67090118400")]).await;
    files.write_pair(files.authority.pair_until("localhost", 4000));
    assert_shows(address, &[&format!("{name} 64060588800")]).await;
    files.write("cert.pem", "no certificate");
    assert_shows(address, &[&format!("{name} 64060588800"), refused]).await;

    let (_service, address) = run(&mut with_metrics(&database("movies.json")));
    assert!(!get(address, "/metrics").await.1.contains(name));
}
