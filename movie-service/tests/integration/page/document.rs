//! The document.

use http::Method;

use super::{built, request, start};
use crate::support::h2_client::{Call, Client};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types lit-html";

#[tokio::test]
async fn the_document_may_load_only_files_and_calls_of_the_service() {
    let service = start(&[]);
    let document = request(&service, "GET", "/", &[]).await;
    assert_eq!((document.status(), &document.body), ("200", &built("index.html")));
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("content-length", &document.body.len().to_string()),
    ] {
        assert_eq!(document.header(name), Some(value), "{document:?}");
    }
    assert!(document.header("permissions-policy").unwrap().contains("camera=()"), "{document:?}");
    // The state of the page is in the query, which is no matter of the service.
    let searched = request(&service, "GET", "/?q=%C3%A9t%C3%A9&genre=Drama", &[]).await;
    assert_eq!(searched.body, document.body);
}

#[tokio::test]
async fn the_document_is_validated_by_its_etag() {
    let service = start(&[]);
    let document = request(&service, "GET", "/", &[]).await;
    let etag = document.header("etag").unwrap();
    for known in [etag, &format!("W/{etag}"), "*"] {
        let again = request(&service, "GET", "/", &[&format!("if-none-match: {known}")]).await;
        assert_eq!((again.status(), again.body.len()), ("304", 0), "{again:?}");
        assert_eq!((again.header("etag"), again.header("cache-control")), (Some(etag), Some("no-cache")));
    }
    let changed = request(&service, "GET", "/", &["if-none-match: \"other\""]).await;
    assert_eq!((changed.status(), &changed.body), ("200", &document.body));
}

#[tokio::test]
async fn head_and_options_are_answered() {
    let service = start(&[]);
    let whole = request(&service, "GET", "/", &[]).await;
    let head = request(&service, "HEAD", "/", &[]).await;
    assert_eq!((head.status(), head.body.len()), ("200", 0));
    for name in ["content-length", "content-type", "etag", "content-security-policy"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    let options = request(&service, "OPTIONS", "/", &[]).await;
    assert_eq!((options.status(), options.header("allow")), ("204", Some("get, head, options")));
}

#[tokio::test]
async fn the_document_is_the_same_over_http_2() {
    let service = start(&[]);
    let over_1 = request(&service, "GET", "/", &[]).await;
    let mut peer = Client::connect(service.address).await;
    let mut call = Call { method: Method::GET, ..Call::new("/", b"") }.frames(&[]);
    call.headers.clear();
    let over_2 = peer.call(&call).await.unwrap();
    assert_eq!((over_2.status, over_2.body), (200, over_1.body.clone()));
    for name in ["content-security-policy", "cache-control", "content-type", "vary"] {
        let value = over_2.headers[name].to_str().unwrap().to_ascii_lowercase();
        assert_eq!(Some(value.as_str()), over_1.header(name), "{name}");
    }
}
