//! Etags and conditional requests.

use super::{CREED, get, json, send, writable};
use crate::support::http1::exchange;
use crate::support::process::Service;

#[tokio::test]
async fn a_body_that_the_caller_has_is_not_sent_again() {
    let service = Service::start("movies.json");
    for path in [format!("/v1/movies/{CREED}"), "/v1/movies".to_owned(), "/v1/catalog".to_owned()] {
        let first = get(&service, &path).await;
        let etag = first.header("etag").unwrap();
        for known in [etag, "*", &format!("\"other\", W/{etag}")] {
            let head = format!("GET {path} HTTP/1.1\r\nif-none-match: {known}");
            let again = exchange(service.address, &head, b"").await;
            assert_eq!((again.status(), again.body.as_slice()), ("304", &b""[..]), "{path} {known}");
            assert_eq!(again.header("etag"), Some(etag));
        }
        let head = format!("GET {path} HTTP/1.1\r\nif-none-match: \"other\"");
        assert_eq!(exchange(service.address, &head, b"").await.body, first.body);
    }
}

#[tokio::test]
async fn a_write_can_be_bound_to_a_version() {
    let (service, _dir) = writable();
    let created = send(&service, "POST /v1/movies", &[], r#"{"id": "7", "title": "Seven"}"#).await;
    let stale = created.header("etag").unwrap().to_owned();
    let bound = format!("if-match: {stale}");
    let updated = send(&service, "PATCH /v1/movies/7", &[&bound], r#"{"year": 1995}"#).await;
    assert_eq!(updated.status(), "200", "{updated:?}");

    for request in ["PATCH /v1/movies/7", "DELETE /v1/movies/7"] {
        let body = if request.starts_with("PATCH") { r#"{"year": 1996}"# } else { "" };
        let weak = format!("if-match: W/{}", updated.header("etag").unwrap());
        let list = format!("if-match: {stale}, {}", updated.header("etag").unwrap());
        for (if_match, status, reason) in [
            (bound.as_str(), "412", "ETAG_STALE"),
            (&weak, "412", "ETAG_WEAK"),
            (&list, "400", "INVALID_FIELDS"),
            ("if-match: 7", "400", "INVALID_FIELDS"),
        ] {
            let refused = send(&service, request, &[if_match], body).await;
            assert_eq!(refused.status(), status, "{request} {if_match}: {refused:?}");
            let error = &json(&refused)["error"];
            assert_eq!(error["details"][0]["reason"], reason);
            let message = error["message"].as_str().unwrap();
            assert_eq!(message.contains("the field `etag` of the movie"), reason == "ETAG_WEAK", "{message}");
            assert_eq!(message.contains("if-match: expected `*`, or one etag"), status == "400", "{message}");
        }
    }
    let in_body = format!(r#"{{"year": 1996, "etag": {}}}"#, serde_json::Value::from(stale.as_str()));
    assert_eq!(send(&service, "PATCH /v1/movies/7", &[], &in_body).await.status(), "409");
    let current = updated.header("etag").unwrap();
    let both = send(&service, "PATCH /v1/movies/7", &[&format!("if-match: {current}")], &in_body).await;
    assert_eq!(both.status(), "400", "{both:?}");
    let any = send(&service, "PATCH /v1/movies/7", &["if-match: *"], r#"{"year": 1996}"#).await;
    assert_eq!(any.status(), "200", "{any:?}");
    let bound = format!("if-match: {}", any.header("etag").unwrap());
    let deleted = send(&service, "DELETE /v1/movies/7", &[&bound], "").await;
    assert_eq!(deleted.status(), "200");
}

#[tokio::test]
async fn a_compressed_body_has_a_weak_etag() {
    let service = Service::start("films.json");
    let plain = get(&service, "/v1/movies?pageSize=20").await;
    for (accepted, encoding) in [("gzip", "gzip"), ("br", "br"), ("gzip;q=0.5, br", "br")] {
        let head = format!("GET /v1/movies?pageSize=20 HTTP/1.1\r\naccept-encoding: {accepted}");
        let compressed = exchange(service.address, &head, b"").await;
        assert_eq!(compressed.header("content-encoding"), Some(encoding));
        assert_eq!(compressed.header("etag"), Some(format!("w/{}", plain.header("etag").unwrap()).as_str()));
        assert!(compressed.header("vary").unwrap().contains("accept-encoding"));
        assert!(compressed.body.len() < plain.body.len() / 2);
    }
    // Less than 1 KiB.
    let head = "GET /v1/catalog HTTP/1.1\r\naccept-encoding: gzip";
    assert_eq!(exchange(service.address, head, b"").await.header("content-encoding"), None);
}

#[tokio::test]
async fn without_a_movie_no_condition_holds() {
    let (service, _dir) = writable();
    for request in ["PATCH /v1/movies/8?allowMissing=true", "DELETE /v1/movies/8?allowMissing=true"] {
        let body = if request.starts_with("PATCH") { r#"{"title": "Other"}"# } else { "" };
        for header in ["if-match: *", "if-match: \"8\""] {
            let refused = send(&service, request, &[header], body).await;
            assert_eq!(refused.status(), "412", "{request} {header}: {refused:?}");
        }
    }
    assert_eq!(get(&service, "/v1/movies/8").await.status(), "404");
}

#[tokio::test]
async fn a_condition_that_no_call_can_check_is_refused() {
    let (service, _dir) = writable();
    send(&service, "POST /v1/movies", &[], r#"{"id": "7", "title": "Seven"}"#).await;
    let request = "PATCH /v1/movies/7?allowMissing=true";
    let refused = send(&service, request, &["if-none-match: *"], r#"{"title": "Other"}"#).await;
    assert_eq!(refused.status(), "400", "{refused:?}");
    let created =
        send(&service, "POST /v1/movies", &["if-match: *"], r#"{"id": "8", "title": "Eight"}"#).await;
    assert_eq!(created.status(), "400", "{created:?}");
    assert!(
        created.text().contains("if-match: expected this header with PATCH and DELETE only"),
        "{created:?}"
    );
    assert_eq!(json(&get(&service, "/v1/movies/7").await)["title"], "Seven");
    assert_eq!(get(&service, "/v1/movies/8").await.status(), "404");
}

#[tokio::test]
async fn a_caller_that_accepts_compressed_bodies_only_gets_them_if_they_are_long() {
    let service = Service::start("films.json");
    for accepted in [
        "gzip, identity;q=0",
        "gzip;q=1.0, *;q=0",
        "gzip;x=y;q=0.5, br;x=y;q=0, identity;Q=0.1",
        "*;q=0.1, br;q=0",
    ] {
        for (path, encoding) in [("/v1/movies?pageSize=20", Some("gzip")), ("/v1/catalog", None)] {
            let head = format!("GET {path} HTTP/1.1\r\naccept-encoding: {accepted}");
            let response = exchange(service.address, &head, b"").await;
            assert_eq!(
                (response.status(), response.header("content-encoding")),
                ("200", encoding),
                "{accepted}"
            );
            assert_eq!(response.head.matches("accept-encoding").count(), 1, "{response:?}");
        }
    }
    for accepted in ["", "identity", "gzip;q=0", "zstd", "identity, gzip;q=0.5"] {
        let head = format!("GET /v1/movies?pageSize=20 HTTP/1.1\r\naccept-encoding: {accepted}");
        let response = exchange(service.address, &head, b"").await;
        assert_eq!(response.header("content-encoding"), None, "{accepted}");
    }
}

#[tokio::test]
async fn a_write_is_done_for_a_caller_that_accepts_no_encoding_at_all() {
    let (service, _dir) = writable();
    let overview = "a".repeat(2_000);
    for (number, refuses) in ["*;q=0", "identity;q=0, gzip;q=0, br;q=0", "identity;q=0"].iter().enumerate() {
        let refuses = format!("accept-encoding: {refuses}");
        let body = format!(r#"{{"id": "{number}", "title": "Seven", "overview": "{overview}"}}"#);
        let created = send(&service, "POST /v1/movies", &[&refuses], &body).await;
        assert_eq!((created.status(), created.header("content-encoding")), ("201", None), "{refuses}");
        assert_eq!(json(&created)["overview"], overview);
    }
}
