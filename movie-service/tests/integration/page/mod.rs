//! The page: its document, its assets, and the options for them.

mod assets;
mod document;
mod options;
mod refusals;

use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::databases::database;
use crate::support::http1::{Response, exchange, rest};
use crate::support::process::{Service, command};

/// Starts the service with further arguments.
fn start(arguments: &[&str]) -> Service {
    Service::run(command(&database("movies.json")).args(arguments))
}

/// Sends a request without a body; each of `headers` is a line.
async fn request(service: &Service, method: &str, path: &str, headers: &[&str]) -> Response {
    let head = [&[format!("{method} {path} HTTP/1.1").as_str()], headers].concat().join("\r\n");
    exchange(service.address, &head, b"").await
}

/// Sends bytes, and reads until the service closes the connection.
async fn send(service: &Service, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await
}

/// Reads a file of the committed build.
fn built(path: &str) -> Vec<u8> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist");
    std::fs::read(dist.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the paths of all assets but the icon, without their compressed variants.
fn built_assets() -> Vec<String> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist/assets");
    let names =
        std::fs::read_dir(dist).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| !matches!(name.rsplit('.').next(), Some("br" | "gz")));
    names.map(|name| format!("assets/{name}")).collect()
}

/// Returns the path of an asset with this file name extension, relative to the document that names it.
fn asset(extension: &str) -> String {
    let document = String::from_utf8(built("index.html")).unwrap();
    let paths = document.split('"').filter_map(|text| text.strip_prefix("./"));
    let mut paths = paths.filter(|path| path.starts_with("assets/") && path.ends_with(extension));
    paths.next().unwrap_or_else(|| panic!("no {extension} in {document}")).to_owned()
}
