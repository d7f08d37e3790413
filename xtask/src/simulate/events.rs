//! A discrete-event simulation of nodes that poll one store. It has a fixed seed, so the same input gives the same output.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::bench::data::mixed;
use crate::bench::table::percentile;

/// Random numbers, which are the same for the same seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Returns a number between 0 and 1, both excluded.
    fn uniform(&mut self) -> f64 {
        self.0 += 1;
        let high = u32::try_from(mixed(self.0) >> 32).unwrap_or_default();
        (f64::from(high) + 0.5) / 4_294_967_296.0
    }

    /// Returns a whole number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.0 += 1;
        u32::try_from(((mixed(self.0) >> 32) * u64::from(end)) >> 32).unwrap_or_default()
    }

    /// Returns a time between two events of a Poisson process.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.uniform().ln()
    }
}

/// Equal servers, first come, first served.
struct Servers(BinaryHeap<Reverse<Time>>);

impl Servers {
    fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| Reverse(Time(0.0))).collect())
    }

    /// Returns when a service ends that is due at `arrival`. Arrivals come in the order of time.
    fn serve(&mut self, arrival: f64, service: f64) -> f64 {
        let free = self.0.pop().map_or(0.0, |Reverse(Time(free))| free);
        let end = free.max(arrival) + service;
        self.0.push(Reverse(Time(end)));
        end
    }
}

/// A time that can be compared: it is never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Nodes that poll, and the store. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polling {
    pub(super) nodes: u32,
    /// Time between two polls of a node.
    pub(super) interval: f64,
    /// Queries that the store serves at a time.
    pub(super) servers: usize,
    /// Time of the store for a poll, and for the read of new changes that follows if there are any.
    pub(super) poll: f64,
    pub(super) catch_up: f64,
    /// Time of a node to apply the changes of a read.
    pub(super) apply: f64,
    /// Transactions a second, their time in the store, and that from the start of a write to the commit.
    pub(super) transactions: f64,
    pub(super) transaction: f64,
    pub(super) commit: f64,
}

/// What a simulation shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Polls a second, of all nodes.
    pub(super) polls: f64,
    /// Median and 99th percentile of the time from the start of a write until another node serves it.
    pub(super) delays: [f64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Commit,
    Poll(u32),
    CatchUp(u32),
}

impl Polling {
    /// Simulates the nodes for this many seconds.
    ///
    /// A poll is due `interval` after the one before, or at once if that took longer, as tokio's interval with delayed ticks.
    pub(super) fn run(self, seconds: f64) -> Outcome {
        let mut random = Random(0x5eed);
        let mut events = BinaryHeap::new();
        for node in 0..self.nodes {
            events.push(Reverse((Time(random.uniform() * self.interval), Event::Poll(node))));
        }
        events.push(Reverse((Time(random.exponential(1.0 / self.transactions)), Event::Commit)));
        let mut servers = Servers::new(self.servers);
        // Times of commits, how many of them each node has seen, and when its last poll was due.
        let mut commits: Vec<f64> = Vec::new();
        let mut nodes = vec![(0, 0.0); self.nodes as usize];
        let (mut polls, mut delays) = (0_u32, Vec::new());
        while let Some(Reverse((Time(now), event))) = events.pop()
            && now < seconds
        {
            match event {
                Event::Commit => {
                    // A commit waits for the disk longer than it takes a server.
                    let served = servers.serve(now, self.transaction);
                    // The transaction reads what its node has not seen.
                    let (seen, _) = &mut nodes[random.below(self.nodes) as usize];
                    while let Some(committed) = commits.get(*seen).filter(|committed| **committed <= now) {
                        delays.push(now + self.catch_up + self.apply - committed + self.commit);
                        *seen += 1;
                    }
                    commits.push((now + self.commit).max(served));
                    events.push(Reverse((
                        Time(now + random.exponential(1.0 / self.transactions)),
                        Event::Commit,
                    )));
                }
                Event::Poll(node) => {
                    polls += 1;
                    let end = servers.serve(now, self.poll);
                    let (seen, due) = &mut nodes[node as usize];
                    *due = now;
                    let has_news = commits.get(*seen).is_some_and(|committed| *committed <= end - self.poll);
                    let next = if has_news { Event::CatchUp(node) } else { Event::Poll(node) };
                    let at = if has_news { end } else { end.max(now + self.interval) };
                    events.push(Reverse((Time(at), next)));
                }
                Event::CatchUp(node) => {
                    let end = servers.serve(now, self.catch_up) + self.apply;
                    let (seen, due) = &mut nodes[node as usize];
                    while let Some(committed) = commits.get(*seen).filter(|committed| **committed <= now) {
                        delays.push(end - committed + self.commit);
                        *seen += 1;
                    }
                    events.push(Reverse((Time(end.max(*due + self.interval)), Event::Poll(node))));
                }
            }
        }
        let delays = [50, 99].map(|hundredths| percentile(delays.iter().copied(), hundredths));
        Outcome { polls: f64::from(polls) / seconds, delays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::queue::Queue;

    /// Returns the mean wait of many arrivals, whose mean service is 1.
    fn mean_wait(servers: u32, utilisation: f64, is_exponential: bool) -> f64 {
        const ARRIVALS: u32 = 400_000;
        let (mut random, mut queue) = (Random(1), Servers::new(servers as usize));
        let (mut now, mut sum) = (0.0, 0.0);
        for _ in 0..ARRIVALS {
            now += random.exponential(1.0 / (utilisation * f64::from(servers)));
            let service = if is_exponential { random.exponential(1.0) } else { 1.0 };
            sum += queue.serve(now, service) - now - service;
        }
        sum / f64::from(ARRIVALS)
    }

    #[test]
    fn simulated_queues_wait_as_the_formulas_say() {
        for (servers, utilisation, is_exponential) in
            [(1, 0.5, true), (1, 0.8, true), (1, 0.7, false), (2, 0.8, true), (4, 0.7, true)]
        {
            let formula = Queue {
                servers: f64::from(servers),
                arrivals: utilisation * f64::from(servers),
                service: 1.0,
                variation: if is_exponential { 1.0 } else { 0.0 },
            };
            let ratio = mean_wait(servers, utilisation, is_exponential) / formula.mean_wait();
            assert!((0.95..1.05).contains(&ratio), "{servers} servers at {utilisation}: {ratio}");
        }
    }

    fn polling(nodes: u32, poll: f64) -> Polling {
        Polling {
            nodes,
            interval: 0.05,
            servers: 2,
            poll,
            catch_up: 0.0,
            apply: 0.0,
            transactions: 5.0,
            transaction: 0.0,
            commit: 0.0,
        }
    }

    #[test]
    fn the_delay_of_a_free_store_is_uniform_over_the_interval() {
        let Outcome { polls, delays: [p50, p99] } = polling(3, 0.0).run(600.0);
        assert!((59.0..61.0).contains(&polls), "{polls}");
        assert!((0.024..0.026).contains(&p50) && (0.049..0.05).contains(&p99), "{p50} {p99}");
    }

    #[test]
    fn an_overloaded_store_serves_polls_at_its_own_rate() {
        // 1,000 nodes want 20,000 polls a second, two servers can serve 2,000.
        let Outcome { polls, delays: [p50, _] } = polling(1000, 0.001).run(20.0);
        // Those that wait at the end count, too.
        assert!((1950.0..2060.0).contains(&polls), "{polls}");
        // A node then polls every half second, so a change waits a quarter of one, and a poll as long in the queue.
        assert!((0.2..0.8).contains(&p50), "{p50}");
    }

    #[test]
    fn a_simulation_repeats() {
        let [one, other] = [polling(7, 0.001).run(5.0), polling(7, 0.001).run(5.0)];
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }
}
