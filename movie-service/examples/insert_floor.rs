//! Lower bounds for `cargo xtask bench store`: SQLite without the service.
//!
//! * `insert_floor insert FROM TO` copies the movies of a store into a new table of the same columns and constraints, in
//!   transactions of 20,000.
//! * `insert_floor select STORE` reads all columns of all movies, and prints the number of movies.

use rusqlite::Connection;

/// The settings of the service.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -131072";

/// The table of migration 1.
const CREATE: &str =
    "CREATE TABLE movies (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, movie BLOB NOT NULL)";

const SELECT: &str = "SELECT position, id, movie FROM movies ORDER BY position";

const MOVIES_IN_A_TRANSACTION: u64 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["insert", from, to] => insert(&Connection::open(from)?, &Connection::open(to)?)?,
        ["select", store] => println!("{}", select(&Connection::open(store)?)?),
        _ => return Err("expected `insert FROM TO` or `select STORE`".into()),
    }
    Ok(())
}

fn insert(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    to.execute_batch(PRAGMAS)?;
    to.execute_batch(CREATE)?;
    let mut insert = to.prepare("INSERT INTO movies (position, id, movie) VALUES (?1, ?2, ?3)")?;
    let mut select = from.prepare(SELECT)?;
    let mut rows = select.query([])?;
    let mut written = 0;
    to.execute_batch("BEGIN")?;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        insert.execute((position, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?))?;
        written += 1;
        if written % MOVIES_IN_A_TRANSACTION == 0 {
            to.execute_batch("COMMIT; BEGIN")?;
        }
    }
    to.execute_batch("COMMIT")
}

fn select(store: &Connection) -> rusqlite::Result<u64> {
    let mut select = store.prepare(SELECT)?;
    let mut rows = select.query([])?;
    let (mut movies, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        bytes +=
            row.get_ref(1)?.as_str()?.len() + row.get_ref(2)?.as_blob()?.len() + usize::from(position == 0);
        movies += 1;
    }
    std::hint::black_box(bytes);
    Ok(movies)
}
