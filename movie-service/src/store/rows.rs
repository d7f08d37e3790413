//! The rows of an SQL store, and what they hold.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row, query};

use super::error::StoreError;
use crate::catalogue::Record;
use crate::movie;

/// Rows in a statement: the statements are few, so that they are prepared once.
const CHUNKS: [usize; 3] = [256, 16, 1];

/// Changes as they were committed: the id, and the movie since or `None`.
pub type Changes = Vec<(Box<str>, Option<Record>)>;

/// Inserts rows of a number, an id and a movie, many in a statement.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    into: &str,
    on_conflict: &str,
    mut rows: &[(u64, &str, Option<&Record>)],
) -> Result<(), StoreError> {
    for size in CHUNKS {
        let values: Vec<_> =
            (0..size).map(|row| format!("(${}, ${}, ${})", 3 * row + 1, 3 * row + 2, 3 * row + 3)).collect();
        let statement = format!("INSERT INTO {into} VALUES {}{on_conflict}", values.join(", "));
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let mut query = query(AssertSqlSafe(statement.as_str()));
            for (number, id, record) in chunk {
                query = query.bind(signed(*number)).bind((*id).to_owned());
                query = query.bind(record.map(|record| record.bytes().to_vec()));
            }
            query.execute(&mut *connection).await?;
            rows = rest;
        }
    }
    Ok(())
}

/// Returns the revision of the last change.
pub(super) async fn revision(connection: &mut AnyConnection) -> Result<u64, StoreError> {
    let row = query("SELECT revision FROM head").fetch_one(connection).await?;
    unsigned(row.try_get(0)?)
}

/// Returns the changes after a revision up to another.
pub(super) async fn changes(
    connection: &mut AnyConnection,
    after: u64,
    up_to: u64,
) -> Result<Changes, StoreError> {
    // A store that has gone back: somebody restored a backup while the service was running.
    let Some(count) = up_to.checked_sub(after) else {
        return Err(StoreError::Damaged(format!("it is at revision {up_to}, and was at {after} before")));
    };
    let select =
        "SELECT id, movie, revision FROM changes WHERE revision > $1 AND revision <= $2 ORDER BY revision";
    let rows = query(select).bind(signed(after)).bind(signed(up_to)).fetch_all(connection).await?;
    let mut changes = Changes::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(after + 1..) {
        if unsigned(row.try_get(2)?)? != expected {
            return Err(StoreError::Compacted(after));
        }
        changes.push((row.try_get::<&str, _>(0)?.into(), record(row)?));
    }
    if changes.len() as u64 == count { Ok(changes) } else { Err(StoreError::Compacted(after)) }
}

/// Returns the movie of a row of an id and a movie.
pub(super) fn record(row: &AnyRow) -> Result<Option<Record>, StoreError> {
    let id: &str = row.try_get(0)?;
    let Some(bytes) = row.try_get::<Option<Vec<u8>>, _>(1)? else { return Ok(None) };
    if !movie::is_record(&bytes, id) {
        return Err(StoreError::Damaged(format!("what it has of movie `{id}` is no movie")));
    }
    Ok(Some(Record::from_bytes(bytes.into())))
}

/// Returns a revision as the store has it.
pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// Returns a revision that the store has.
pub(super) fn unsigned(revision: i64) -> Result<u64, StoreError> {
    u64::try_from(revision).map_err(|_| StoreError::Damaged(format!("it has the revision {revision}")))
}

#[cfg(test)]
mod tests {
    use crate::store::sql::{Place, Sql};

    #[tokio::test]
    async fn a_store_that_has_gone_back_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Sql::open(Place::Sqlite(dir.path().join("movies.db"))).await.unwrap();
        let error = store.changes(5, 10).await.unwrap_err().to_string();
        assert!(error.contains("it is at revision 0, and was at 5 before"), "{error}");
    }
}
