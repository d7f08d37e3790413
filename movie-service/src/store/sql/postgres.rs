//! A store in a PostgreSQL database with one host or several.
//!
//! A pooler may assign each transaction to another session (PgBouncer in transaction mode). Therefore this module
//! uses no session state and no named prepared statements, and runs each statement with parameters in a transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row, raw_sql};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::catalogue::{CommittedChange, HistoryPoint, MovieView, Snapshot, StoreContent};
use crate::movie::Revision;
use crate::store::StoreError;
use crate::store::engine::{Engine, PollResult};
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::sql::postgres_connection::{HostConnection, access_mode, failed, point};
use crate::store::sql::postgres_copy::CopyIn;
use crate::store::sql::postgres_url::PostgresUrl;
use crate::store::sql::rows::{self, Compaction, FirstMovies, MovieRows, Movies};
use crate::store::status::AccessMode;

/// Timeout of the next row of a result.
const ROW_TIMEOUT: Duration = Duration::from_secs(20);

/// Sets the server's timeouts: of a statement, and of a client that is idle in a transaction.
const SET_TIMEOUTS: &str =
    "SET LOCAL statement_timeout = '20s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// A PostgreSQL database, with a connection to one of its hosts.
#[derive(Debug)]
pub(in crate::store) struct Postgres {
    url: Arc<PostgresUrl>,
    /// Index of the host that the follower chose. All connections use the same host, because hosts may be at
    /// different revisions.
    host: Arc<AtomicUsize>,
    /// Whether this connection chooses the host for all connections.
    chooses_host: bool,
    open: Option<HostConnection>,
}

impl Postgres {
    /// Returns a store in this database. It connects, and creates missing tables, on first use.
    pub(in crate::store) fn new(url: PostgresUrl) -> Self {
        Self { url: Arc::new(url), host: Arc::default(), chooses_host: true, open: None }
    }

    /// Reads all movies without changing the database.
    pub(super) async fn read(self) -> Result<Snapshot, StoreError> {
        let mut open = self.connect_to_any().await?;
        open.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
            .await?;
        movies(&mut open.connection).await
    }

    /// Writes the first movies of a new store in one transaction. Returns whether the store is new; otherwise, nothing is
    /// written.
    pub(super) async fn fill<'a>(
        mut self,
        first: FirstMovies<impl Iterator<Item = MovieView<'a>>>,
    ) -> Result<bool, StoreError> {
        let head = self.begin_write().await?;
        if head.revision != Revision::default() {
            self.rollback().await?;
            return Ok(false);
        }
        let connection = self.transaction()?;
        let oldest_kept = first.oldest_kept();
        let prepare = format!(
            "SET LOCAL statement_timeout = 0; DELETE FROM changes WHERE revision < {}",
            oldest_kept.to_i64()
        );
        raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.map_err(failed)?;
        let (mut last, mut kept) = (head, Vec::new());
        let mut copy = CopyIn::begin(connection, "movies (position, id, movie)").await?;
        for change in first.changes(head) {
            let CommittedChange { point, id, record } = &change;
            let movie = record.as_ref().map(|record| &**record.bytes());
            let position = point.revision.to_i64().to_be_bytes();
            copy.row([Some(&position), Some(id.as_bytes()), movie]).await?;
            last = *point;
            if point.revision >= oldest_kept {
                kept.push(change);
            }
        }
        copy.finish().await?;
        let mut copy = CopyIn::begin(connection, "changes (revision, id, movie, chain)").await?;
        for CommittedChange { point, id, record } in &kept {
            let movie = record.as_ref().map(|record| &**record.bytes());
            let revision = point.revision.to_i64().to_be_bytes();
            copy.row([Some(&revision), Some(id.as_bytes()), movie, Some(point.chain.as_bytes())]).await?;
        }
        copy.finish().await?;
        let update = sqlx::query("UPDATE head SET revision = $1, chain = $2").persistent(false);
        let update = update.bind(last.revision.to_i64()).bind(&last.chain.as_bytes()[..]);
        update.execute(&mut *connection).await.map_err(failed)?;
        self.commit().await?;
        Ok(true)
    }

    /// Returns the connection, and connects if there is none, if it has an abandoned transaction, or if the follower has
    /// chosen another host.
    async fn open(&mut self) -> Result<&mut HostConnection, StoreError> {
        let host = self.host.load(Ordering::Relaxed);
        let is_current =
            |open: &HostConnection| !open.is_in_transaction && (self.chooses_host || open.host == host);
        let open = if let Some(open) = self.open.take().filter(is_current) {
            open
        } else {
            let mut open = if self.chooses_host {
                self.connect_to_any().await?
            } else {
                HostConnection::connect(&self.url, host).await?
            };
            open.update_schema(self.url.user()).await?;
            self.host.store(open.host, Ordering::Relaxed);
            open
        };
        Ok(self.open.insert(open))
    }

    /// Connects to the first writable host; without one, or with `target_session_attrs=any`, to the first reachable
    /// one.
    async fn connect_to_any(&self) -> Result<HostConnection, StoreError> {
        let mut connecting: FuturesOrdered<_> =
            (0..self.url.host_count()).map(|host| HostConnection::connect(&self.url, host)).collect();
        let (mut read_only, mut failures) = (None, Vec::new());
        while let Some(connected) = connecting.next().await {
            match connected {
                Ok(open) if open.mode == AccessMode::ReadWrite || !self.url.prefers_writable() => {
                    return Ok(open);
                }
                Ok(open) => {
                    read_only.get_or_insert(open);
                }
                Err(StoreError::Connect(why)) => failures.push(why),
                Err(error) => return Err(error),
            }
        }
        read_only.ok_or_else(|| StoreError::Connect(failures.join("; ")))
    }

    /// Returns the connection of the transaction.
    fn transaction(&mut self) -> Result<&mut PgConnection, StoreError> {
        let open = self.open.as_mut().ok_or(StoreError::NotConnected)?;
        Ok(&mut open.connection)
    }
}

impl Engine for Postgres {
    const POLL_INTERVAL: Duration = Duration::from_millis(50);

    fn second_connection(&mut self) -> Option<Self> {
        self.chooses_host = false;
        Some(Self { url: self.url.clone(), host: self.host.clone(), chooses_host: true, open: None })
    }

    async fn poll(&mut self) -> Result<PollResult, StoreError> {
        let open = self.open().await?;
        // A statement without parameters costs one round trip.
        let select = "SELECT revision, chain, current_setting('transaction_read_only') = 'on' FROM head";
        let row = raw_sql(select).fetch_one(&mut open.connection).await.map_err(failed)?;
        open.mode = access_mode(row.try_get(2).map_err(failed)?);
        Ok(PollResult { head: point(&row, 0)?, mode: open.mode })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        if self.chooses_host && self.url.prefers_writable() && self.url.host_count() > 1 {
            let mut found = self.connect_to_any().await?;
            if found.mode == AccessMode::ReadWrite {
                found.update_schema(self.url.user()).await?;
                self.host.store(found.host, Ordering::Relaxed);
                self.open = Some(found);
            }
        }
        Ok(())
    }

    async fn load(&mut self, max_changes: usize) -> Result<StoreContent, StoreError> {
        let head = timeout(ROW_TIMEOUT, self.begin_read()).await.map_err(|_| StoreError::TimedOut)??;
        let connection = self.transaction()?;
        raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *connection).await.map_err(failed)?;
        // The row before the first change is read for its chain value.
        let before = head.revision.minus(max_changes as u64).to_i64() - 1;
        // Before the movies, which then take the memory that the rows took.
        let latest = rows::latest(head, &changes(connection, before, head.revision).await?)?;
        let snapshot = movies(connection).await?.at(head);
        self.commit().await?;
        Ok(StoreContent { snapshot, latest })
    }

    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError> {
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {SET_TIMEOUTS}");
        self.open().await?.begin_at_head(&begin, "SELECT revision, chain FROM head").await
    }

    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError> {
        // Updating the head row locks it, so write transactions run one at a time at any isolation level.
        let lock = "UPDATE head SET revision = revision RETURNING revision, chain";
        self.open().await?.begin_at_head(&format!("BEGIN; {SET_TIMEOUTS}"), lock).await
    }

    async fn changes(
        &mut self,
        after: Revision,
        up_to: Revision,
    ) -> Result<Vec<CommittedChange>, StoreError> {
        let found = changes(self.transaction()?, after.to_i64(), up_to).await?;
        rows::changes_between(found, after, up_to)
    }

    async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError> {
        let select = "SELECT changes.id, changes.movie, requests.fingerprint, requests.request_id FROM requests \
            JOIN changes ON changes.revision = requests.revision WHERE requests.request_id = ANY($1)";
        let select = sqlx::query(select).persistent(false).bind(ids);
        let mut found = HashMap::new();
        for row in select.fetch_all(self.transaction()?).await.map_err(failed)? {
            if let Some(movie) = row.try_get::<Option<Vec<u8>>, _>(1).map_err(failed)? {
                let record = rows::record(row.try_get(0).map_err(failed)?, movie)?;
                let fingerprint = row.try_get::<i64, _>(2).map_err(failed)?.cast_unsigned();
                let stored = StoredRequest { fingerprint, record };
                found.insert(row.try_get(3).map_err(failed)?, stored);
            }
        }
        Ok(found)
    }

    async fn put(&mut self, changes: &[CommittedChange], requests: &[NewRequest]) -> Result<(), StoreError> {
        let connection = self.transaction()?;
        let MovieRows { removed, upserted } = MovieRows::of(changes);
        if !removed.is_empty() {
            let delete = sqlx::query("DELETE FROM movies WHERE id = ANY($1)").persistent(false).bind(removed);
            delete.execute(&mut *connection).await.map_err(failed)?;
        }
        let positions: Vec<_> = upserted.iter().map(|(position, ..)| position.to_i64()).collect();
        let ids: Vec<_> = upserted.iter().map(|(_, id, _)| *id).collect();
        let movies: Vec<_> = upserted.iter().map(|(.., record)| &**record.bytes()).collect();
        let revisions: Vec<_> = changes.iter().map(|change| change.point.revision.to_i64()).collect();
        let changed_ids: Vec<_> = changes.iter().map(|change| &*change.id).collect();
        let record =
            |change: &'_ CommittedChange| change.record.as_ref().map(|record| record.bytes().to_vec());
        let records: Vec<_> = changes.iter().map(record).collect();
        let chains: Vec<_> = changes.iter().map(|change| &change.point.chain.as_bytes()[..]).collect();
        let Some(last) = changes.last() else { return Ok(()) };
        // One statement for all tables, because each statement costs two round trips.
        let statement = "WITH movies AS ( \
                INSERT INTO movies (position, id, movie) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) \
                ON CONFLICT (id) DO UPDATE SET movie = excluded.movie \
            ), changes AS ( \
                INSERT INTO changes (revision, id, movie, chain) \
                SELECT * FROM unnest($4::bigint[], $5::text[], $6::bytea[], $7::bytea[]) \
            ) UPDATE head SET revision = $8, chain = $9";
        let statement = sqlx::query(statement).persistent(false);
        let statement = statement.bind(positions).bind(ids).bind(movies);
        let statement = statement.bind(revisions).bind(changed_ids).bind(records).bind(chains);
        let statement = statement.bind(last.point.revision.to_i64()).bind(&last.point.chain.as_bytes()[..]);
        statement.execute(&mut *connection).await.map_err(failed)?;
        if !requests.is_empty() {
            let ids: Vec<_> = requests.iter().map(|request| &*request.id).collect();
            let revisions: Vec<_> = requests.iter().map(|request| request.revision.to_i64()).collect();
            let fingerprints: Vec<_> =
                requests.iter().map(|request| request.fingerprint.cast_signed()).collect();
            let insert = "INSERT INTO requests (request_id, revision, fingerprint) \
                SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])";
            let insert = sqlx::query(insert).persistent(false);
            let insert = insert.bind(ids).bind(revisions).bind(fingerprints);
            insert.execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        match &mut self.open {
            Some(open) => open.end("COMMIT").await,
            None => Ok(()),
        }
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        match &mut self.open {
            Some(open) => open.end("ROLLBACK").await,
            None => Ok(()),
        }
    }

    async fn compact(&mut self, max_kept: u64, max_removed: u64) -> Result<bool, StoreError> {
        let open = self.open().await?;
        let select = "SELECT revision, (SELECT min(revision) FROM changes) FROM head";
        let row = open.begin(&format!("BEGIN; {SET_TIMEOUTS}; {select}")).await?;
        let row = row.ok_or_else(|| StoreError::Damaged("the table `head` has no row".into()))?;
        let head = rows::revision(row.try_get(0).map_err(failed)?)?;
        let oldest = row.try_get::<Option<_>, _>(1).map_err(failed)?.map(rows::revision).transpose()?;
        let compaction = Compaction::plan(head, oldest, max_kept, max_removed);
        if let Some(Compaction { before, .. }) = compaction {
            let delete = format!(
                "DELETE FROM requests WHERE revision < {before}; DELETE FROM changes WHERE revision < {before}"
            );
            raw_sql(AssertSqlSafe(delete)).execute(&mut open.connection).await.map_err(failed)?;
        }
        self.commit().await?;
        Ok(compaction.is_some_and(|compaction| compaction.has_more))
    }

    fn disconnect(&mut self) {
        self.open = None;
    }
}

/// Reads all movies in the current transaction.
async fn movies(connection: &mut PgConnection) -> Result<Snapshot, StoreError> {
    let select = sqlx::query("SELECT id, movie FROM movies ORDER BY position").persistent(false);
    let mut found = select.fetch(connection);
    let mut movies = Movies::default();
    while let Some(row) = timeout(ROW_TIMEOUT, found.next()).await.map_err(|_| StoreError::TimedOut)? {
        let row = row.map_err(failed)?;
        movies.push(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)?;
    }
    movies.finish()
}

/// Reads, in the current transaction, the changes after a revision up to another.
async fn changes(
    connection: &mut PgConnection,
    after: i64,
    up_to: Revision,
) -> Result<Vec<CommittedChange>, StoreError> {
    let select = "SELECT revision, id, movie, chain FROM changes WHERE revision > $1 AND revision <= $2 ORDER BY revision";
    let select = sqlx::query(select).persistent(false).bind(after).bind(up_to.to_i64());
    let mut found = select.fetch(connection);
    let mut changes = Vec::new();
    while let Some(row) = timeout(ROW_TIMEOUT, found.next()).await.map_err(|_| StoreError::TimedOut)? {
        changes.push(change(&row.map_err(failed)?)?);
    }
    Ok(changes)
}

fn change(row: &PgRow) -> Result<CommittedChange, StoreError> {
    let (id, chain): (&str, &[u8]) = (row.try_get(1).map_err(failed)?, row.try_get(3).map_err(failed)?);
    rows::change(row.try_get(0).map_err(failed)?, id, row.try_get(2).map_err(failed)?, chain)
}
