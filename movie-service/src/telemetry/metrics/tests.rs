//! Tests of the metrics.

use super::*;
use crate::telemetry::search_metrics::SearchOutcome;
use crate::telemetry::watch_metrics::WatchEnd;

/// Asserts that the page has a line.
fn assert_has(metrics: &Metrics, line: &str) {
    let page = metrics.render();
    assert!(page.lines().any(|found| found == line), "no `{line}` in:\n{page}");
}

#[test]
fn calls_are_counted_by_method_and_code_and_timed() {
    let metrics = Metrics::on();
    for code in [Code::Ok, Code::Ok, Code::Unauthenticated] {
        metrics.call_began();
        metrics.call_ended(Rpc::find("/Movie/GetMovieByID"), code, Duration::from_micros(20), false);
    }
    metrics.call_began();
    assert_has(&metrics, r#"movie_service_calls_total{method="Movie/GetMovieByID",code="OK"} 2"#);
    assert_has(
        &metrics,
        r#"movie_service_calls_total{method="Movie/GetMovieByID",code="UNAUTHENTICATED"} 1"#,
    );
    let bucket = "movie_service_call_duration_seconds_bucket";
    assert_has(&metrics, &format!(r#"{bucket}{{method="Movie/GetMovieByID",le="0.00001"}} 0"#));
    assert_has(&metrics, &format!(r#"{bucket}{{method="Movie/GetMovieByID",le="0.00005"}} 3"#));
    assert_has(&metrics, "movie_service_streams_open 1");
}

#[test]
fn an_unknown_method_has_the_label_other() {
    let metrics = Metrics::on();
    metrics.call_began();
    metrics.call_ended(None, Code::Unimplemented, Duration::ZERO, false);
    assert_has(&metrics, r#"movie_service_calls_total{method="other",code="UNIMPLEMENTED"} 1"#);
}

#[test]
fn the_page_has_every_metric() {
    let metrics = Metrics::on();
    metrics.connection_opened();
    metrics.connection_opened();
    metrics.connection_closed();
    metrics.sent(3);
    metrics.received(4);
    metrics.shed(ShedReason::Calls);
    metrics.http_refused(StatusCode::NOT_FOUND);
    metrics.http_responded(HttpRequest::Page, StatusCode::NOT_MODIFIED);
    metrics.searches().searched(SearchOutcome::Empty);
    metrics.stream_reset();
    metrics.drained(Drain::Forced);
    metrics.set_catalogue(7, 2);
    metrics.reloaded(Reload::Database, true);
    metrics.reloaded(Reload::Tokens, false);
    for line in [
        "movie_service_connections_open 1",
        "movie_service_sent_bytes_total 3",
        "movie_service_received_bytes_total 4",
        r#"movie_service_sheds_total{reason="calls"} 1"#,
        r#"movie_service_sheds_total{reason="lists"} 0"#,
        r#"movie_service_http_refusals_total{status="404"} 1"#,
        r#"movie_service_http_refusals_total{status="415"} 0"#,
        r#"movie_service_http_requests_total{kind="page",status="3xx"} 1"#,
        r#"movie_service_http_requests_total{kind="grpc_web",status="2xx"} 0"#,
        r#"movie_service_searches_total{outcome="empty"} 1"#,
        r#"movie_service_searches_total{outcome="busy"} 0"#,
        "movie_service_watches_open 0",
        r#"movie_service_watches_ended_total{reason="too_slow"} 0"#,
        "movie_service_watch_changes_sent_total 0",
        r#"movie_service_call_faults_total{method="Movie/GetMovieByID"} 0"#,
        "movie_service_resets_total 1",
        r#"movie_service_drains_total{outcome="forced"} 1"#,
        "movie_service_catalogue_movies 7",
        "movie_service_catalogue_revision 2",
        r#"movie_service_reloads_total{what="database",outcome="taken"} 1"#,
        r#"movie_service_reloads_total{what="tokens",outcome="refused"} 1"#,
        r#"movie_service_last_reload_successful{what="database"} 1"#,
        r#"movie_service_last_reload_successful{what="tokens"} 0"#,
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_open_fds gauge",
        "# TYPE process_start_time_seconds gauge",
        "movie_service_store_retries_total 0",
        concat!(r#"movie_service_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        "# HELP movie_service_calls_total Calls that ended, by method and code",
        "# TYPE movie_service_calls_total counter",
        "# TYPE movie_service_call_duration_seconds histogram",
    ] {
        assert_has(&metrics, line);
    }
}

#[test]
fn metrics_of_what_the_service_does_not_have_are_missing() {
    let metrics = Metrics::on();
    let page = metrics.render();
    assert!(!page.contains("search_index") && !page.contains("certificate"), "{page}");
    metrics.search_index(None);
    metrics.certificate_expiry(1_800_000_000);
    assert_has(&metrics, "movie_service_search_index_ready 0");
    metrics.search_index(Some(7));
    metrics.search_index_built(Duration::from_millis(1_500));
    for line in [
        "movie_service_search_index_ready 1",
        "movie_service_search_index_documents 7",
        "movie_service_search_index_build_duration_seconds 1.5",
        "movie_service_tls_certificate_expiry_timestamp_seconds 1800000000",
    ] {
        assert_has(&metrics, line);
    }
}

#[test]
fn a_watch_is_open_until_it_is_dropped_and_counted_by_its_end() {
    let metrics = Metrics::on();
    let [mut slow, closed] = [(); 2].map(|()| metrics.watches().opened());
    assert_has(&metrics, "movie_service_watches_open 2");
    slow.set_end(WatchEnd::TooSlow);
    drop((slow, closed));
    assert_has(&metrics, "movie_service_watches_open 0");
    for (reason, count) in [("too_slow", 1), ("closed", 1), ("stopping", 0), ("refused", 0)] {
        let line = format!("movie_service_watches_ended_total{{reason=\"{reason}\"}} {count}");
        assert_has(&metrics, &line);
    }
}

#[test]
fn metrics_that_are_off_record_nothing() {
    let metrics = Metrics::off();
    metrics.connection_opened();
    assert!(!metrics.is_on() && metrics.render().is_empty());
}

#[test]
fn upkeep_loses_no_duration() {
    let metrics = Metrics::on();
    for _ in 0..1000 {
        metrics.call_ended(Rpc::find("/Movie/GetListMovies"), Code::Ok, Duration::from_millis(2), false);
        metrics.upkeep();
    }
    assert_has(&metrics, r#"movie_service_call_duration_seconds_count{method="Movie/GetListMovies"} 1000"#);
}
