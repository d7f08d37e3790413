//! Requests that get no file of the page.

use super::{asset, request, send, start};
use crate::support::databases::database;
use crate::support::http1::Response;
use crate::support::process::{Service, bare_command};

#[tokio::test]
async fn only_exact_paths_have_files() {
    let service = start(&[]);
    let script = asset(".js");
    let (name, upper) = (script.strip_prefix("assets/").unwrap(), script.to_uppercase());
    for path in [
        "/index.html",
        "/index",
        "/assets",
        "/assets/",
        "/assets/index.js",
        "/manifest.json",
        "/files.rs",
        "/favicon.ico",
        "/favicon.svg/",
        &format!("/{script}.br"),
        &format!("/{script}.gz"),
        &format!("/{script}/"),
        &format!("//{script}"),
        &format!("/./{script}"),
        &format!("/assets//{name}"),
        &format!("/assets/../{script}"),
        &format!("/assets/..%2f{script}"),
        &format!("/assets%2f{name}"),
        &format!("/assets\\{name}"),
        &format!("/{script}%00"),
        &format!("/{script};a"),
        &format!("/{upper}"),
        "/../Cargo.toml",
        "/assets/../../../Cargo.toml",
        "/%2e%2e/%2e%2e/Cargo.toml",
        "/.",
        "/..",
        "//",
    ] {
        let response = request(&service, "GET", path, &[]).await;
        assert!(matches!(response.status(), "404" | "400"), "{path}: {response:?}");
        assert!(!response.text().contains("<html"), "{path}: {response:?}");
        // A later version may have the file.
        assert_ne!(response.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
    }
    assert_eq!(request(&service, "GET", &format!("/{script}?v=1"), &[]).await.status(), "200");
}

#[tokio::test]
async fn files_are_only_read() {
    let service = start(&[]);
    for path in ["/", &format!("/{}", asset(".js"))] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let response = request(&service, method, path, &[]).await;
            assert_eq!(
                (response.status(), response.header("allow")),
                ("405", Some("get, head, options")),
                "{method}"
            );
        }
    }
}

/// Requests the document for this host, from a page of this origin unless it is empty.
async fn document(host: &str, origin: &str, arguments: &[&str]) -> Response {
    let service = start(arguments);
    let origin = if origin.is_empty() { String::new() } else { format!("origin: {origin}\r\n") };
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{origin}\r\n");
    Response::new(&send(&service, request.as_bytes()).await)
}

#[tokio::test]
async fn the_rules_for_hosts_and_origins_apply_to_the_page() {
    for (host, origin, status) in [
        ("localhost", "", "200"),
        ("localhost", "http://localhost", "200"),
        ("evil.example", "", "421"),
        ("localhost", "https://evil.example", "403"),
    ] {
        let response = document(host, origin, &[]).await;
        assert_eq!(response.status(), status, "{host} {origin}: {response:?}");
    }
    let behind_proxy = document("films.example", "", &["--web-origin", "https://films.example"]).await;
    assert_eq!(behind_proxy.status(), "200");
}

#[tokio::test]
async fn the_page_loads_where_its_calls_are_not_allowed_so_that_it_can_say_so() {
    let mut command = bare_command();
    command.args(["--listen", "0.0.0.0:0", "--database"]).arg(database("movies.json"));
    let service = Service::run(&mut command);
    let origin = "origin: http://films.example";
    for path in ["/".to_owned(), format!("/{}", asset(".js")), format!("/{}", asset(".css"))] {
        // Browsers send no origin for a document.
        let headers = if path == "/" { &[][..] } else { &[origin][..] };
        let response = request(&service, "GET", &path, headers).await;
        assert_eq!(response.status(), "200", "{path}: {response:?}");
    }
    let call = request(&service, "GET", "/v1/catalog", &[origin]).await;
    assert_eq!(call.status(), "403", "{call:?}");
    assert!(call.text().contains("--web-origin"), "{call:?}");
}
