//! Statements of an SQLite store, on an open connection.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::catalogue::{CommittedChange, HistoryPoint, Snapshot};
use crate::movie::Revision;
use crate::store::StoreError;
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::sql::rows::{self, Compaction, MovieRows, Movies};
use crate::store::sql::schema;

/// Returns the latest commit.
pub(super) fn head(connection: &Connection) -> Result<HistoryPoint, StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision, chain FROM head").map_err(failed)?;
    let row = statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let (revision, chain) = row.map_err(failed)?;
    rows::point(revision, &chain)
}

/// Reads all movies.
pub(super) fn movies(connection: &Connection) -> Result<Snapshot, StoreError> {
    let mut movies = Movies::default();
    let select = "SELECT id, movie FROM movies ORDER BY position";
    let mut statement = connection.prepare(select).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let id = row.get_ref(0).and_then(|id| Ok(id.as_str()?)).map_err(failed)?;
        let movie = row.get_ref(1).and_then(|movie| Ok(movie.as_blob()?)).map_err(failed)?;
        movies.push(id, movie)?;
    }
    movies.finish()
}

/// Reads the changes after the revision `after` up to `up_to`.
pub(super) fn changes(
    connection: &Connection,
    after: i64,
    up_to: Revision,
) -> Result<Vec<CommittedChange>, StoreError> {
    let select = "SELECT revision, id, movie, chain FROM changes WHERE revision > ?1 AND revision <= ?2 ORDER BY revision";
    let mut statement = connection.prepare_cached(select).map_err(failed)?;
    let mut found = statement.query([after, up_to.to_i64()]).map_err(failed)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let id = row.get_ref(1).and_then(|id| Ok(id.as_str()?)).map_err(failed)?;
        let chain = row.get_ref(3).and_then(|chain| Ok(chain.as_blob()?)).map_err(failed)?;
        let (revision, movie) =
            row.get(0).and_then(|revision| Ok((revision, row.get(2)?))).map_err(failed)?;
        changes.push(rows::change(revision, id, movie, chain)?);
    }
    Ok(changes)
}

/// Reads the stored requests with these ids.
pub(super) fn requests(
    connection: &Connection,
    ids: &[&str],
) -> Result<HashMap<String, StoredRequest>, StoreError> {
    let select = "SELECT changes.id, changes.movie, requests.fingerprint FROM requests \
        JOIN changes ON changes.revision = requests.revision WHERE requests.request_id = ?1";
    let mut statement = connection.prepare_cached(select).map_err(failed)?;
    let mut found = HashMap::new();
    for request_id in ids {
        let row = statement.query_row([request_id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, i64>(2)?))
        });
        if let Some((id, Some(movie), fingerprint)) = row.optional().map_err(failed)? {
            let record = rows::record(&id, movie)?;
            let stored = StoredRequest { fingerprint: fingerprint.cast_unsigned(), record };
            found.insert((*request_id).to_owned(), stored);
        }
    }
    Ok(found)
}

/// Writes changes, the requests that made them, and the new head.
pub(super) fn put(
    connection: &Connection,
    changes: &[CommittedChange],
    requests: &[NewRequest],
) -> rusqlite::Result<()> {
    let MovieRows { removed, upserted } = MovieRows::of(changes);
    let mut delete = connection.prepare_cached("DELETE FROM movies WHERE id = ?1")?;
    for id in removed {
        delete.execute([id])?;
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO movies (position, id, movie) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET movie = excluded.movie",
    )?;
    for (position, id, record) in upserted {
        upsert.execute(params![position.to_i64(), id, &**record.bytes()])?;
    }
    for change in changes {
        insert_change(connection, change)?;
    }
    let mut insert = connection
        .prepare_cached("INSERT INTO requests (request_id, revision, fingerprint) VALUES (?1, ?2, ?3)")?;
    for NewRequest { id, fingerprint, revision } in requests {
        insert.execute(params![id, revision.to_i64(), fingerprint.cast_signed()])?;
    }
    if let Some(last) = changes.last() {
        set_head(connection, last.point)?;
    }
    Ok(())
}

/// Writes the changes that create the first movies, and the new head. The changes from `oldest_kept` on stay in the log.
pub(super) fn fill(
    connection: &Connection,
    changes: impl Iterator<Item = CommittedChange>,
    oldest_kept: Revision,
) -> rusqlite::Result<Option<HistoryPoint>> {
    connection.execute_batch(RECREATE_MOVIES)?;
    connection.execute("DELETE FROM changes WHERE revision < ?1", [oldest_kept.to_i64()])?;
    let mut last = None;
    for change in changes {
        let CommittedChange { point, id, record } = &change;
        let position = point.revision.to_i64();
        let movie = record.as_ref().map(|record| &**record.bytes());
        let mut insert =
            connection.prepare_cached("INSERT INTO movies (position, id, movie) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![position, &**id, movie])?;
        if point.revision >= oldest_kept {
            insert_change(connection, &change)?;
        }
        last = Some(*point);
    }
    connection.execute_batch(INDEX_MOVIES)?;
    if let Some(last) = last {
        set_head(connection, last)?;
    }
    Ok(last)
}

/// Recreates the empty table of movies without its index of ids, and creates that. SQLite sorts the ids then, which is
/// faster than adding each at its place. Columns and constraints stay the same.
const RECREATE_MOVIES: &str = "DROP TABLE movies; \
    CREATE TABLE movies (position INTEGER PRIMARY KEY, id TEXT NOT NULL, movie BLOB NOT NULL)";
const INDEX_MOVIES: &str = "CREATE UNIQUE INDEX movies_by_id ON movies (id)";

fn insert_change(connection: &Connection, change: &CommittedChange) -> rusqlite::Result<usize> {
    let CommittedChange { point, id, record } = change;
    let movie = record.as_ref().map(|record| &**record.bytes());
    let insert = "INSERT INTO changes (revision, id, movie, chain) VALUES (?1, ?2, ?3, ?4)";
    let row = params![point.revision.to_i64(), &**id, movie, point.chain.as_bytes()];
    connection.prepare_cached(insert)?.execute(row)
}

fn set_head(connection: &Connection, head: HistoryPoint) -> rusqlite::Result<usize> {
    let mut update = connection.prepare_cached("UPDATE head SET revision = ?1, chain = ?2")?;
    update.execute(params![head.revision.to_i64(), head.chain.as_bytes()])
}

/// Runs one pass of compaction. Returns how many changes were removed, and whether more remain.
pub(super) fn compact(
    connection: &Connection,
    head: Revision,
    max_kept: u64,
    max_removed: u64,
) -> Result<(usize, bool), StoreError> {
    let oldest: rusqlite::Result<Option<i64>> =
        connection.query_row("SELECT min(revision) FROM changes", [], |row| row.get(0));
    let oldest = oldest.map_err(failed)?.map(rows::revision).transpose()?;
    let Some(Compaction { before, has_more }) = Compaction::plan(head, oldest, max_kept, max_removed) else {
        return Ok((0, false));
    };
    let delete = |sql| connection.prepare_cached(sql)?.execute([before]);
    delete("DELETE FROM requests WHERE revision < ?1").map_err(failed)?;
    let removed = delete("DELETE FROM changes WHERE revision < ?1").map_err(failed)?;
    Ok((removed, has_more))
}

/// Applies the missing migrations to the database at `path`, which may be empty if `may_be_new` is true.
///
/// # Errors
///
/// [`StoreError::OtherProgram`] if the database has tables, but none of ours. Its tables stay as they are.
/// [`StoreError::FileGone`] if it has none, but must have them.
pub(super) fn migrate(connection: &Connection, path: &Path, may_be_new: bool) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let count = "SELECT count(*), count(*) FILTER (WHERE name = '_sqlx_migrations') FROM sqlite_master";
    let counts = transaction.query_row(count, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (objects, migration_tables) = counts.map_err(failed)?;
    if objects > 0 && migration_tables == 0 {
        return Err(StoreError::OtherProgram(path.to_owned()));
    }
    if objects == 0 && !may_be_new {
        return Err(StoreError::FileGone);
    }
    let mut applied = Vec::new();
    if migration_tables > 0 {
        let mut statement = transaction.prepare(schema::SELECT_APPLIED).map_err(failed)?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        applied = found.collect::<Result<_, _>>().map_err(failed)?;
    }
    for migration in schema::SQLITE.missing(&applied)? {
        transaction.execute_batch(schema::SQLITE.create_table).map_err(failed)?;
        transaction.execute_batch(migration.sql).map_err(failed)?;
        let row = params![migration.version, migration.description, migration.checksum()];
        transaction.execute(schema::SQLITE.insert, row).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Converts an error of SQLite.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let why = error.to_string();
    // The names are those of https://www.sqlite.org/rescode.html.
    match code {
        // BUSY, LOCKED, BUSY_RECOVERY, BUSY_SNAPSHOT.
        Some(5 | 6 | 261 | 517) => StoreError::Locked,
        // FULL, IOERR_WRITE; the latter is the result of a quota or of a limit on the size of files.
        Some(13 | 778) => StoreError::Full(why),
        Some(26) => StoreError::NotSqlite, // NOTADB
        // CORRUPT, CORRUPT_VTAB, CORRUPT_SEQUENCE, CORRUPT_INDEX.
        Some(11 | 267 | 523 | 779) => StoreError::Damaged(why),
        Some(_) | None => StoreError::Failed(why),
    }
}
