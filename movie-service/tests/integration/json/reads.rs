//! Movies, pages and the catalogue.

use serde_json::json;

use super::{CREED, get, json};
use crate::support::http1::exchange;
use crate::support::process::Service;

#[tokio::test]
async fn a_movie_is_an_object_in_canonical_json() {
    let service = Service::start("movies.json");
    let response = get(&service, &format!("/v1/movies/{CREED}")).await;
    assert_eq!(response.status(), "200", "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()));
    let movie = json(&response);
    assert_eq!((&movie["title"], &movie["id"]), (&json!("Creed"), &json!(CREED)));
    assert_eq!(movie["etag"].as_str(), response.header("etag"));
    assert!(movie.get("year").is_none(), "unset fields are left out: {movie}");
}

#[tokio::test]
async fn pretty_is_for_people() {
    let service = Service::start("movies.json");
    let compact = get(&service, &format!("/v1/movies/{CREED}")).await;
    for parameter in ["pretty", "pretty=true", "pretty=1"] {
        let pretty = get(&service, &format!("/v1/movies/{CREED}?{parameter}")).await;
        assert!(pretty.text().starts_with("{\n  \"title\": \"Creed\",\n"), "{}", pretty.text());
        assert_eq!(json(&pretty), json(&compact));
    }
    assert_eq!(compact.text().lines().count(), 1);
    for parameter in ["pretty=false", "pretty=0"] {
        assert_eq!(get(&service, &format!("/v1/movies/{CREED}?{parameter}")).await.body, compact.body);
    }
}

#[tokio::test]
async fn a_movie_of_the_course_is_answered_as_its_contract_has_it() {
    let service = Service::start("movies.json");
    let movie = json(&get(&service, &format!("/v1/course/movies/{CREED}")).await);
    assert_eq!(movie["title"], "Creed");
    let unknown = get(&service, "/v1/course/movies/unknown").await;
    assert_eq!((unknown.status(), unknown.text()), ("200", "{}\n"));
}

#[tokio::test]
async fn filters_orders_and_pages_are_query_parameters_in_either_spelling() {
    let service = Service::start("films.json");
    let mut titles = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!(
            "/v1/movies?filter.yearFrom=1954&filter.year_to=1954&filter.countries=Japan&filter.countries=France\
             &orderBy=title&page_size=3&pageToken={token}"
        );
        let response = get(&service, &path).await;
        assert_eq!(response.status(), "200", "{response:?}");
        let page = json(&response);
        for movie in page["movies"].as_array().unwrap() {
            assert_eq!(movie["year"], 1954);
            titles.push(movie["title"].as_str().unwrap().to_owned());
        }
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert!(titles.len() > 3 && titles.contains(&"Seven Samurai".to_owned()), "{titles:?}");
    assert!(titles.is_sorted(), "{titles:?}");
}

#[tokio::test]
async fn a_search_finds_movies_with_highlights_and_facets() {
    let service = Service::start("films.json");
    let response = get(&service, "/v1/movies:search?query=sevn+samur&facets=decades&pageSize=1").await;
    let page = json(&response);
    assert_eq!(page["hits"][0]["movie"]["title"], "Seven Samurai", "{page}");
    assert_eq!(page["hits"][0]["highlights"][0]["ranges"], json!([{ "end": 5 }, { "start": 6, "end": 13 }]));
    assert_eq!(page["facets"][0]["field"], "decades");
}

#[tokio::test]
async fn a_batch_has_the_movies_in_the_order_of_the_ids() {
    let service = Service::start("movies.json");
    let all = json(&get(&service, "/v1/movies").await);
    let ids: Vec<_> =
        all["movies"].as_array().unwrap().iter().map(|movie| movie["id"].as_str().unwrap()).collect();
    let query: Vec<_> = ids.iter().rev().map(|id| format!("ids={id}")).collect();
    let batch = json(&get(&service, &format!("/v1/movies:batchGet?{}", query.join("&"))).await);
    let found = batch["movies"].as_array().unwrap().iter().map(|movie| movie["id"].as_str().unwrap());
    assert_eq!(found.collect::<Vec<_>>(), ids.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_catalogue_says_what_the_caller_may_do() {
    let service = Service::start("movies.json");
    let catalog = json(&get(&service, "/v1/catalog").await);
    assert_eq!(catalog["movieCount"], "7", "64-bit numbers are text: {catalog}");
    assert_eq!((&catalog["store"], &catalog["readOnly"]), (&json!("json"), &json!(true)));
    assert!(catalog.get("canWrite").is_none());
}

#[tokio::test]
async fn the_health_of_the_service_is_told_on_the_same_port() {
    let service = Service::start("movies.json");
    let response = get(&service, "/healthz").await;
    assert_eq!((response.status(), response.text()), ("200", "serving\n"));
}

#[tokio::test]
async fn the_document_of_the_contract_is_served() {
    let service = Service::start("movies.json");
    let response = get(&service, "/openapi.json").await;
    assert_eq!((response.status(), response.text()), ("200", movie_proto::OPENAPI));
    let known = format!("GET /openapi.json HTTP/1.1\r\nif-none-match: {}", response.header("etag").unwrap());
    assert_eq!(exchange(service.address, &known, b"").await.status(), "304");
    for path in ["/openapi.json", "/healthz"] {
        let refused = exchange(service.address, &format!("POST {path} HTTP/1.1"), b"").await;
        assert_eq!((refused.status(), refused.header("allow")), ("405", Some("get, head, options")));
        let head = exchange(service.address, &format!("HEAD {path} HTTP/1.1"), b"").await;
        assert_eq!((head.status(), head.body.as_slice()), ("200", &b""[..]));
    }
}
