//! Writes many rows of a PostgreSQL table by COPY.

use std::mem;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgCopyIn};
use tokio::time::timeout;

use crate::store::StoreError;
use crate::store::sql::postgres_connection::failed;

/// Size of a message of rows.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Timeout of one message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Start of the binary format: signature, flags, and the length of the header's extension
/// (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// End of the binary format.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// A COPY of rows in the binary format, in the current transaction. If it is dropped, the connection has to be dropped,
/// too.
pub(super) struct CopyIn<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    message: Vec<u8>,
}

impl<'a> CopyIn<'a> {
    /// Begins to write the rows of a table. `table` is its name and its columns.
    pub(super) async fn begin(connection: &'a mut PgConnection, table: &str) -> Result<Self, StoreError> {
        let statement = format!("COPY {table} FROM STDIN (FORMAT binary)");
        let copy = connection.copy_in_raw(&statement).await.map_err(failed)?;
        Ok(Self { copy, message: HEADER.to_vec() })
    }

    /// Writes a row.
    pub(super) async fn row<const N: usize>(&mut self, values: [Option<&[u8]>; N]) -> Result<(), StoreError> {
        let columns = i16::try_from(N).expect("a table has few columns");
        self.message.extend_from_slice(&columns.to_be_bytes());
        for value in values {
            // A length of -1 stands for NULL.
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
            self.message.extend_from_slice(&length.to_be_bytes());
            self.message.extend_from_slice(value.unwrap_or_default());
        }
        if self.message.len() >= MESSAGE_BYTES { self.send().await } else { Ok(()) }
    }

    /// Waits until the server has written all rows.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.message.extend_from_slice(&TRAILER);
        self.send().await?;
        let finished = timeout(MESSAGE_TIMEOUT, self.copy.finish()).await;
        finished.map_err(|_| StoreError::TimedOut)?.map_err(failed)?;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let message = mem::take(&mut self.message);
        let sent = timeout(MESSAGE_TIMEOUT, self.copy.send(message)).await;
        sent.map_err(|_| StoreError::TimedOut)?.map_err(failed)?;
        Ok(())
    }
}
