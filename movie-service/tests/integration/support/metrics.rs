//! A service with metrics, and its metrics page.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{Service, command};

/// Returns the command that runs the service with metrics on a free port.
pub(crate) fn with_metrics(database: &Path) -> Command {
    let mut command = command(database);
    command.args(["--metrics", "127.0.0.1:0"]);
    command
}

/// Runs the service; also returns the address of its metrics.
pub(crate) fn run(command: &mut Command) -> (Service, SocketAddr) {
    const PART: &str = "metrics on http://";
    let mut service = Service::run(command);
    let mut early = service.early_lines.iter();
    let line = match early.find(|line| line.contains(PART)) {
        Some(line) => line.clone(),
        None => service.log_until(PART).pop().unwrap(),
    };
    let (_, address) = line.trim_end().split_once(PART).unwrap();
    let address = address.strip_suffix("/metrics").unwrap().parse().unwrap();
    (service, address)
}

/// Returns the HTTP status and the body of a page.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, text) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

/// Waits until the metrics have all of these lines: a call is counted after the caller has its response.
pub(crate) async fn assert_shows(address: SocketAddr, lines: &[&str]) {
    let mut page = String::new();
    for _ in 0..3_000 {
        page = get(address, "/metrics").await.1;
        if lines.iter().all(|line| page.lines().any(|found| found == *line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all of {lines:#?} in:\n{page}");
}
