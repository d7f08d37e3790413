//! Readers and writers of both nodes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use super::nodes::Nodes;
use crate::{http, wait};

/// Readers and writers of each node.
const THREADS: u64 = 2;

/// Pause between the requests of a thread.
const PAUSE: Duration = Duration::from_millis(10);

/// A film of `databases/films.json`.
const READ: &str = "/v1/movies/tt0047478";

/// Numbers the written movies.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Threads that read and write.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    recorded: Mutex<Recorded>,
}

/// What happened so far.
#[derive(Default)]
struct Recorded {
    reads: usize,
    failed_reads: usize,
    writes: Vec<Write>,
}

/// A write that has ended.
struct Write {
    node: SocketAddr,
    id: String,
    began: Instant,
    ended: Instant,
    /// What the service said, if it did not acknowledge the write.
    refusal: Option<String>,
}

/// What happened, in short.
pub(super) struct Summary {
    reads: usize,
    pub(super) failed_reads: usize,
    acknowledged: usize,
    /// By reason.
    refused: Vec<(String, usize)>,
    /// The longest time without an acknowledged write, of the node for which it was longer.
    longest_gap: Duration,
}

impl Load {
    /// Starts reading and writing.
    pub(super) fn start(nodes: &Nodes) -> Self {
        let shared = Arc::<Shared>::default();
        let mut threads = Vec::new();
        for node in nodes.addresses {
            for _ in 0..THREADS {
                let reader = shared.clone();
                threads.push(thread::spawn(move || reader.read(node)));
                let writer = shared.clone();
                threads.push(thread::spawn(move || writer.write(node)));
            }
        }
        Self { shared, threads }
    }

    /// Waits until each node has acknowledged a write that began after this call.
    pub(super) fn wait_for_writes(&self, limit: Duration) -> Result<()> {
        let after = Instant::now();
        wait::until("writes through both nodes", limit, || {
            let writes = &self.shared.recorded().writes;
            let later = writes.iter().filter(|write| write.refusal.is_none() && write.began > after);
            let nodes = later.map(|write| write.node).collect::<BTreeSet<_>>();
            ensure!(nodes.len() == 2, "only {nodes:?} have acknowledged one");
            Ok(())
        })
    }

    /// Ends the threads; returns what happened from `began` on, and the ids of all acknowledged writes.
    pub(super) fn stop(self, began: Instant) -> Result<(Summary, Vec<String>)> {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a reader or a writer panicked"))?;
        }
        let recorded = &*self.shared.recorded();
        let acknowledged = recorded.writes.iter().filter(|write| write.refusal.is_none());
        let ids = acknowledged.map(|write| write.id.clone()).collect::<Vec<_>>();
        Ok((recorded.summary(began, ids.len()), ids))
    }
}

impl Shared {
    fn recorded(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, node: SocketAddr) {
        while !self.ended.load(Ordering::Relaxed) {
            let is_read = http::get(node, READ).is_ok();
            let mut recorded = self.recorded();
            recorded.reads += 1;
            recorded.failed_reads += usize::from(!is_read);
            drop(recorded);
            thread::sleep(PAUSE);
        }
    }

    fn write(&self, node: SocketAddr) {
        while !self.ended.load(Ordering::Relaxed) {
            let id = format!("written-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
            let body = json!({ "id": id, "title": "A movie written during a failover" }).to_string();
            let (began, head) = (Instant::now(), "POST /v1/movies\r\ncontent-type: application/json");
            let refusal = match http::exchange(node, head, &body) {
                Ok((201, _)) => None,
                Ok((_, body)) => Some(reason(&body)),
                Err(error) => Some(error.to_string()),
            };
            self.recorded().writes.push(Write { node, id, began, ended: Instant::now(), refusal });
            thread::sleep(PAUSE);
        }
    }
}

impl Recorded {
    fn summary(&self, began: Instant, acknowledged: usize) -> Summary {
        let mut refused = Vec::<(String, usize)>::new();
        for refusal in self.writes.iter().filter_map(|write| write.refusal.as_ref()) {
            match refused.iter_mut().find(|(reason, _)| reason == refusal) {
                Some((_, count)) => *count += 1,
                None => refused.push((refusal.clone(), 1)),
            }
        }
        let nodes: BTreeSet<_> = self.writes.iter().map(|write| write.node).collect();
        let longest_gap =
            nodes.into_iter().map(|node| self.longest_gap(node, began)).max().unwrap_or_default();
        Summary { reads: self.reads, failed_reads: self.failed_reads, acknowledged, refused, longest_gap }
    }

    /// Returns the longest time between two acknowledged writes of a node, of which the later one came after `began`.
    fn longest_gap(&self, node: SocketAddr, began: Instant) -> Duration {
        let acknowledged = self.writes.iter().filter(|write| write.node == node && write.refusal.is_none());
        let times: Vec<_> = acknowledged.map(|write| write.ended).collect();
        let gaps = times.windows(2).filter(|pair| pair[1] > began).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, failed_reads, acknowledged, refused, longest_gap } = self;
        write!(
            f,
            "{:.1} s without writes; {reads} reads, {failed_reads} failed; ",
            longest_gap.as_secs_f64()
        )?;
        write!(f, "{acknowledged} writes acknowledged")?;
        for (reason, count) in refused {
            write!(f, ", {count} {reason}")?;
        }
        Ok(())
    }
}

/// Returns the reason of an error in JSON.
fn reason(body: &str) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    error["error"]["details"][0]["reason"].as_str().unwrap_or("other").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_that_of_a_node_after_the_beginning() {
        let (began, node) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let mut recorded = Recorded::default();
        for (millis, refusal) in
            [(0, None), (10, None), (20, Some("STORE_UNAVAILABLE")), (310, None), (320, None)]
        {
            let ended = began + Duration::from_millis(millis);
            recorded.writes.push(Write {
                node,
                id: String::new(),
                began,
                ended,
                refusal: refusal.map(str::to_owned),
            });
        }
        assert_eq!(recorded.longest_gap(node, began), Duration::from_millis(300));
        assert_eq!(recorded.longest_gap(node, began + Duration::from_millis(315)), Duration::from_millis(10));
        let summary = recorded.summary(began, 4).to_string();
        assert_eq!(
            summary,
            "0.3 s without writes; 0 reads, 0 failed; 4 writes acknowledged, 1 STORE_UNAVAILABLE"
        );
    }

    #[test]
    fn the_reason_of_an_error_is_in_its_first_detail() {
        assert_eq!(reason(r#"{"error":{"details":[{"reason":"STORE_READ_ONLY"}]}}"#), "STORE_READ_ONLY");
        assert_eq!(reason("<html>"), "other");
    }
}
