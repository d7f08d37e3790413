//! PostgreSQL clusters and PgBouncer, started by the tests if their programs are installed.
//!
//! * `primary` — [`Cluster`]: a server with its own data directory, its databases, and simulated faults;
//! * `standby` — streaming replication: a [`Cluster`] that follows another one until its promotion;
//! * `pgbouncer` — [`PgBouncer`]: a pooler in front of a cluster;
//! * `daemon` — a server process that never outlives the tests, and its working directory.

mod daemon;
mod pgbouncer;
mod primary;
mod standby;

pub(in crate::stores) use self::pgbouncer::{PgBouncer, PoolMode};
pub(in crate::stores) use self::primary::{Cluster, PROTECTED, shared};
pub(in crate::stores) use self::standby::Replication;
