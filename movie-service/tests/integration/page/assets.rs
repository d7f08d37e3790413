//! Assets: contents, headers, encodings, conditional requests.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::GzDecoder;
use http::Method;

use super::{asset, built, built_assets, request, send, start};
use crate::support::h2_client::{Call, Client};

#[tokio::test]
async fn all_files_of_the_build_are_served_and_cached_for_long() {
    let service = start(&[]);
    let paths: Vec<_> = built_assets();
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        let content_type = match path.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "json" => "application/json",
            other => panic!("a file of the type {other}"),
        };
        let response = request(&service, "GET", &format!("/{path}"), &[]).await;
        assert_eq!((response.status(), &response.body), ("200", &built(&path)), "{path}");
        for (name, value) in [
            ("content-type", content_type),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("x-content-type-options", "nosniff"),
            ("content-length", &response.body.len().to_string()),
            ("vary", "accept-encoding, origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
        assert_eq!(response.header("content-encoding"), None);
    }
    let icon = request(&service, "GET", "/favicon.svg", &[]).await;
    assert_eq!((icon.status(), icon.body.as_slice()), ("200", &*built("favicon.svg")));
    let fields = ["content-type", "cache-control"].map(|name| icon.header(name).unwrap());
    assert_eq!(fields, ["image/svg+xml", "no-cache"]);
}

#[tokio::test]
async fn the_variant_is_the_one_that_the_caller_accepts() {
    let service = start(&[]);
    let script = asset(".js");
    let mut etags = BTreeSet::new();
    for (accepted, encoding, file) in [
        ("gzip, deflate, br, zstd", Some("br"), format!("{script}.br")),
        ("gzip", Some("gzip"), format!("{script}.gz")),
        ("identity", None, script.clone()),
        ("deflate;q=1, *;q=0", None, script.clone()),
    ] {
        let headers = [format!("accept-encoding: {accepted}")];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let path = format!("/{script}");
        let response = request(&service, "GET", &path, &headers).await;
        assert_eq!((response.status(), response.header("content-encoding")), ("200", encoding), "{accepted}");
        assert!(response.body == built(&file), "{accepted}: the body is not {file}");
        assert_eq!(response.header("vary"), Some("accept-encoding, origin"));
        assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
        let etag = response.header("etag").unwrap();
        assert!(etag.starts_with('"'), "not strong: {etag}");
        etags.insert(etag.to_owned());

        let head = request(&service, "HEAD", &path, &headers).await;
        for name in ["content-length", "content-encoding", "etag"] {
            assert_eq!(head.header(name), response.header(name), "{accepted}");
        }
        assert!(head.body.is_empty());
        let known = format!("if-none-match: {etag}");
        let known = [&headers[..], &[&known]].concat();
        let again = request(&service, "GET", &path, &known).await;
        assert_eq!((again.status(), again.body.len(), again.header("etag")), ("304", 0, Some(etag)));
        assert_eq!(again.header("cache-control"), response.header("cache-control"));
        assert_eq!((again.header("content-encoding"), again.header("content-type")), (None, None));
    }
    assert_eq!(etags.len(), 3, "the variants share etags: {etags:?}");
    let mut decompressed = Vec::new();
    GzDecoder::new(&*built(&format!("{script}.gz"))).read_to_end(&mut decompressed).unwrap();
    assert_eq!(decompressed, built(&script));
}

#[tokio::test]
async fn an_asset_is_the_same_over_http_2_and_to_a_page_that_names_its_origin() {
    let service = start(&[]);
    let path: &'static str = format!("/{}", asset(".js")).leak();
    let mut peer = Client::connect(service.address).await;
    let mut call = Call { method: Method::GET, ..Call::new(path, b"") }.frames(&[]);
    call.headers = vec![("accept-encoding", "br")];
    let response = peer.call(&call).await.unwrap();
    assert_eq!((response.status, &response.headers["content-encoding"]), (200, &"br".parse().unwrap()));
    call.headers.push(("origin", "http://localhost"));
    let with_origin = peer.call(&call).await.unwrap();
    assert_eq!((with_origin.status, &with_origin.body), (200, &response.body));
    assert_eq!(with_origin.headers["etag"], response.headers["etag"]);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let service = start(&[]);
    let script = asset(".js");
    let get = |path: &str, end: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: br\r\n{end}\r\n")
    };
    let requests =
        get("/", "") + &get(&format!("/{script}"), "") + &get("/favicon.svg", "connection: close\r\n");
    let responses = send(&service, requests.as_bytes()).await;
    let place = |part: &[u8]| responses.windows(part.len()).position(|bytes| bytes == part).unwrap();
    let places = [&built("index.html"), &built(&format!("{script}.br")), &built("favicon.svg")];
    let places = places.map(|file| place(file));
    assert!(places.is_sorted(), "{places:?}");
}
