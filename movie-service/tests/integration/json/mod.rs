//! JSON over HTTP.

mod browsers;
mod conditional;
mod parity;
mod reads;
mod refusals;
mod streams;
mod writes;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::http1::{Response, exchange};
use crate::support::process::{Service, command};

/// The id of "Creed" in `databases/movies.json`.
const CREED: &str = "267eedb8-0f5d-42d5-8f43-72426b9fb3e6";

/// Sends a GET request.
async fn get(service: &Service, path: &str) -> Response {
    exchange(service.address, &format!("GET {path} HTTP/1.1"), b"").await
}

/// Sends a request with a body in JSON, and with further headers.
async fn send(service: &Service, method_and_path: &str, headers: &[&str], body: &str) -> Response {
    let head = format!("{method_and_path} HTTP/1.1\r\ncontent-type: application/json");
    let head = [&[head.as_str()], headers].concat().join("\r\n");
    exchange(service.address, &head, body.as_bytes()).await
}

/// Parses the body of a response.
fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

/// Starts the service over an empty SQLite store, with anonymous writes. It has to be dropped before the folder.
fn writable() -> (Service, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut path = std::ffi::OsString::from("sqlite:");
    path.push(dir.path().join("movies.db"));
    (Service::run(command(path.as_ref()).arg("--allow-anonymous-writes")), dir)
}
