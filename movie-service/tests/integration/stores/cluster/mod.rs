//! PostgreSQL clusters and PgBouncer of the tests' own, if their programs are on this machine.
//!
//! * `primary` — [`Cluster`]: a server over a data directory of its own, the databases in it, and the faults of a server;
//! * `standby` — streaming replication: a [`Cluster`] that follows another one until it is promoted;
//! * `pgbouncer` — [`PgBouncer`]: a pooler in front of a cluster;
//! * `daemon` — a server process that never outlives the tests, and the directory that it works in.

mod daemon;
mod pgbouncer;
mod primary;
mod standby;

pub(super) use self::pgbouncer::{PgBouncer, PoolMode};
pub(super) use self::primary::{Cluster, PROTECTED, shared};
pub(super) use self::standby::Replication;
