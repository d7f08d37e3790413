//! The clusters themselves: what the tests of the service rely on.

use super::{Cluster, PgBouncer, PoolMode, Replication, shared};

#[test]
fn what_a_standby_has_not_received_is_lost_when_it_is_promoted() {
    let Some(mut primary) = Cluster::start() else { return };
    let url = primary.database();
    primary.sql(&url, "CREATE TABLE numbers (number INT)");
    let standby = primary.standby(Replication::Asynchronous);
    let numbers = || standby.sql(&url, "SELECT string_agg(number::text, ' ') FROM numbers").trim().to_owned();
    primary.sql(&url, "INSERT INTO numbers VALUES (1)");
    primary.wait_for_replay(&standby);
    standby.pause_replay();
    primary.sql(&url, "INSERT INTO numbers VALUES (2)");
    assert_eq!(numbers(), "1");
    standby.resume_replay();
    primary.wait_for_replay(&standby);
    assert_eq!(numbers(), "1 2");
    standby.stop_replication();
    primary.sql(&url, "INSERT INTO numbers VALUES (3)");
    let insert = || standby.try_sql(&url, "INSERT INTO numbers VALUES (4)");
    assert!(insert().unwrap_err().contains("read-only transaction"));
    primary.kill();
    standby.promote();
    insert().unwrap();
    assert_eq!(numbers(), "1 2 4");
}

#[test]
fn what_was_committed_is_on_a_synchronous_standby() {
    let Some(mut primary) = Cluster::start() else { return };
    let url = primary.database();
    let standby = primary.standby(Replication::Synchronous);
    primary.sql(&url, "CREATE TABLE numbers AS SELECT generate_series(1, 1000)");
    primary.kill();
    standby.promote();
    assert_eq!(standby.sql(&url, "SELECT count(*) FROM numbers").trim(), "1000");
}

#[test]
fn a_suspended_server_answers_when_it_is_resumed() {
    let Some(cluster) = Cluster::start() else { return };
    let answers = || cluster.client("pg_isready").args(["-q", "-t", "1"]).status().unwrap().success();
    assert!(answers());
    cluster.suspend();
    assert!(!answers());
    cluster.resume();
    assert!(answers());
    // It has to end all the same.
    cluster.suspend();
}

#[test]
fn databases_are_copied_and_exchanged() {
    let Some(cluster) = shared() else { return };
    let one = cluster.database();
    cluster.sql(&one, "CREATE TABLE names AS SELECT 'both' AS name");
    let other = cluster.copy(&one);
    cluster.sql(&one, "INSERT INTO names VALUES ('one')");
    cluster.sql(&other, "INSERT INTO names VALUES ('other')");
    cluster.exchange(&one, &other);
    let names = |url| cluster.sql(url, "SELECT string_agg(name, ' ') FROM names").trim().to_owned();
    assert_eq!([names(&one), names(&other)], ["both other", "both one"]);
}

#[test]
fn a_pooler_leads_to_the_databases_of_its_cluster() {
    let Some(cluster) = shared() else { return };
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let Some(pooler) = PgBouncer::start(cluster, mode, 2) else { return };
        let url = pooler.url(&cluster.database());
        let printed = super::daemon::run(cluster.client("psql").args(["-t", "-A", "-c", "SELECT 1", &url]));
        assert_eq!(printed, "1\n");
    }
}
