//! The flags of a system, and its growth.

use clap::Args;

use super::costs;

/// A system. Rates are those of all nodes together, which share them equally.
#[derive(Args, Clone, Debug)]
pub(super) struct System {
    /// Movies, with all fields and a search index.
    #[arg(long, default_value_t = 1_000_000.0)]
    pub(super) movies: f64,
    #[arg(long, default_value_t = 2.0)]
    pub(super) nodes: f64,
    /// Cores of a node.
    #[arg(long, default_value_t = 2.0)]
    pub(super) cores: f64,
    /// Memory of a node, in GB.
    #[arg(long, default_value_t = 4.0)]
    pub(super) memory: f64,
    /// Bandwidth of a node and of the store, in Gb/s.
    #[arg(long, default_value_t = 1.0)]
    pub(super) network: f64,
    /// Calls of `GetMovieByID` a second.
    #[arg(long, default_value_t = 1000.0)]
    pub(super) calls: f64,
    /// Calls that arrive at the same time on one connection.
    #[arg(long, default_value_t = 1.0)]
    pub(super) burst: f64,
    /// Pages of 50 movies with a filter and an order a second.
    #[arg(long, default_value_t = 20.0)]
    pub(super) pages: f64,
    /// Searches a second.
    #[arg(long, default_value_t = 20.0)]
    pub(super) searches: f64,
    /// Batches of 100 movies a second.
    #[arg(long, default_value_t = 10.0)]
    pub(super) batches: f64,
    /// Writes a second.
    #[arg(long, default_value_t = 10.0)]
    pub(super) writes: f64,
    /// Open watches of all changes.
    #[arg(long, default_value_t = 1000.0)]
    pub(super) watchers: f64,
    /// Bytes of a movie with all fields, and of a change.
    #[arg(long, default_value_t = 250.0)]
    pub(super) change_bytes: f64,
    /// Time of a transaction of one write, in milliseconds.
    #[arg(long, default_value_t = costs::COMMIT.value * 1e3)]
    pub(super) commit: f64,
    /// Polls a second of a node.
    #[arg(long, default_value_t = 20.0)]
    pub(super) polls: f64,
    /// Cores of the store.
    #[arg(long, default_value_t = 2.0)]
    pub(super) store_cores: f64,
    /// Connections that the store accepts: `max_connections` without `superuser_reserved_connections`.
    #[arg(long, default_value_t = 97.0)]
    pub(super) store_connections: f64,
    /// Longest acceptable start of a node, in seconds.
    #[arg(long, default_value_t = 30.0)]
    pub(super) start: f64,
    /// Cores that all nodes and the store share; 0 if each has its own.
    #[arg(long, default_value_t = 0.0)]
    pub(super) machine_cores: f64,
    /// Cores of the machine that other programs take.
    #[arg(long, default_value_t = 0.0)]
    pub(super) other_cores: f64,
    /// Speed of a core, compared with the machine of the measurements.
    #[arg(long, default_value_t = 1.0)]
    pub(super) speed: f64,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Calls, writes and watchers.
    Traffic,
    Movies,
    Nodes,
}

pub(super) const AXES: [Axis; 3] = [Axis::Traffic, Axis::Movies, Axis::Nodes];

impl System {
    /// Returns this system with more traffic, movies or nodes.
    pub(super) fn grown(&self, axis: Axis, factor: f64) -> Self {
        let mut grown = self.clone();
        let values: &mut [&mut f64] = match axis {
            Axis::Traffic => &mut [
                &mut grown.calls,
                &mut grown.pages,
                &mut grown.searches,
                &mut grown.batches,
                &mut grown.writes,
                &mut grown.watchers,
            ],
            Axis::Movies => &mut [&mut grown.movies],
            Axis::Nodes => &mut [&mut grown.nodes],
        };
        for value in values {
            **value *= factor;
        }
        grown
    }
}
