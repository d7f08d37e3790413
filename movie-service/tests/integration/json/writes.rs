//! Movies that are created, updated, deleted and imported.

use serde_json::json;

use super::{get, json, send, writable};
use crate::support::http1::exchange;

#[tokio::test]
async fn a_movie_is_created_read_updated_and_deleted() {
    let (service, _dir) = writable();
    let created =
        send(&service, "POST /v1/movies", &[], r#"{"title": "Alien", "year": 1979, "rating_count": "9"}"#)
            .await;
    assert_eq!(created.status(), "201", "{created:?}");
    let movie = json(&created);
    assert_eq!(movie["ratingCount"], "9");
    let path = format!("/v1/movies/{}", movie["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!(created.header("etag"), movie["etag"].as_str());
    assert_eq!(json(&get(&service, &path).await), movie);

    let updated = send(&service, &format!("PATCH {path}"), &[], r#"{"genres": ["Horror"]}"#).await;
    assert_eq!(updated.status(), "200", "{updated:?}");
    assert_eq!((&json(&updated)["genres"], &json(&updated)["year"]), (&json!(["Horror"]), &json!(1979)));

    let cleared =
        send(&service, &format!("PATCH {path}"), &[], r#"{"genres": [], "ratingCount": null}"#).await;
    let movie = json(&cleared);
    assert!(movie.get("genres").is_none() && movie.get("ratingCount").is_none(), "{movie}");
    assert_eq!((&movie["title"], &movie["year"]), (&json!("Alien"), &json!(1979)));

    let masked = send(&service, &format!("PATCH {path}?updateMask=year,original_title"), &[], "{}").await;
    assert!(json(&masked).get("year").is_none(), "{masked:?}");

    let spaced =
        send(&service, &format!("PATCH {path}?updateMask=year,+posterUri"), &[], r#"{"year": 1981}"#).await;
    assert_eq!(json(&spaced)["year"], 1981, "{spaced:?}");
    for name in ["titel", "PosterUri", "poster__uri", "_title_"] {
        let refused = send(&service, &format!("PATCH {path}?updateMask={name}"), &[], "{}").await;
        let message = json(&refused)["error"]["message"].take();
        let message = message.as_str().unwrap();
        assert!(message.starts_with("updateMask: expected `*` or some of title, rating, "), "{message}");
        assert!(message.ends_with(&format!("; there is no field `{name}`")), "{message}");
    }

    let unmasked = send(&service, &format!("PATCH {path}?updateMask="), &[], r#"{"year": 1980}"#).await;
    assert_eq!(json(&unmasked)["year"], 1980, "an empty mask counts as none");

    let deleted = send(&service, &format!("DELETE {path}"), &[], "").await;
    assert_eq!((deleted.status(), deleted.text()), ("200", "{}\n"));
    assert_eq!(get(&service, &path).await.status(), "404");
}

#[tokio::test]
async fn an_id_with_any_characters_is_found_at_its_location() {
    let (service, _dir) = writable();
    for id in ["a/b", "1:2", "50%", "é ü", "...", "?#", "+"] {
        let body = json!({ "id": id, "title": "A title" }).to_string();
        let created = send(&service, "POST /v1/movies", &[], &body).await;
        assert_eq!(created.status(), "201", "{id}: {created:?}");
        // The test reads headers in lower case; percent-encoding is the same in either.
        let location = created.header("location").unwrap().to_owned();
        assert_eq!(json(&get(&service, &location).await)["id"], id, "{location}");
    }
    // Clients would resolve it to another path.
    let created = send(&service, "POST /v1/movies", &[], r#"{"id": "..", "title": "A title"}"#).await;
    assert_eq!((created.status(), created.header("location")), ("201", None));
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_can_be_sent_again() {
    let (service, _dir) = writable();
    let create = async |headers: &[&str], query: &str, title: &str| {
        send(&service, &format!("POST /v1/movies{query}"), headers, &format!(r#"{{"title": "{title}"}}"#))
            .await
    };
    let first = create(&["idempotency-key: 7"], "", "Alien").await;
    let again = create(&["idempotency-key: 7"], "", "Alien").await;
    assert_eq!((first.status(), json(&first)), ("201", json(&again)));
    let same = create(&["idempotency-key: 7"], "?requestId=7", "Alien").await;
    assert_eq!(json(&same), json(&first));
    let different = create(&["idempotency-key: 7"], "?requestId=8", "Alien").await;
    assert_eq!(different.status(), "400", "{different:?}");
    let other = create(&["idempotency-key: 7"], "", "Aliens").await;
    assert_eq!(json(&other)["error"]["details"][0]["reason"], "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn lines_are_imported_as_they_come() {
    let (service, _dir) = writable();
    let line = |number| json!({ "id": format!("{number}"), "title": "A title" }).to_string() + "\n";
    let lines: String = (0..2_000).map(line).collect();
    let head = "POST /v1/movies:import HTTP/1.1\r\ncontent-type: application/x-ndjson";
    // Blank lines, line ends of Windows, and a last line without an end.
    let body = format!("\n{lines}\r\n{{\"id\": \"last\", \"title\": \"Last\"}}\r\n{{\"id\": \"x\"}}");
    let response = exchange(service.address, head, body.as_bytes()).await;
    assert_eq!(response.status(), "200", "{response:?}");
    let outcome = json(&response);
    assert_eq!((&outcome["created"], &outcome["rejected"]), (&json!("2001"), &json!("1")), "{outcome}");
    assert_eq!(outcome["rejections"][0]["id"], "x");
    assert_eq!(json(&get(&service, "/v1/catalog").await)["movieCount"], "2001");
}

#[tokio::test]
async fn a_line_that_is_not_json_is_named() {
    let (service, _dir) = writable();
    let head = "POST /v1/movies:import HTTP/1.1\r\ncontent-type: application/x-ndjson";
    let body = "{\"id\": \"1\", \"title\": \"One\"}\n\n{\"id\": \"2\", \"year\": \"soon\"}\n";
    let response = exchange(service.address, head, body.as_bytes()).await;
    assert_eq!(response.status(), "400", "{response:?}");
    let violation = &json(&response)["error"]["details"][1]["fieldViolations"][0];
    assert_eq!(violation["field"], "year", "{violation}");
    let description = violation["description"].as_str().unwrap();
    assert_eq!(
        description,
        "line 3: expected a whole number from -2147483648 to 2147483647, at column 26; the lines before may have been imported"
    );
    for (body, expected) in [
        (
            "{\n  \"id\": \"1\",\n",
            "line 1: expected a whole movie in JSON on one line: EOF while parsing an object, at column 1",
        ),
        ("[{\"id\": \"1\"}]\n", "line 1: expected a whole movie in JSON on one line"),
        (
            "[\n{\"id\": \"1\"}]\n",
            "line 1: expected a whole movie in JSON on one line: EOF while parsing a list, at column 1",
        ),
    ] {
        let response = exchange(service.address, head, body.as_bytes()).await;
        let violation = &json(&response)["error"]["details"][1]["fieldViolations"][0];
        let description = violation["description"].as_str().unwrap();
        assert!(description.starts_with(expected) && !description.contains("imported"), "{description}");
        assert_eq!(violation["field"], "body");
    }
    let twice = exchange(service.address, head, br#"{"id": "1", "title": "One", "id": "2"}"#).await;
    let violation = &json(&twice)["error"]["details"][1]["fieldViolations"][0];
    assert_eq!(violation["field"], "id", "{twice:?}");
}
