//! The threads that serve connections.

use std::fs;

use movie_proto::MovieId;

use crate::support::process::Service;
use crate::support::skipped::skip;

#[tokio::test]
async fn two_connections_are_served_by_two_workers() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return skip("this machine has one core");
    }
    let service = Service::start("movies.json");
    let mut stubs = [service.stub().await, service.stub().await];
    for _ in 0..100 {
        for stub in &mut stubs {
            stub.get_movie_by_id(MovieId::default()).await.unwrap();
        }
    }
    // A worker sleeps between the calls of its connection, so it switches context for each.
    let busy = fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap().filter(|task| {
        let status = format!("{}/status", task.as_ref().unwrap().path().display());
        let name = fs::read_to_string(&status).unwrap();
        name.starts_with("Name:\tworker-") && figure(&status, "voluntary_ctxt_switches") >= 50
    });
    assert_eq!(busy.count(), 2);
}

/// Returns a field of a `status` file of `/proc`.
fn figure(path: &str, name: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}
