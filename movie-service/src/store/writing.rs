//! A transaction of an SQL store in which movies are changed.

use std::collections::HashMap;

use sqlx::{Any, Row, Transaction, query};

use super::error::StoreError;
use super::plan::{Planned, Remembered};
use super::rows::{self, Changes, signed};
use crate::catalogue::Record;

/// A transaction in which nobody else writes. It does nothing unless it is committed.
#[derive(Debug)]
pub struct Writing<'a>(pub(super) Transaction<'a, Any>);

impl Writing<'_> {
    /// Returns the changes after a revision up to another.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be read.
    pub async fn changes(&mut self, after: u64, up_to: u64) -> Result<Changes, StoreError> {
        rows::changes(&mut self.0, after, up_to).await
    }

    /// Returns those of these requests that were made before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be read.
    pub async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, Remembered>, StoreError> {
        let mut found = HashMap::new();
        for id in ids {
            let select = "SELECT changes.id, changes.movie, requests.fingerprint FROM requests \
                JOIN changes ON changes.revision = requests.revision WHERE requests.request_id = $1";
            let row = query(select).bind((*id).to_owned()).fetch_optional(&mut *self.0).await?;
            if let Some(row) = row
                && let Some(record) = rows::record(&row)?
            {
                let fingerprint = row.try_get::<i64, _>(2)?.cast_unsigned();
                found.insert((*id).to_owned(), Remembered { fingerprint, record });
            }
        }
        Ok(found)
    }

    /// Puts changes that follow a revision into the transaction, and the requests that made them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that cannot be done.
    pub async fn put(
        &mut self,
        after: u64,
        planned: &[Planned],
        requests: &[(String, u64, usize)],
    ) -> Result<(), StoreError> {
        let transaction = &mut *self.0;
        // The last change of a movie is the one that counts; one that was removed before has another position now.
        let mut last: HashMap<&str, (u64, Option<&Record>, bool)> = HashMap::new();
        for (change, revision) in planned.iter().zip(after + 1..) {
            let entry = last.entry(&change.id).or_insert((revision, None, false));
            if entry.1.is_none() {
                entry.0 = revision;
            }
            entry.1 = change.record.as_ref();
            entry.2 |= change.record.is_none();
        }
        for (id, _) in last.iter().filter(|(_, (.., removed))| *removed) {
            query("DELETE FROM movies WHERE id = $1")
                .bind((*id).to_owned())
                .execute(&mut *transaction)
                .await?;
        }
        let movies: Vec<_> = last
            .into_iter()
            .filter_map(|(id, (position, record, _))| Some((position, id, Some(record?))))
            .collect();
        let changes: Vec<_> = planned
            .iter()
            .zip(after + 1..)
            .map(|(change, revision)| (revision, change.id.as_str(), change.record.as_ref()))
            .collect();
        let upsert = " ON CONFLICT (id) DO UPDATE SET movie = excluded.movie";
        rows::insert(transaction, "movies (position, id, movie)", upsert, &movies).await?;
        rows::insert(transaction, "changes (revision, id, movie)", "", &changes).await?;
        for (id, fingerprint, change) in requests {
            query("INSERT INTO requests (request_id, revision, fingerprint) VALUES ($1, $2, $3)")
                .bind(id.clone())
                .bind(signed(after + 1 + *change as u64))
                .bind(fingerprint.cast_signed())
                .execute(&mut *transaction)
                .await?;
        }
        query("UPDATE head SET revision = $1")
            .bind(signed(after + planned.len() as u64))
            .execute(&mut *transaction)
            .await?;
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; unless it is a conflict, nobody knows whether it is done.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}
