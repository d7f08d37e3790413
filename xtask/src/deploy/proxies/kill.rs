//! Calls through proxies to a node that is killed before it replies: no proxy may make them reach the other node.

use std::collections::BTreeMap;
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::TIMEOUT;
use super::checks;
use super::load::{self, WRITERS, Writes};
use super::nodes::Nodes;
use super::proxy::Proxy;
use crate::program::Program;

/// Writes of each kind through each proxy that wait when a node is killed, and time to send them.
const WRITES: usize = 5;
const SENDING_TIME: Duration = Duration::from_millis(1_500);

/// Calls of each kind through each proxy while a node is suspended. They should be sent before the proxies notice it.
const CALLS: usize = 4;

/// When no call has ended for this time, the node that is not suspended has replied to all that it has.
const QUIET_TIME: Duration = Duration::from_secs(2);

/// Deletions through each proxy while a node is killed, and the pause between them: nginx tries that node again after a second.
const DELETIONS: usize = 8;
const DELETION_PAUSE: Duration = Duration::from_millis(400);

/// The kind of calls that delete a movie.
const DELETION: &str = "DELETE";

/// A call that has ended.
struct Ended {
    /// The proxy, and how the call was sent.
    kind: String,
    writes: Writes,
    /// A node has replied.
    replied: bool,
    /// When the suspended node was gone.
    late: bool,
}

/// Checks that nothing that a node had received before it was killed is sent again, by a proxy or because of what it says.
///
/// # Errors
///
/// If something does not run, or is sent again.
pub(super) fn check(proxies: &[Proxy], nodes: &mut Nodes) -> Result<()> {
    for (kind, count) in until_all(|| kill_with_writes(proxies, nodes))? {
        ensure!(count > 0, "{kind}: writes that a node has received are sent again");
        println!("proxies: {kind}: {count} writes were with a node that was killed, and not sent again");
    }
    for (kind, count) in until_all(|| kill_suspended(proxies, nodes))? {
        ensure!(count > 0, "{kind}: no call was with the suspended node");
        println!(
            "proxies: {kind}: {count} calls were with a suspended node that was killed, and not sent again"
        );
    }
    Ok(())
}

/// Counts by kind, in up to five attempts: it is unlikely, but possible, that all calls of a kind go to the other node.
fn until_all(
    mut attempt: impl FnMut() -> Result<BTreeMap<String, usize>>,
) -> Result<BTreeMap<String, usize>> {
    const ATTEMPTS: usize = 5;
    let mut sum = attempt()?;
    for _ in 1..ATTEMPTS {
        if sum.values().all(|count| *count > 0) {
            break;
        }
        for (kind, count) in attempt()? {
            *sum.entry(kind).or_default() += count;
        }
    }
    Ok(sum)
}

/// Kills one of two nodes while both have writes that wait for the database. Returns how many failed, by proxy and kind.
///
/// A proxy cannot know whether the node made those writes, so it must not send them to the other node.
fn kill_with_writes(proxies: &[Proxy], nodes: &mut Nodes) -> Result<BTreeMap<String, usize>> {
    checks::each(proxies, reach_both)?;
    let before = load::state(&nodes.store)?;
    let hold = nodes.store.hold_writes()?;
    let writes = thread::scope(|scope| {
        let numbers = 0..WRITES * WRITERS.len();
        let writers = proxies.iter().flat_map(|proxy| {
            let write =
                move |number: usize| scope.spawn(move || WRITERS[kind(number, WRITERS.len())].write(proxy));
            numbers.clone().map(write)
        });
        let writers: Vec<_> = writers.collect();
        thread::sleep(SENDING_TIME);
        nodes.kill_one()?;
        writers.into_iter().map(join).sum::<Result<Writes>>()
    })?;
    hold.finish(TIMEOUT)?;
    load::check_writes([&writes].into_iter(), &nodes.store, before)?;
    let mut counts = BTreeMap::new();
    for proxy in proxies {
        for writer in WRITERS {
            let begin = writer.titles(proxy);
            let failed = writes.failed.iter().filter(|title| title.starts_with(&begin)).count();
            counts.insert(format!("{}, {writer:?}", proxy.name), failed);
        }
    }
    Ok(counts)
}

/// Suspends one of two nodes, sends calls, and kills the node when the other has replied to all that it got. Returns how many calls
/// were with the killed node, by proxy and kind: all of them must fail.
///
/// Then deletes while the node is gone: a connection that fails must not make a call fail.
fn kill_suspended(proxies: &[Proxy], nodes: &mut Nodes) -> Result<BTreeMap<String, usize>> {
    checks::each(proxies, reach_both)?;
    let before = load::state(&nodes.store)?;
    // So that the other node has as many calls, and the proxies balance them.
    let hold = nodes.store.hold_writes()?;
    nodes.suspend_one()?;
    let (gone, count) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let ended = thread::scope(|scope| {
        let mut calls = Vec::new();
        for number in 0..CALLS * (WRITERS.len() + 1) {
            for proxy in proxies {
                calls.push(scope.spawn(move || {
                    let mut ended = call(proxy, number)?;
                    ended.late = gone.load(Ordering::SeqCst);
                    count.fetch_add(1, Ordering::SeqCst);
                    anyhow::Ok(ended)
                }));
            }
        }
        let waited = hold.finish(TIMEOUT).map(|_| wait_until_quiet(count));
        gone.store(true, Ordering::SeqCst);
        let killed = nodes.kill_one_during(|| checks::each(proxies, delete_through));
        let ended = calls.into_iter().map(join).collect::<Result<Vec<_>>>();
        waited.and(killed).and(ended)
    })?;
    let mut counts = BTreeMap::new();
    for Ended { kind, replied, late, .. } in &ended {
        ensure!(
            !(*late && *replied),
            "{kind}: a call that a node has received before it was killed is sent again"
        );
        *counts.entry(kind.clone()).or_default() += usize::from(*late);
    }
    load::check_writes(ended.iter().map(|ended| &ended.writes), &nodes.store, before)?;
    Ok(counts)
}

/// Writes until the proxy has reached both nodes: nginx sends a node that has failed one call in a second until it gets a reply.
fn reach_both(proxy: &Proxy) -> Result<()> {
    const ROUNDS: usize = 4;
    for writer in iter::repeat_n(WRITERS, ROUNDS).flatten() {
        let attempt = writer.write(proxy)?;
        ensure!(attempt.failed.is_empty(), "{writer:?}: not written: {:?}", attempt.failed);
    }
    Ok(())
}

/// Chooses one of some kinds by the number of a call, in another order in each round: a proxy that alternates between the nodes
/// would otherwise send all calls of a kind to the same one.
fn kind(number: usize, kinds: usize) -> usize {
    (number + number / kinds) % kinds
}

/// Makes one call; its number chooses the kind.
fn call(proxy: &Proxy, number: usize) -> Result<Ended> {
    let name = |kind: String| format!("{}, {kind}", proxy.name);
    let Some(writer) = WRITERS.get(kind(number, WRITERS.len() + 1)) else {
        let (writes, replied) = (Writes::default(), delete(proxy)?.is_none());
        return Ok(Ended { kind: name(DELETION.to_owned()), writes, replied, late: false });
    };
    let attempt = writer.write(proxy)?;
    let replied = !attempt.acknowledged.is_empty();
    Ok(Ended { kind: name(format!("{writer:?}")), writes: attempt, replied, late: false })
}

/// Deletes a movie that does not exist. Returns the response if it is not that of a node.
fn delete(proxy: &Proxy) -> Result<Option<String>> {
    let mut curl = proxy.curl("--http1.1", "/v1/movies/nothing");
    let response = Program::start(curl.args(["--request", "DELETE"]))?.finish(TIMEOUT)?.stdout;
    Ok((!response.starts_with("HTTP/1.1 404")).then_some(response))
}

/// Checks that a node replies to each deletion.
fn delete_through(proxy: &Proxy) -> Result<()> {
    for _ in 0..DELETIONS {
        let refused = delete(proxy)?;
        ensure!(refused.is_none(), "not deleted while one node is gone: {refused:?}");
        thread::sleep(DELETION_PAUSE);
    }
    Ok(())
}

/// Waits until no call has ended for a while.
fn wait_until_quiet(count: &AtomicUsize) {
    let (mut last, mut since) = (count.load(Ordering::SeqCst), Instant::now());
    while since.elapsed() < QUIET_TIME {
        thread::sleep(Duration::from_millis(50));
        let now = count.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a call panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_of_calls_has_all_kinds_in_another_order() {
        let kinds: Vec<_> = (0..9).map(|number| kind(number, 3)).collect();
        assert_eq!(kinds, [0, 1, 2, 1, 2, 0, 2, 0, 1]);
    }
}
