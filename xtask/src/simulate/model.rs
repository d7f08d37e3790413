//! The model: what a system asks of each resource, and when it is exhausted.

use super::costs::{self, Cost};
pub(super) use super::events::Outcome;
use super::events::Polling;
use super::queue::{self, Queue};
use super::system::{Axis, System};

/// A resource: what it is called, its unit, and how much of it is asked for and there is.
pub(super) struct Resource {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) demand_and_capacity: fn(&System) -> [f64; 2],
}

/// Megabytes of a gigabit.
const MEGABYTES_A_GIGABIT: f64 = 1e9 / 8.0 / 1e6;

/// Movies of `databases/films.json`, with which [`costs::SEARCH_FILMS`] is measured.
const FILMS: f64 = 17_470.0;

/// The least factor of growth that is looked at: a resource that is exhausted below it is exhausted whatever the growth.
const MIN_FACTOR: f64 = 1e-6;

/// Factors up to this one count as [`MIN_FACTOR`].
pub(super) const NO_GROWTH: f64 = 10.0 * MIN_FACTOR;

/// Bytes of the frame headers of a response: HEADERS, DATA and trailers (RFC 9113, §4.1).
const FRAME_BYTES: f64 = 9.0;

/// Movies of a page, of a search and of a batch.
const PAGE_MOVIES: f64 = 50.0;
const HITS: f64 = 10.0;
const BATCH_MOVIES: f64 = 100.0;

/// Connections of a node to the store: the writer's and the follower's.
const CONNECTIONS: f64 = 2.0;

/// Commands of a transaction, at most (`MAX_BATCH_COMMANDS` of the service).
const MAX_BATCH: f64 = 1024.0;

pub(super) const RESOURCES: [Resource; 11] = [
    Resource {
        name: "node: CPU",
        unit: "cores",
        demand_and_capacity: |system| [system.node_cpu(), system.cores],
    },
    Resource {
        name: "node: search thread",
        unit: "threads",
        demand_and_capacity: |system| [system.search_queue().utilisation(), 1.0],
    },
    Resource {
        name: "node: memory, while all movies are loaded again",
        unit: "GB",
        demand_and_capacity: |system| [system.memory_loading() / 1e9, system.memory],
    },
    Resource {
        name: "node: network, sent",
        unit: "MB/s",
        demand_and_capacity: |system| [system.node_bytes() / 1e6, system.network * MEGABYTES_A_GIGABIT],
    },
    Resource {
        name: "node: time of a start",
        unit: "s",
        demand_and_capacity: |system| [system.start_time(), system.start],
    },
    Resource {
        name: "store: CPU",
        unit: "cores",
        demand_and_capacity: |system| [system.store_cpu(), system.store_cores],
    },
    Resource {
        name: "store: polls",
        unit: "/s",
        demand_and_capacity: |system| {
            [system.all_polls(), system.store_cores / system.scaled(costs::POLL_STORE)]
        },
    },
    Resource {
        name: "store: connections",
        unit: "",
        demand_and_capacity: |system| [system.nodes * CONNECTIONS, system.store_connections],
    },
    Resource {
        name: "store: writes",
        unit: "/s",
        demand_and_capacity: |system| [system.writes, system.max_writes()],
    },
    Resource {
        name: "store: network, changes to all nodes",
        unit: "MB/s",
        demand_and_capacity: |system| {
            [system.nodes * system.writes * system.change_bytes / 1e6, system.network * MEGABYTES_A_GIGABIT]
        },
    },
    Resource {
        name: "machine: CPU of all programs",
        unit: "cores",
        demand_and_capacity: |system| {
            let cores = if system.machine_cores > 0.0 { system.machine_cores } else { f64::INFINITY };
            [system.nodes * system.node_cpu() + system.store_cpu() + system.other_cores, cores]
        },
    },
];

/// Work that costs less for each call the busier its cores are: a call that finds its core idle wakes it.
struct Batched {
    rate: f64,
    alone: f64,
    busy: f64,
}

impl Batched {
    /// Returns the CPU time a second of this work and `further` work, on some cores.
    ///
    /// Poisson arrivals find a core without work of this program with the probability 1 − u, where u is its utilisation. So a call
    /// costs busy + (1 − u) · (alone − busy), and u is the solution of a linear equation. At u = 1 each call costs `busy`.
    fn cpu(&self, further: f64, cores: f64) -> f64 {
        let wake = self.alone - self.busy;
        let utilisation = (self.rate * self.alone + further) / (cores + self.rate * wake);
        self.rate * (self.busy + (1.0 - utilisation).max(0.0) * wake) + further
    }
}

impl System {
    /// Returns the factor of growth at which a resource is exhausted; infinite if never.
    pub(super) fn limit(&self, resource: &Resource, axis: Axis) -> f64 {
        let is_within = |factor| {
            let [demand, capacity] = (resource.demand_and_capacity)(&self.grown(axis, factor));
            demand <= capacity
        };
        let (mut low, mut high) = (MIN_FACTOR, 1e9_f64);
        if is_within(high) {
            return f64::INFINITY;
        }
        for _ in 0..80 {
            let middle = (low * high).sqrt();
            *(if is_within(middle) { &mut low } else { &mut high }) = middle;
        }
        low
    }

    /// Returns a CPU time or rate on this machine.
    fn scaled(&self, cost: Cost) -> f64 {
        cost.value / self.speed
    }

    /// Returns the transactions a second, and the time of one. Writes that arrive during one share the next.
    pub(super) fn transactions(&self) -> [f64; 2] {
        let (mut a_write, mut time) = (1.0, self.commit / 1e3);
        for _ in 0..50 {
            a_write = queue::transactions_a_write(self.writes * time);
            let further = (1.0 / a_write).min(MAX_BATCH) - 1.0;
            time = self.commit / 1e3 + further / (costs::WRITES_A_SECOND.value * self.speed);
        }
        [self.writes * a_write, time]
    }

    fn max_writes(&self) -> f64 {
        let time = self.commit / 1e3 + MAX_BATCH / (costs::WRITES_A_SECOND.value * self.speed);
        MAX_BATCH / time
    }

    /// Returns the CPU time a second of the writes, of which alone and among 256 writers each costs this.
    fn writes_cpu(&self, alone: Cost, batched: Cost) -> f64 {
        let [transactions, _] = self.transactions();
        let shared = 1.0 / costs::WRITES_A_TRANSACTION.value;
        let transaction = (alone.value - batched.value) / (1.0 - shared);
        (transactions * transaction + self.writes * (alone.value - transaction)) / self.speed
    }

    /// Returns the transactions a second that the store commits.
    pub(super) fn commits(&self) -> f64 {
        /// Looks of a node for changes that are old enough to be removed, a second.
        const COMPACTIONS: f64 = 0.2;
        let [transactions, _] = self.transactions();
        // A read of changes is followed by one that finds none.
        self.nodes * (self.polls + 2.0 * self.reads() + COMPACTIONS) + transactions
    }

    /// Returns how often a second a node reads the changes of others: at the polls that find some.
    pub(super) fn reads(&self) -> f64 {
        // A poll finds some if there were transactions since the poll before, and the latest was that of another: in its own, a node
        // reads all changes.
        let [transactions, _] = self.transactions();
        let others = 1.0 - 1.0 / self.nodes;
        self.polls * others * (1.0 - (-transactions / self.polls).exp())
    }

    fn all_polls(&self) -> f64 {
        self.nodes * self.polls
    }

    fn search_time(&self) -> f64 {
        let [films, million] = [costs::SEARCH_FILMS, costs::SEARCH_MILLION].map(|cost| self.scaled(cost));
        films + (million - films) * (self.movies - FILMS) / (1e6 - FILMS)
    }

    pub(super) fn search_queue(&self) -> Queue {
        // A log-normal time with these percentiles: the 99th is 2.326 deviations from the median.
        let deviation = (costs::SEARCH_P99.value / costs::SEARCH_P50.value).ln() / 2.326;
        let variation = (deviation * deviation).exp() - 1.0;
        Queue { servers: 1.0, arrivals: self.searches / self.nodes, service: self.search_time(), variation }
    }

    pub(super) fn page_queue(&self) -> Queue {
        let service = self.scaled(costs::PAGE) * self.movies / 1e6;
        Queue { servers: self.cores, arrivals: self.pages / self.nodes, service, variation: 0.0 }
    }

    /// Returns the CPU time a second of a node.
    pub(super) fn node_cpu(&self) -> f64 {
        let others = 1.0 - 1.0 / self.nodes;
        let work = self.pages * self.page_queue().service
            + self.searches * self.search_time()
            + self.batches * BATCH_MOVIES * self.scaled(costs::BATCHED_MOVIE)
            + self.writes_cpu(costs::WRITE_NODE_ALONE, costs::WRITE_NODE)
            + self.writes * self.watchers * self.scaled(costs::DELIVERY);
        let store = self.polls * self.scaled(costs::POLL_NODE)
            + self.reads() * self.scaled(costs::READ_NODE)
            + self.writes * others * self.scaled(costs::CHANGE_NODE);
        self.calls_of_node().cpu(work / self.nodes + store, self.cores)
    }

    fn calls_of_node(&self) -> Batched {
        let rate = (self.calls + self.batches) / self.nodes;
        let [alone, busy] = [costs::CALL_ALONE, costs::CALL].map(|cost| self.scaled(cost));
        // A burst wakes its core once.
        Batched { rate, alone: busy + (alone - busy) / self.burst, busy }
    }

    /// Returns the CPU time a second of the store.
    pub(super) fn store_cpu(&self) -> f64 {
        let other =
            self.scaled(costs::STORE_IDLE) + self.writes_cpu(costs::WRITE_STORE_ALONE, costs::WRITE_STORE);
        let read = self.reads() / self.polls;
        let polls = Batched {
            rate: self.all_polls(),
            alone: self.scaled(costs::POLL_STORE_ALONE) + read * self.scaled(costs::READ_STORE_ALONE),
            busy: self.scaled(costs::POLL_STORE) + read * self.scaled(costs::READ_STORE),
        };
        polls.cpu(other, self.store_cores)
    }

    /// Returns the memory of a node.
    pub(super) fn memory_idle(&self) -> f64 {
        let program = costs::MEMORY_PROGRAM.value + costs::MEMORY_LOG.value;
        let movie = (costs::MEMORY_ALL_FIELDS.value - program) / 1e6 + costs::MEMORY_SEARCH.value;
        program + self.movies * movie + self.watchers / self.nodes * costs::MEMORY_WATCHER.value
    }

    /// Returns the memory of a node while it loads all movies again, when both versions are in memory.
    fn memory_loading(&self) -> f64 {
        self.memory_idle() * costs::MEMORY_RELOAD.value / costs::MEMORY_LISTED.value
    }

    fn node_bytes(&self) -> f64 {
        let movies = self.pages * PAGE_MOVIES + self.searches * HITS + self.batches * BATCH_MOVIES;
        let deliveries = self.writes * self.watchers * (self.change_bytes + FRAME_BYTES);
        let calls = self.calls * (costs::MOVIE_BYTES.value + 3.0 * FRAME_BYTES);
        (calls + movies * self.change_bytes + deliveries) / self.nodes
    }

    fn start_time(&self) -> f64 {
        self.movies * self.scaled(costs::START)
    }

    /// Returns the queue of one worker: each core has a thread with connections of its own, so a node is one queue a core.
    pub(super) fn worker_queue(&self) -> Queue {
        let calls = self.calls_of_node();
        let idle = (1.0 - self.node_cpu() / self.cores).max(0.0);
        let call = calls.busy + idle * (calls.alone - calls.busy);
        let batch = call + BATCH_MOVIES * self.scaled(costs::BATCHED_MOVIE);
        let share = self.batches / (self.calls + self.batches).max(f64::MIN_POSITIVE);
        let service = call * (1.0 - share) + batch * share;
        let square = call * call * (1.0 - share) + batch * batch * share;
        let variation = square / (service * service) - 1.0;
        Queue { servers: 1.0, arrivals: calls.rate / self.cores, service, variation }
    }

    /// Returns the median and the 99th percentile of the latency of a call, in seconds: that of an idle service, and the wait.
    pub(super) fn latency(&self) -> [f64; 2] {
        [0.5, 0.99].map(|share| self.scaled(costs::LATENCY) + self.worker_queue().wait_percentile(share))
    }

    /// Simulates the polls of the nodes.
    pub(super) fn delays(&self) -> Outcome {
        /// Polls that are simulated, about.
        const POLLS: f64 = 400_000.0;
        let [transactions, time] = self.transactions();
        let share = if self.machine_cores > 0.0 {
            let used = self.nodes * self.node_cpu() + self.store_cpu() + self.other_cores;
            // Who wakes on a core that is busy shares it with another thread.
            1.0 + (used / self.machine_cores).min(1.0)
        } else {
            1.0
        };
        let busy = (self.store_cpu() / self.store_cores).min(1.0);
        let served = |alone: Cost, batched: Cost| {
            let [alone, batched] = [alone, batched].map(|cost| self.scaled(cost));
            (batched + (1.0 - busy) * (alone - batched)) * share
        };
        let polling = Polling {
            nodes: count(self.nodes),
            interval: 1.0 / self.polls,
            servers: count(self.store_cores) as usize,
            poll: served(costs::POLL_STORE_ALONE, costs::POLL_STORE),
            catch_up: served(costs::READ_STORE_ALONE, costs::READ_STORE),
            apply: self.scaled(costs::READ_NODE) * share,
            transactions,
            transaction: self.scaled(costs::WRITE_STORE_ALONE) * share,
            // A write waits for half of the transaction that it finds under way.
            commit: time * (1.0 + (transactions * time).min(1.0) / 2.0),
        };
        polling.run((POLLS / self.all_polls()).clamp(3.0, 600.0))
    }
}

/// Converts a number of nodes or cores.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "is between 1 and a million")]
fn count(number: f64) -> u32 {
    number.round().clamp(1.0, 1e6) as u32
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        system: System,
    }

    fn system(flags: &str) -> System {
        Flags::parse_from(["simulate"].into_iter().chain(flags.split_whitespace())).system
    }

    #[track_caller]
    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value / expected - 1.0).abs() < tolerance, "{value} instead of {expected}");
    }

    #[test]
    fn a_core_is_full_when_calls_cost_what_they_cost_at_full_load() {
        let work = |rate| Batched { rate, alone: 15e-6, busy: 3e-6 };
        close(work(1.0 / 3e-6).cpu(0.0, 1.0), 1.0, 1e-9);
        // Few calls find an idle core.
        close(work(100.0).cpu(0.0, 1.0), 0.0015, 0.01);
        // Beyond, the demand grows with the calls.
        close(work(2.0 / 3e-6).cpu(0.5, 1.0), 2.5, 1e-9);
    }

    #[test]
    fn the_benchmark_of_many_watchers_is_reproduced() {
        // bench watch: 2,000 watchers, 50 writes and 2,000 reads a second take 0.1293 cores, with SQLite.
        let watched = system(
            "--nodes 1 --writes 50 --watchers 2000 --calls 2000 --pages 0 --searches 0 --batches 0 --polls 0.001",
        );
        close(watched.node_cpu(), 0.1293, 0.5);
    }

    #[test]
    fn the_benchmark_of_two_nodes_bounds_the_writes() {
        let nodes = system("--commit 2.96");
        // bench nodes: 44,220 a second with 131 writes in a transaction; the limit has 1,024.
        close(nodes.max_writes(), 44_220.0, 0.15);
        let [transactions, time] = system("--writes 1").transactions();
        close(transactions, 1.0, 0.01);
        close(time, costs::COMMIT.value, 0.01);
    }

    #[test]
    fn the_first_limit_of_nodes_is_that_of_connections() {
        let system = system("");
        let connections = RESOURCES.iter().find(|resource| resource.name == "store: connections").unwrap();
        close(system.limit(connections, Axis::Nodes), 97.0 / 4.0, 1e-3);
        assert!(system.limit(connections, Axis::Traffic).is_infinite());
        for resource in &RESOURCES {
            let limit = system.limit(resource, Axis::Nodes);
            assert!(limit >= 97.0 / 4.0 - 0.01, "{}: {limit}", resource.name);
        }
    }

    #[test]
    fn the_delay_of_idle_nodes_is_half_a_poll_and_a_commit() {
        let [p50, p99] = system("--writes 1 --commit 2").delays().delays;
        close(p50, 0.025 + 0.002, 0.1);
        close(p99, 0.050 + 0.002, 0.1);
    }

    #[test]
    fn a_call_waits_longer_the_more_calls_there_are() {
        let [idle, busy] = ["--calls 1000", "--calls 900000"].map(|flags| system(flags).latency());
        assert!(idle[0] < busy[0] && busy[0] < busy[1], "{idle:?} {busy:?}");
        close(idle[0], costs::LATENCY.value, 0.1);
    }
}
