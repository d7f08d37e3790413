//! Requests that are refused.

use http::Method;
use serde_json::{Value, json};

use super::{CREED, get, json, send, writable};
use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};
use crate::support::http1::{Response, exchange};
use crate::support::process::{Service, command};
use crate::support::tokens::make_token;

/// Returns the error of a response, after a check of what all errors have.
fn error(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    let error = json(response)["error"].take();
    assert_eq!(error["code"].to_string(), response.status(), "{error}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    error
}

/// Returns the names and descriptions of the invalid fields.
fn violations(response: &Response) -> Vec<(String, String)> {
    let error = error(response);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let violations = error["details"][1]["fieldViolations"].as_array().unwrap_or_else(|| panic!("{error}"));
    violations.iter().map(|violation| (text(&violation["field"]), text(&violation["description"]))).collect()
}

#[tokio::test]
async fn an_error_is_an_object_with_the_details_of_the_call() {
    let service = Service::start("movies.json");
    let response = get(&service, "/v1/movies/unknown").await;
    let error = error(&response);
    assert_eq!((response.status(), &error["status"]), ("404", &json!("NOT_FOUND")));
    assert_eq!(
        error["details"][0],
        json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "MOVIE_NOT_FOUND",
            "domain": "movie-service"
        })
    );
    assert_eq!(error["details"][1]["resourceName"], "unknown");
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let service = Service::start("movies.json");
    for path in [
        "/v1",
        "/v1/movies/",
        "/v1/movies/a/b",
        "//v1/movies",
        "/v1/movies:purge",
        "/v2/movies",
        "/v1/../v1/movies",
        "/v1/%2e%2e/v1/movies",
        "/v1%2Fmovies",
        "/v1/movies%3AbatchGet",
        "/v1/movies//",
        "/v1/catalog%00",
        "/v1/catalog;x=y",
    ] {
        let response = get(&service, path).await;
        let error = error(&response);
        assert_eq!((response.status(), &error["status"]), ("404", &json!("NOT_FOUND")), "{path}");
        let expected = format!("there is nothing at `{path}`; GET /openapi.json lists the paths");
        assert_eq!(error["message"], expected);
    }
    let long = get(&service, &format!("/{}", "%00".repeat(1_000))).await;
    assert!(error(&long)["message"].as_str().unwrap().len() < 200, "{long:?}");
    let response = send(&service, "PUT /v1/movies/7", &[], "{}").await;
    error(&response);
    assert_eq!(response.status(), "405");
    assert_eq!(response.header("allow"), Some("get, patch, delete, head, options"));
    let options = send(&service, "OPTIONS /v1/movies", &[], "").await;
    assert_eq!((options.status(), options.header("allow")), ("204", Some("get, post, head, options")));
}

#[tokio::test]
async fn json_for_the_path_of_an_rpc_is_told_where_json_is_served() {
    let service = Service::start("movies.json");
    let path = "/movie.catalog.v1.MovieCatalog/GetMovie";
    let post = send(&service, &format!("POST {path}"), &[], "{}").await;
    assert_eq!((post.status(), post.header("content-type")), ("415", Some("application/json")));
    assert_eq!(
        error(&post)["message"],
        "this path is that of an RPC, and the content-type `application/json` is not supported, expected application/grpc; \
         GET /openapi.json lists the paths for JSON"
    );
    let get = get(&service, path).await;
    assert_eq!((get.status(), get.header("allow")), ("405", Some("post")));
    let mut call = Call::new(path, b"").frames(&[]);
    call.headers = vec![("content-type", "application/json")];
    let response = Client::connect(service.address).await.call(&call).await.unwrap();
    assert_eq!((response.status, response.body), (415, post.body));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let service = Service::start("movies.json");
    for path in [format!("/v1/movies/{CREED}"), "/v1/movies/unknown".to_owned()] {
        let whole = get(&service, &path).await;
        let head = exchange(service.address, &format!("HEAD {path} HTTP/1.1"), b"").await;
        assert!(head.body.is_empty());
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), whole.header(name), "{path} {name}");
        }
        assert_eq!(head.status(), whole.status());
    }
}

#[tokio::test]
async fn unknown_and_invalid_parameters_are_named() {
    let service = Service::start("movies.json");
    for (path, expected) in [
        ("/v1/movies?pagesize=3", [("pagesize", "there is no such parameter, expected pageSize, pageToken")]),
        ("/v1/movies?=1", [("query", "expected a name before `=1`")]),
        ("/v1/movies?filter=x", [("filter", "there is no such parameter")]),
        ("/v1/movies?access_token=x", [("access_token", "there is no such parameter")]),
        ("/v1/movies?pageSize=ten", [("pageSize", "expected a whole number from -2147483648 to 2147483647")]),
        ("/v1/movies?page_size=-1", [("pageSize", "expected")]),
        ("/v1/movies?pageSize=1&page_size=2", [("pageSize", "expected this parameter at most once")]),
        ("/v1/movies?filter.ratingMin=NaN", [("filter.ratingMin", "expected a number")]),
        ("/v1/movies?filter.year_from=-1", [("filter.yearFrom", "expected a year, or 0 for any")]),
        ("/v1/movies:search?filter.decades=1995", [("filter.decades", "expected first years of decades")]),
        ("/v1/movies?filter.title_prefix=%FF", [("query", "expected percent-encoded UTF-8")]),
        ("/v1/movies?orderBy=length", [("orderBy", "expected")]),
        ("/v1/movies?pageToken=x", [("pageToken", "expected the next_page_token")]),
        ("/v1/movies:search?facets=years", [("facets", "expected genres")]),
        ("/v1/movies:watch?fromRevision=1&fullCopy=true", [("fullCopy", "expected only one of")]),
        ("/v1/movies/%FF", [("path", "expected percent-encoded UTF-8")]),
        ("/v1/movies/7?id=8", [("id", "there is no such parameter, expected none but pretty")]),
    ] {
        let response = get(&service, path).await;
        assert_eq!(response.status(), "400", "{path}: {response:?}");
        let violations = violations(&response);
        assert_eq!(violations.len(), 1, "{path}: {violations:?}");
        for ((field, description), (name, begin)) in violations.iter().zip(expected) {
            assert_eq!(field, name, "{path}: {description}");
            assert!(description.starts_with(begin), "{path}: {description}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_the_message_is_refused_with_the_path_of_the_error() {
    let (service, _dir) = writable();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let digits = "9".repeat(400);
    for (body, field, begin) in [
        ("", "body", "expected JSON: EOF"),
        ("[]", "body", "expected an object"),
        ("{", "body", "expected JSON: EOF"),
        ("{\"title\": \"a\"} x", "body", "expected the end of the JSON"),
        ("{\"title\": \"a\", \"title\": \"b\"}", "title", "expected this field at most once"),
        ("{\"title\": \"a\", \"rating\": 1, \"rating\": null}", "rating", "expected this field at most once"),
        (
            "{\"title\": \"a\", \"originalTitle\": \"b\", \"original_title\": \"c\"}",
            "original_title",
            "expected this field at most once",
        ),
        ("{\"title\": 7}", "title", "expected text, at line 1"),
        ("{\"titel\": \"a\"}", "titel", "there is no such field, expected title, rating, director, id, "),
        ("{\"title\": \"a\", \"year\": 1e400}", "year", "expected a whole number from"),
        ("{\"title\": \"a\", \"year\": 1e999999}", "year", "expected a whole number from"),
        (&format!("{{\"title\": \"a\", \"year\": {digits}}}"), "year", "expected a whole number from"),
        (&format!("{{\"title\": \"a\", \"ratingCount\": \"{digits}\"}}"), "ratingCount", "expected a whole"),
        ("{\"title\": \"a\", \"year\": 99999999999}", "year", "expected a whole number from -2147483648"),
        ("{\"title\": \"a\", \"year\": 1.5}", "year", "expected a whole number"),
        ("{\"title\": \"a\", \"genres\": \"Drama\"}", "genres", "expected a list"),
        ("{\"title\": \"a\", \"genres\": [\"Drama\", {}]}", "genres[1]", "expected text"),
        ("{\"title\": \"a\", \"createTime\": \"now\"}", "createTime", "expected a time such as"),
        ("{\"title\": \"\"}", "title", "expected"),
        ("{\"title\": \"a\", \"poster_uri\": \"x\"}", "posterUri", "expected"),
        (&format!("{{\"title\": {deep}}}"), "body", "expected"),
    ] {
        let response = send(&service, "POST /v1/movies", &[], body).await;
        assert_eq!(response.status(), "400", "{body:.60}: {response:?}");
        let violations = violations(&response);
        assert_eq!(violations.len(), 1, "{body:.60}: {violations:?}");
        assert!(violations[0].0 == field || body.len() > 1_000, "{body:.60}: {violations:?}");
        assert!(violations[0].1.starts_with(begin), "{body:.60}: {violations:?}");
        assert!(!violations[0].1.ends_with("column 0"), "{body:.60}: {violations:?}");
    }
    let response = exchange(
        service.address,
        "POST /v1/movies HTTP/1.1\r\ncontent-type: application/json",
        b"{\"title\": \"\xff\"}",
    );
    assert_eq!(violations(&response.await)[0].1, "expected JSON in UTF-8");
    let name = "x".repeat(100_000);
    let response = send(&service, "POST /v1/movies", &[], &format!(r#"{{"{name}": 1}}"#)).await;
    assert_eq!(violations(&response)[0].0, name[..100]);
    let response = send(&service, "PATCH /v1/movies/7", &[], r#"{"id": "8", "title": "a"}"#).await;
    assert_eq!(violations(&response)[0].0, "id");
}

#[tokio::test]
async fn bodies_of_other_types_encodings_and_sizes_are_refused() {
    let (service, _dir) = writable();
    let movie = r#"{"title": "a"}"#;
    for (path, headers, message) in [
        (
            "",
            "content-type: application/x-www-form-urlencoded",
            "the content-type `application/x-www-form-urlencoded` is not supported, expected application/json",
        ),
        ("", "x: y", "the content-type is missing, expected application/json"),
        (
            ":import",
            "content-type: text/csv; x",
            "the content-type `text/csv; x` is not supported, expected application/x-ndjson or application/jsonl or \
             application/json",
        ),
        (
            "",
            "content-type: application/json\r\ncontent-encoding: gzip",
            "the content-encoding `gzip` is not supported, expected none",
        ),
        (
            "",
            "content-type: application/json\r\ncontent-type: application/json",
            "the content-type `application/json, application/json` is not supported, expected application/json",
        ),
        ("", "content-type: ", "the content-type `` is not supported, expected application/json"),
        (
            "",
            "content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: gzip",
            "the content-encoding `identity, gzip` is not supported, expected none",
        ),
        (
            "",
            "content-type: application/json\r\ncontent-encoding: ",
            "the content-encoding `` is not supported, expected none",
        ),
        (
            ":import",
            "content-type: application/json; x=y; Charset=\"ISO-8859-1\"",
            "the charset `ISO-8859-1` of the content-type is not supported, expected utf-8",
        ),
    ] {
        let head = format!("POST /v1/movies{path} HTTP/1.1\r\n{headers}");
        let response = exchange(service.address, &head, movie.as_bytes()).await;
        assert_eq!(response.status(), "415", "{headers}: {response:?}");
        assert_eq!(error(&response)["message"], message);
    }
    let valid = "content-type: Application/JSON; charset=\"UTF-8\"\r\ncontent-encoding: identity";
    let head = format!("POST /v1/movies HTTP/1.1\r\n{valid}");
    assert_eq!(exchange(service.address, &head, movie.as_bytes()).await.status(), "201");
    let large = format!(r#"{{"title": "{}"}}"#, "a".repeat(2 * 1024 * 1024));
    let response = send(&service, "POST /v1/movies", &[], &large).await;
    assert_eq!((response.status(), &error(&response)["status"]), ("413", &json!("RESOURCE_EXHAUSTED")));
}

#[tokio::test]
async fn tokens_and_limits_hold_as_over_grpc() {
    let (token, line) = make_token("reader", "reader");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line).unwrap();
    let service = Service::run(command(&database("movies.json")).arg("--tokens").arg(file.path()));
    let response = get(&service, "/v1/catalog").await;
    assert_eq!((response.status(), response.header("www-authenticate")), ("401", Some("bearer")));
    let with_token = format!("GET /v1/catalog HTTP/1.1\r\nauthorization: Bearer {token}");
    assert_eq!(exchange(service.address, &with_token, b"").await.status(), "200");
    let authorization = format!("authorization: Bearer {token}");
    let response = send(&service, "POST /v1/movies", &[&authorization], r#"{"title": "a"}"#).await;
    assert_eq!(response.status(), "403", "{response:?}");
}

#[tokio::test]
async fn http_off_leaves_grpc_only() {
    let service = Service::run(command(&database("movies.json")).args(["--http", "off"]));
    let response = get(&service, "/v1/catalog").await;
    assert_eq!(response.status(), "505", "{response:?}");
    assert!(response.text().contains("--http on"), "{response:?}");
}

#[tokio::test]
async fn a_request_without_content_may_not_have_a_body() {
    let (service, _dir) = writable();
    send(&service, "POST /v1/movies", &[], r#"{"id": "7", "title": "Seven"}"#).await;
    let refused = send(&service, "DELETE /v1/movies/7", &[], r#"{"etag": "\"0\""}"#).await;
    assert_eq!(violations(&refused), [("body".to_owned(), "expected none".to_owned())]);
    assert_eq!(get(&service, "/v1/movies/7").await.status(), "200");
}

#[tokio::test]
async fn an_error_is_short_whatever_the_request_has() {
    let service = Service::start("movies.json");
    let query = "a&".repeat(7_000);
    let response = get(&service, &format!("/v1/movies:search?{query}")).await;
    assert_eq!(violations(&response).len(), 10);
    assert!(response.body.len() < 20_000, "{} bytes", response.body.len());
}

#[tokio::test]
async fn an_error_is_for_people_and_names_fields_as_in_json() {
    let service = Service::start("movies.json");
    let response = get(&service, "/v1/movies?page_size=-1&pretty").await;
    assert!(response.text().starts_with("{\n  \"error\": {\n    \"code\": 400,"), "{}", response.text());
    let message = error(&response)["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("pageSize: "), "{message}");
}

#[tokio::test]
async fn headers_that_are_invalid_are_the_fault_of_the_caller() {
    let (service, _dir) = writable();
    let timeout = exchange(service.address, "GET /v1/catalog HTTP/1.1\r\ngrpc-timeout: soon", b"").await;
    assert_eq!((timeout.status(), &error(&timeout)["status"]), ("400", &json!("INVALID_ARGUMENT")));
    let keys = ["idempotency-key: a", "idempotency-key: b"];
    let refused = send(&service, "POST /v1/movies", &keys, r#"{"title": "a"}"#).await;
    assert_eq!(violations(&refused)[0].0, "idempotency-key");
}

#[tokio::test]
async fn over_http_2_the_response_to_head_has_no_body_either() {
    let service = Service::start("movies.json");
    let mut peer = Client::connect(service.address).await;
    for (path, status) in
        [("/v1/catalog", 200), ("/v1/movies/unknown", 404), ("/openapi.json", 200), ("/nothing", 404)]
    {
        for (method, has_body) in [(Method::GET, true), (Method::HEAD, false)] {
            let mut call = Call::new(path, b"").frames(&[]);
            (call.method, call.headers) = (method, Vec::new());
            let response = peer.call(&call).await.unwrap();
            assert_eq!((response.status, !response.body.is_empty()), (status, has_body), "{path}");
        }
    }
}
