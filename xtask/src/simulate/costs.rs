//! Measured costs. Each has its origin; none is an estimate.

/// A measured cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// Part of `cargo xtask bench` or the command that measures it, as docs/performance.md shows it.
    origin: &'static str,
}

macro_rules! costs {
    ($($name:ident: $value:literal $unit:literal, $what:literal, $origin:literal;)*) => {
        $(pub(super) const $name: Cost = Cost { what: $what, value: $value, unit: $unit, origin: $origin };)*

        /// All costs.
        pub(super) const ALL: &[Cost] = &[$($name),*];
    };
}

costs! {
    CALL: 3.45e-6 "s", "CPU of a GetMovieByID, 1,000 at a time", "bench calls";
    CALL_ALONE: 49.7e-6 "s", "CPU of a GetMovieByID, 400 a second", "simulate --measure";
    LATENCY: 110e-6 "s", "latency of one call at a time, p50", "bench calls";
    PAGE: 1.55e-3 "s", "CPU of a page with a filter and an order, 1M movies", "bench memory";
    BATCHED_MOVIE: 0.91e-6 "s", "CPU of a movie in a batch, with its bytes", "bench memory";
    SEARCH_FILMS: 0.4367e-3 "s", "CPU of a search, 17,470 films", "bench search";
    SEARCH_MILLION: 0.665e-3 "s", "CPU of a search, 1M movies", "bench search";
    SEARCH_P50: 0.5993e-3 "s", "latency of a search, 1M movies, p50", "bench search";
    SEARCH_P99: 3.24e-3 "s", "latency of a search, 1M movies, p99", "bench search";
    DELIVERY: 0.63e-6 "s", "CPU of a delivery to a watcher: 190 µs for 300", "bench watch";
    MEMORY_PROGRAM: 21e6 "B", "memory of the program, and its other memory", "bench memory";
    MEMORY_LOG: 8e6 "B", "memory of 100,000 logged changes", "bench memory";
    MEMORY_ALL_FIELDS: 172e6 "B", "memory with 1M movies of all fields", "bench memory";
    MEMORY_SEARCH: 72.26 "B", "memory of the search index, a movie", "bench search";
    MEMORY_LISTED: 130e6 "B", "memory with 1M movies of four fields, after one list", "bench start";
    MEMORY_RELOAD: 241e6 "B", "most memory in reloads of 1M movies", "bench start";
    MEMORY_WATCHER: 3103.0 "B", "memory of a watcher: 3.03 KiB", "bench watch";
    MOVIE_BYTES: 91.0 "B", "a movie of four fields in a list, with its prefix", "bench calls";
    START: 1.0e-6 "s", "CPU of a start from PostgreSQL, a movie", "bench store, numbers 40 to 42";
    POLL_NODE: 168e-6 "s", "CPU of a poll, node", "simulate --measure";
    READ_NODE: 236e-6 "s", "CPU of a read of new changes, node", "simulate --measure";
    CHANGE_NODE: 7.7e-6 "s", "CPU of a change of another node, node", "simulate --measure";
    WRITE_NODE_ALONE: 228e-6 "s", "CPU of a write, node, one at a time", "simulate --measure";
    WRITE_NODE: 15.8e-6 "s", "CPU of a write, node, 256 writers", "simulate --measure";
    STORE_IDLE: 0.8e-3 "s", "CPU of an idle store, a second", "simulate --measure";
    POLL_STORE_ALONE: 206e-6 "s", "CPU of a poll, store, 20 a second", "simulate --measure";
    POLL_STORE: 33.3e-6 "s", "CPU of a poll, store, 8 at a time", "simulate --measure";
    READ_STORE_ALONE: 427e-6 "s", "CPU of a read of new changes, store, 20 a second", "simulate --measure";
    READ_STORE: 263e-6 "s", "CPU of a read of new changes, store, 8 at a time", "simulate --measure";
    WRITE_STORE_ALONE: 360e-6 "s", "CPU of a write, store, one at a time", "simulate --measure";
    WRITE_STORE: 12.9e-6 "s", "CPU of a write, store, 256 writers", "simulate --measure";
    COMMIT: 0.74e-3 "s", "time of a transaction of one write", "simulate --measure";
    WRITES_A_SECOND: 44220.0 "/s", "writes of one node, 131 a transaction", "bench nodes";
    WRITES_A_TRANSACTION: 131.0 "", "writes in a transaction, 256 writers", "bench nodes";
}

impl Cost {
    /// Returns a line with the value and its origin.
    pub(super) fn line(&self) -> String {
        let Self { what, value, unit, origin } = self;
        let (value, unit) = match *unit {
            "s" if *value < 1e-3 => (value * 1e6, "µs"),
            "s" => (value * 1e3, "ms"),
            "B" if *value >= 1e6 => (value / 1e6, "MB"),
            "B" => (*value, "bytes"),
            unit => (*value, unit),
        };
        format!("| {what} | {} {unit} | `cargo xtask {origin}` |", super::number(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_printed_with_its_unit_and_origin() {
        assert!(
            CALL.line().starts_with("| CPU of a GetMovieByID, 1,000 at a time | 3.45 µs | `"),
            "{}",
            CALL.line()
        );
        assert!(MEMORY_RELOAD.line().contains("| 241 MB |"));
        assert!(POLL_NODE.line().contains("| 168 µs |"));
    }

    #[test]
    fn a_cost_that_the_performance_page_has_is_the_same_there() {
        let page = include_str!("../../../docs/performance.md");
        let [micros, millis, megabytes, million] = [1e6, 1e3, 1e-6, 1e6];
        // On the page, a movie of a batch is without its 0.08 µs of bytes, and the deliveries are those to 300 watchers.
        let movie = BATCHED_MOVIE.value * micros - 0.08;
        let deliveries = (DELIVERY.value * micros * 300.0 / 10.0).round() * 10.0;
        let other_memory = MEMORY_LOG.value * megabytes;
        let program = MEMORY_PROGRAM.value * megabytes - other_memory;
        for words in [
            format!("{:.2} µs", CALL.value * micros),
            format!("{:.0} µs", LATENCY.value * micros),
            format!("{:.2} ms", PAGE.value * millis),
            format!("{movie:.2} µs"),
            format!("{:.4} ms", SEARCH_FILMS.value * millis),
            format!("{:.4} ms", SEARCH_MILLION.value * millis),
            format!("{:.4} ms", SEARCH_P50.value * millis),
            format!("{:.2} ms", SEARCH_P99.value * millis),
            format!("These take about {deliveries}"),
            format!("takes {program:.0} MB, its other memory some {other_memory:.0} MB"),
            format!("{:.0} MB", MEMORY_LISTED.value * megabytes),
            format!("{:.0} MB", MEMORY_ALL_FIELDS.value * megabytes),
            format!("{:.2} MB", MEMORY_SEARCH.value * million * megabytes),
            format!("{:.0} MB", MEMORY_RELOAD.value * megabytes),
            format!("{:.2} KiB", MEMORY_WATCHER.value / 1024.0),
            format!("{} bytes", MOVIE_BYTES.value),
            format!("{:.2} s", START.value * million),
            format!("{} /s", WRITES_A_SECOND.value),
            format!("| 133 | {} |", WRITES_A_TRANSACTION.value),
        ] {
            assert!(page.contains(&words), "docs/performance.md lacks `{words}`");
        }
    }
}
