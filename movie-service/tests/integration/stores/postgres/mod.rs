//! PostgreSQL: several nodes on one database, and servers that hang, fail over or go away.

mod addresses;
pub(super) mod cluster;
mod failover;
mod follower;
mod load;
mod nodes;
mod outages;
mod pooler;
mod standby;
