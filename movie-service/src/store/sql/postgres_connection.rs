//! A connection to one host of a PostgreSQL database.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row, raw_sql};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::catalogue::HistoryPoint;
use crate::store::StoreError;
use crate::store::sql::postgres_url::PostgresUrl;
use crate::store::sql::rows;
use crate::store::sql::schema::{self, Migration};
use crate::store::status::AccessMode;

/// Timeout of a connection attempt to one host. Hosts are tried concurrently, and the timeout is shorter than that of
/// a poll, so an unreachable host does not block the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Key of the advisory lock that serialises the migrations of nodes: `movies` in ASCII.
const MIGRATION_LOCK: i64 = 0x6d6f_7669_6573;

/// A connection to one host of a database.
#[derive(Debug)]
pub(super) struct HostConnection {
    pub(super) connection: PgConnection,
    /// Index of the host in the URL.
    pub(super) host: usize,
    pub(super) mode: AccessMode,
    /// Whether a transaction may be open.
    pub(super) is_in_transaction: bool,
}

impl HostConnection {
    /// Connects to a host.
    ///
    /// # Errors
    ///
    /// [`StoreError::Connect`] with the name of the host and the reason.
    pub(super) async fn connect(url: &PostgresUrl, host: usize) -> Result<Self, StoreError> {
        let options = url.options(host);
        let connect = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let select = "SELECT current_setting('transaction_read_only') = 'on'";
            let row = raw_sql(select).fetch_one(&mut connection).await?;
            let mode = access_mode(row.try_get(0)?);
            Ok::<_, sqlx::Error>(Self { connection, host, mode, is_in_transaction: false })
        };
        let error = |why: &str| StoreError::Connect(format!("{}: {why}", url.host_name(host)));
        match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(failure)) => Err(error(&connect_failure(&failure))),
            Err(_) => Err(error("no answer in time")),
        }
    }

    /// Begins a transaction with several statements in one message. Returns the last row of their results.
    pub(super) async fn begin(&mut self, statements: &str) -> Result<Option<PgRow>, StoreError> {
        self.is_in_transaction = true;
        let mut rows = raw_sql(AssertSqlSafe(statements)).fetch(&mut self.connection);
        let mut last = None;
        while let Some(row) = rows.next().await {
            last = Some(row.map_err(failed)?);
        }
        Ok(last)
    }

    /// Begins a transaction in which `select` returns the latest commit.
    pub(super) async fn begin_at_head(
        &mut self,
        begin: &str,
        select: &str,
    ) -> Result<HistoryPoint, StoreError> {
        let row = self.begin(&format!("{begin}; {select}")).await?;
        let row = row.ok_or_else(|| StoreError::Damaged("the table `head` has no row".into()))?;
        point(&row, 0)
    }

    /// Checks the encoding of the database, and applies the missing migrations. `user` is for the message.
    pub(super) async fn update_schema(&mut self, user: Option<&str>) -> Result<(), StoreError> {
        let select = "SELECT current_setting('server_encoding'), to_regclass('_sqlx_migrations') IS NOT NULL";
        let row = raw_sql(select).fetch_one(&mut self.connection).await.map_err(failed)?;
        let encoding: String = row.try_get(0).map_err(failed)?;
        if encoding != "UTF8" {
            return Err(StoreError::Encoding(encoding));
        }
        let has_schema = row.try_get(1).map_err(failed)?;
        let applied = if has_schema { self.applied().await? } else { Vec::new() };
        if schema::POSTGRES.missing(&applied)?.is_empty() {
            return Ok(());
        }
        if self.mode == AccessMode::ReadOnly {
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

    /// Returns the versions and checksums of the applied migrations.
    async fn applied(&mut self) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let rows = raw_sql(schema::SELECT_APPLIED).fetch_all(&mut self.connection).await.map_err(failed)?;
        let migration = |row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(migration).collect::<Result<_, _>>().map_err(failed)
    }

    /// Applies the missing migrations in one transaction. A lock keeps other nodes from migrating at the same time.
    async fn migrate(&mut self) -> Result<(), StoreError> {
        let create_table = schema::POSTGRES.create_table;
        self.begin(&format!("BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); {create_table}")).await?;
        let applied = self.applied().await?;
        for migration in schema::POSTGRES.missing(&applied)? {
            let Migration { version, description, sql } = migration;
            raw_sql(*sql).execute(&mut self.connection).await.map_err(failed)?;
            let insert = sqlx::query(schema::POSTGRES.insert).persistent(false);
            let insert = insert.bind(version).bind(description).bind(migration.checksum());
            insert.execute(&mut self.connection).await.map_err(failed)?;
        }
        self.end("COMMIT").await
    }

    /// Ends the transaction with COMMIT or ROLLBACK. Does nothing if there is none.
    pub(super) async fn end(&mut self, statement: &'static str) -> Result<(), StoreError> {
        if self.is_in_transaction {
            raw_sql(statement).execute(&mut self.connection).await.map_err(failed)?;
            self.is_in_transaction = false;
        }
        Ok(())
    }
}

pub(super) fn access_mode(is_read_only: bool) -> AccessMode {
    if is_read_only { AccessMode::ReadOnly } else { AccessMode::ReadWrite }
}

/// Converts two adjacent columns, a revision and its chain value.
pub(super) fn point(row: &PgRow, column: usize) -> Result<HistoryPoint, StoreError> {
    let chain: Vec<u8> = row.try_get(column + 1).map_err(failed)?;
    rows::point(row.try_get(column).map_err(failed)?, &chain)
}

const INSUFFICIENT_PRIVILEGE: &str = "SQLSTATE 42501";

/// Converts an error of a statement.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
pub(super) fn failed(error: sqlx::Error) -> StoreError {
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
        // Class 22, data exception: the statement has an invalid value.
        code if code.starts_with("22") => StoreError::Rejected(why),
        _ => StoreError::Failed(why),
    }
}

/// Returns why a connection attempt failed, for people.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum of another crate may get more variants")]
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
