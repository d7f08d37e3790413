//! Streaming replication: clusters that follow another one until they are promoted.

use super::daemon::run;
use super::primary::Cluster;

/// When the primary acknowledges a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::stores) enum Replication {
    /// As soon as it has it on its own disk: what the standby has not received is lost with the primary.
    Asynchronous,
    /// As soon as the standby has it on its disk, too.
    Synchronous,
}

impl Cluster {
    /// Starts a standby, on a port of its own, and waits until it streams from this cluster.
    pub(in crate::stores) fn standby(&self, replication: Replication) -> Self {
        let mut standby = self.another();
        let data = standby.dir.path().join("data");
        let mut backup = self.client("pg_basebackup");
        // As the account of the servers, which both have in common.
        backup.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"]);
        run(backup.arg(data));
        standby.serve();
        if replication == Replication::Synchronous {
            self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
            self.sql("postgres", "SELECT pg_reload_conf()");
        }
        let state = match replication {
            Replication::Asynchronous => "async",
            Replication::Synchronous => "sync",
        };
        let query = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        self.wait_until(query, state);
        standby
    }

    /// Waits until a standby shows all that this cluster has committed.
    pub(in crate::stores) fn wait_for_replay(&self, standby: &Self) {
        let position = self.sql("postgres", "SELECT pg_current_wal_flush_lsn()");
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", position.trim());
        standby.wait_until(&query, "t");
    }

    /// Has a standby receive nothing more: what its primary commits from now on is lost when it is promoted.
    pub(in crate::stores) fn stop_replication(&self) {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("postgres", "SELECT pg_reload_conf()");
        self.wait_until("SELECT count(*) FROM pg_stat_wal_receiver", "0");
    }

    /// Has a standby show nothing more of what it receives until it is promoted, which loses nothing of it.
    pub(in crate::stores) fn pause_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
        self.wait_until("SELECT pg_get_wal_replay_pause_state()", "paused");
    }

    /// Makes a standby a primary, and waits until it is one.
    pub(in crate::stores) fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()").trim(), "t");
    }
}
