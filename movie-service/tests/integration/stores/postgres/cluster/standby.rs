//! Streaming replication.

use super::daemon::run;
use super::primary::Cluster;

/// When the primary acknowledges a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::stores) enum Replication {
    /// When it is on the disk of the primary. Commits that the standby has not received are lost with the primary.
    Asynchronous,
    /// When it is also on the disk of the standby.
    Synchronous,
}

impl Cluster {
    /// Starts a standby, and waits until it streams from this cluster.
    pub(in crate::stores) fn standby(&self, replication: Replication) -> Self {
        let mut standby = self.another();
        let data = standby.dir.path().join("data");
        let mut backup = self.client("pg_basebackup");
        // As the user of the servers, which is the same for both.
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

    /// Waits until a standby has replayed all commits of this cluster.
    pub(in crate::stores) fn wait_for_replay(&self, standby: &Self) {
        let position = self.sql("postgres", "SELECT pg_current_wal_flush_lsn()");
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", position.trim());
        standby.wait_until(&query, "t");
    }

    /// Stops replication to a standby: further commits of the primary are lost when it is promoted.
    pub(in crate::stores) fn stop_replication(&self) {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("postgres", "SELECT pg_reload_conf()");
        self.wait_until("SELECT count(*) FROM pg_stat_wal_receiver", "0");
    }

    /// Pauses the replay on a standby: it shows no further commits until it is promoted, and loses none.
    pub(in crate::stores) fn pause_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
        self.wait_until("SELECT pg_get_wal_replay_pause_state()", "paused");
    }

    /// Promotes a standby, and waits until it is the primary.
    pub(in crate::stores) fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()").trim(), "t");
    }
}
