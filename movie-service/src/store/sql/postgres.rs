//! A store in a PostgreSQL database, on one host or on one of several.
//!
//! Connections may go through a pooler that gives each transaction to another session, such as PgBouncer in transaction
//! mode. Therefore this module uses no session state and no named prepared statements, and runs each parameterised
//! statement in a transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row, raw_sql};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::catalogue::{Committed, HistoryPoint, Loaded, Snapshot};
use crate::movie::Revision;
use crate::store::StoreError;
use crate::store::engine::{Engine, Look};
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::sql::postgres_url::PostgresUrl;
use crate::store::sql::rows::{self, MovieRows, Movies, signed};
use crate::store::sql::schema::{self, Migration};
use crate::store::status::Access;

/// Timeout of a connection attempt to one host. Hosts are tried concurrently, and the timeout is shorter than that of
/// a poll, so an unreachable host does not block the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the next row of a result may take to arrive.
const ROW_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server may take for a statement, and how long it waits for a client in the middle of a transaction.
const TIMEOUTS: &str =
    "SET LOCAL statement_timeout = '20s'; SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// The key of the lock that nodes take to bring the schema up to date: `movies` in ASCII.
const MIGRATION_LOCK: i64 = 0x6d6f_7669_6573;

/// A connection to one of the hosts of a database.
#[derive(Debug)]
pub(in crate::store) struct Postgres {
    url: Arc<PostgresUrl>,
    /// Index of the host that the follower chose. All connections use the same host, because hosts may be at
    /// different revisions.
    host: Arc<AtomicUsize>,
    /// Whether this connection chooses the host.
    chooses: bool,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: PgConnection,
    host: usize,
    access: Access,
    /// Whether there may be a transaction that was not ended.
    is_in_transaction: bool,
}

impl Postgres {
    /// A store in this database; it is connected to, and made if it is missing, when it is used.
    pub(in crate::store) fn new(url: PostgresUrl) -> Self {
        Self { url: Arc::new(url), host: Arc::default(), chooses: true, open: None }
    }

    /// Reads the movies, in a database that is left as it is.
    pub(super) async fn read(self) -> Result<Snapshot, StoreError> {
        let mut open = self.connect_to_any().await?;
        open.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
            .await?;
        movies(&mut open.connection).await
    }

    async fn open(&mut self) -> Result<&mut Open, StoreError> {
        let host = self.host.load(Ordering::Relaxed);
        let is_stale = |open: &Open| open.is_in_transaction || (!self.chooses && open.host != host);
        if self.open.as_ref().is_some_and(is_stale) {
            self.open = None;
        }
        if self.open.is_none() {
            let mut open =
                if self.chooses { self.connect_to_any().await? } else { self.connect_to(host).await? };
            open.update_schema(self.url.user()).await?;
            self.host.store(open.host, Ordering::Relaxed);
            self.open = Some(open);
        }
        self.open.as_mut().ok_or(StoreError::Late)
    }

    /// Connects to the first writable host; without one, or with `target_session_attrs=any`, to the first reachable
    /// one.
    async fn connect_to_any(&self) -> Result<Open, StoreError> {
        let mut connecting: FuturesOrdered<_> =
            (0..self.url.host_count()).map(|host| self.connect_to(host)).collect();
        let (mut read_only, mut failures) = (None, Vec::new());
        while let Some(connected) = connecting.next().await {
            match connected {
                Ok(open) if open.access == Access::ReadWrite || !self.url.prefers_writable() => {
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

    async fn connect_to(&self, host: usize) -> Result<Open, StoreError> {
        let options = self.url.options(host);
        let connecting = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let select = "SELECT current_setting('transaction_read_only') = 'on'";
            let row = raw_sql(select).fetch_one(&mut connection).await?;
            let access = access(row.try_get(0)?);
            Ok::<_, sqlx::Error>(Open { connection, host, access, is_in_transaction: false })
        };
        let named = |why: &str| StoreError::Connect(format!("{}: {why}", self.url.host_name(host)));
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(open)) => Ok(open),
            Ok(Err(error)) => Err(named(&connect_failure(&error))),
            Err(_) => Err(named("no answer in time")),
        }
    }

    /// Returns the connection, in its transaction.
    fn transaction(&mut self) -> Result<&mut PgConnection, StoreError> {
        let open = self.open.as_mut().ok_or(StoreError::Late)?;
        Ok(&mut open.connection)
    }

    async fn end(&mut self, statement: &'static str) -> Result<(), StoreError> {
        if let Some(open) = &mut self.open
            && open.is_in_transaction
        {
            raw_sql(statement).execute(&mut open.connection).await.map_err(failed)?;
            open.is_in_transaction = false;
        }
        Ok(())
    }
}

impl Open {
    /// Begins a transaction with some statements in one message; returns the last row of their results.
    async fn begin(&mut self, statements: &str) -> Result<Option<PgRow>, StoreError> {
        self.is_in_transaction = true;
        let mut rows = raw_sql(AssertSqlSafe(statements)).fetch(&mut self.connection);
        let mut last = None;
        while let Some(row) = rows.next().await {
            last = Some(row.map_err(failed)?);
        }
        Ok(last)
    }

    /// Begins a transaction in which `select` returns the latest commit.
    async fn begin_at_head(&mut self, begin: &str, select: &str) -> Result<HistoryPoint, StoreError> {
        let row = self.begin(&format!("{begin}; {select}")).await?;
        let row = row.ok_or_else(|| StoreError::Damaged("the table `head` has no row".into()))?;
        point(&row, 0)
    }

    /// Refuses a database that is none for movies, and brings its schema up to date.
    async fn update_schema(&mut self, user: Option<&str>) -> Result<(), StoreError> {
        let select = "SELECT current_setting('server_encoding'), to_regclass('_sqlx_migrations') IS NOT NULL";
        let row = raw_sql(select).fetch_one(&mut self.connection).await.map_err(failed)?;
        let encoding: String = row.try_get(0).map_err(failed)?;
        if encoding != "UTF8" {
            return Err(StoreError::Encoding(encoding));
        }
        let has_schema = row.try_get(1).map_err(failed)?;
        let applied = if has_schema { self.applied().await? } else { Vec::new() };
        if schema::missing(&schema::POSTGRES, &applied)?.is_empty() {
            return Ok(());
        }
        if self.access == Access::ReadOnly {
            return Err(StoreError::Older);
        }
        let migrated = self.migrate().await;
        if let Err(StoreError::Failed(why)) = &migrated
            && why.contains(INSUFFICIENT_PRIVILEGE)
        {
            let user = user.unwrap_or("USER");
            let grant = format!("{why}; as its owner: GRANT CREATE ON SCHEMA public TO \"{user}\"");
            return Err(StoreError::Failed(grant));
        }
        migrated
    }

    /// Returns the versions and checksums of the migrations that the database has.
    async fn applied(&mut self) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let select = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";
        let rows = raw_sql(select).fetch_all(&mut self.connection).await.map_err(failed)?;
        let migration = |row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(migration).collect::<Result<_, _>>().map_err(failed)
    }

    /// Applies the missing migrations in one transaction, under a lock that serialises nodes.
    async fn migrate(&mut self) -> Result<(), StoreError> {
        self.begin(&format!("BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {TABLE_OF_MIGRATIONS}"))
            .await?;
        let applied = self.applied().await?;
        for migration in schema::missing(&schema::POSTGRES, &applied)? {
            let Migration { version, description, sql } = migration;
            raw_sql(*sql).execute(&mut self.connection).await.map_err(failed)?;
            let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                VALUES ($1, $2, TRUE, $3, 0)";
            let insert = sqlx::query(insert).persistent(false);
            let insert = insert.bind(version).bind(description).bind(migration.checksum());
            insert.execute(&mut self.connection).await.map_err(failed)?;
        }
        raw_sql("COMMIT").execute(&mut self.connection).await.map_err(failed)?;
        self.is_in_transaction = false;
        Ok(())
    }
}

const TABLE_OF_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, \
    description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
    checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)";

impl Engine for Postgres {
    const LOOK_INTERVAL: Duration = Duration::from_millis(50);

    fn second_connection(&mut self) -> Option<Self> {
        self.chooses = false;
        Some(Self { url: self.url.clone(), host: self.host.clone(), chooses: true, open: None })
    }

    async fn look(&mut self) -> Result<Look, StoreError> {
        let open = self.open().await?;
        // Without parameters, it is one message each way.
        let select = "SELECT revision, chain, current_setting('transaction_read_only') = 'on' FROM head";
        let row = raw_sql(select).fetch_one(&mut open.connection).await.map_err(failed)?;
        open.access = access(row.try_get(2).map_err(failed)?);
        Ok(Look { head: point(&row, 0)?, access: open.access })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        if self.chooses && self.url.prefers_writable() && self.url.host_count() > 1 {
            let mut found = self.connect_to_any().await?;
            if found.access == Access::ReadWrite {
                found.update_schema(self.url.user()).await?;
                self.host.store(found.host, Ordering::Relaxed);
                self.open = Some(found);
            }
        }
        Ok(())
    }

    async fn load(&mut self, latest: usize) -> Result<Loaded, StoreError> {
        let head = timeout(ROW_TIMEOUT, self.begin_read()).await.map_err(|_| StoreError::Late)??;
        let connection = self.transaction()?;
        raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *connection).await.map_err(failed)?;
        let snapshot = movies(connection).await?;
        let oldest = head.revision.minus(latest as u64);
        // The row before the oldest kept change is read for its chain value.
        let rows = changes(connection, oldest.to_i64() - 1, head.revision).await?;
        self.commit().await?;
        rows::loaded(snapshot, head, rows)
    }

    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError> {
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {TIMEOUTS}");
        self.open().await?.begin_at_head(&begin, "SELECT revision, chain FROM head").await
    }

    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError> {
        // Updating the head row locks it, so write transactions run one at a time at any isolation level.
        let lock = "UPDATE head SET revision = revision RETURNING revision, chain";
        self.open().await?.begin_at_head(&format!("BEGIN; {TIMEOUTS}"), lock).await
    }

    async fn changes(&mut self, after: Revision, up_to: Revision) -> Result<Vec<Committed>, StoreError> {
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

    async fn put(&mut self, changes: &[Committed], requests: &[NewRequest]) -> Result<(), StoreError> {
        let connection = self.transaction()?;
        let MovieRows { removed, upserted } = MovieRows::after(changes);
        if !removed.is_empty() {
            let delete = sqlx::query("DELETE FROM movies WHERE id = ANY($1)").persistent(false).bind(removed);
            delete.execute(&mut *connection).await.map_err(failed)?;
        }
        let positions: Vec<_> = upserted.iter().map(|(position, ..)| position.to_i64()).collect();
        let ids: Vec<_> = upserted.iter().map(|(_, id, _)| *id).collect();
        let movies: Vec<_> = upserted.iter().map(|(.., record)| &**record.bytes()).collect();
        let revisions: Vec<_> = changes.iter().map(|change| change.point.revision.to_i64()).collect();
        let changed_ids: Vec<_> = changes.iter().map(|change| &*change.id).collect();
        let record = |change: &'_ Committed| change.record.as_ref().map(|record| record.bytes().to_vec());
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
        self.end("COMMIT").await
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn compact(&mut self, keep: u64, most: u64) -> Result<bool, StoreError> {
        let open = self.open().await?;
        let select = "SELECT revision, (SELECT min(revision) FROM changes) FROM head";
        let row = open.begin(&format!("BEGIN; {TIMEOUTS}; {select}")).await?;
        let row = row.ok_or_else(|| StoreError::Damaged("the table `head` has no row".into()))?;
        let (head, oldest): (i64, Option<i64>) =
            (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let wanted = head.saturating_sub(signed(keep));
        let bound = wanted.min(oldest.unwrap_or(wanted).saturating_add(signed(most)));
        if oldest.is_some_and(|oldest| oldest < bound) {
            // The row before the oldest change that is kept stays, for its chain value.
            let delete = format!(
                "DELETE FROM requests WHERE revision < {bound}; DELETE FROM changes WHERE revision < {bound}"
            );
            raw_sql(AssertSqlSafe(delete)).execute(&mut open.connection).await.map_err(failed)?;
        }
        self.commit().await?;
        Ok(bound < wanted)
    }

    fn disconnect(&mut self) {
        self.open = None;
    }
}

fn access(is_read_only: bool) -> Access {
    if is_read_only { Access::ReadOnly } else { Access::ReadWrite }
}

fn point(row: &PgRow, column: usize) -> Result<HistoryPoint, StoreError> {
    let chain: Vec<u8> = row.try_get(column + 1).map_err(failed)?;
    rows::point(row.try_get(column).map_err(failed)?, &chain)
}

/// Reads all movies, in a transaction.
async fn movies(connection: &mut PgConnection) -> Result<Snapshot, StoreError> {
    let select = sqlx::query("SELECT id, movie FROM movies ORDER BY position").persistent(false);
    let mut found = select.fetch(connection);
    let mut movies = Movies::default();
    while let Some(row) = timeout(ROW_TIMEOUT, found.next()).await.map_err(|_| StoreError::Late)? {
        let row = row.map_err(failed)?;
        movies.push(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)?;
    }
    movies.finish()
}

/// Reads the changes after a revision up to another, in a transaction.
async fn changes(
    connection: &mut PgConnection,
    after: i64,
    up_to: Revision,
) -> Result<Vec<Committed>, StoreError> {
    let select = "SELECT revision, id, movie, chain FROM changes WHERE revision > $1 AND revision <= $2 ORDER BY revision";
    let select = sqlx::query(select).persistent(false).bind(after).bind(up_to.to_i64());
    let mut found = select.fetch(connection);
    let mut changes = Vec::new();
    while let Some(row) = timeout(ROW_TIMEOUT, found.next()).await.map_err(|_| StoreError::Late)? {
        changes.push(change(&row.map_err(failed)?)?);
    }
    Ok(changes)
}

fn change(row: &PgRow) -> Result<Committed, StoreError> {
    let (id, chain): (&str, &[u8]) = (row.try_get(1).map_err(failed)?, row.try_get(3).map_err(failed)?);
    rows::change(row.try_get(0).map_err(failed)?, id, row.try_get(2).map_err(failed)?, chain)
}

const INSUFFICIENT_PRIVILEGE: &str = "SQLSTATE 42501";

/// Returns what an error means for a store.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
fn failed(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return StoreError::Failed(error.to_string());
    };
    let code = database.code().unwrap_or_default();
    let why = format!("{} (SQLSTATE {code})", database.message());
    // The names are those of PostgreSQL's documentation, appendix A.
    match &*code {
        // serialization_failure, deadlock_detected.
        "40001" | "40P01" => StoreError::Conflict,
        // query_canceled, as by statement_timeout; lock_not_available.
        "57014" | "55P03" => StoreError::Locked,
        // read_only_sql_transaction.
        "25006" => StoreError::ReadOnly,
        // disk_full.
        "53100" => StoreError::Full(why),
        // Class 22, data exception: the fault of the statement.
        code if code.starts_with("22") => StoreError::Rejected(why),
        _ => StoreError::Failed(why),
    }
}

/// Returns why a host cannot be connected to, in words.
#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, to which variants may be added")]
fn connect_failure(error: &sqlx::Error) -> String {
    let database = match error {
        sqlx::Error::Database(database) => database,
        // Without sqlx's own prefix.
        sqlx::Error::Io(error) => return error.to_string(),
        error => return error.to_string(),
    };
    match database.code().as_deref() {
        // invalid_password, invalid_authorization_specification.
        Some("28P01" | "28000") => format!(
            "{}; special characters of the password have to be percent-encoded in the URL, such as @ as %40",
            database.message()
        ),
        _ => database.message().to_owned(),
    }
}
