//! Schema migrations. Applied migrations are recorded in `_sqlx_migrations`, in sqlx's format, so that earlier versions
//! of the service, which used sqlx's migrator, refuse a newer store.

use sha2::{Digest, Sha384};

use crate::store::StoreError;

/// The schema of a database engine.
#[derive(Debug)]
pub(super) struct Schema {
    /// Creates the table of migrations if it is missing.
    pub(super) create_table: &'static str,
    /// Inserts a migration: version, description and checksum.
    pub(super) insert: &'static str,
    migrations: [Migration; 3],
}

/// One step of a schema.
#[derive(Debug)]
pub(super) struct Migration {
    /// Number of the migration, from 1.
    pub(super) version: i64,
    /// Short description, for people.
    pub(super) description: &'static str,
    /// Statements.
    pub(super) sql: &'static str,
}

/// Selects the version and the checksum of each applied migration.
pub(super) const SELECT_APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";

/// The schema of SQLite files.
pub(super) const SQLITE: Schema = Schema {
    create_table: "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
        execution_time BIGINT NOT NULL)",
    insert: "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (?1, ?2, TRUE, ?3, 0)",
    migrations: [
        Migration {
            version: 1,
            description: "catalogue",
            sql: include_str!("../../../migrations/sqlite/1_catalogue.sql"),
        },
        Migration {
            version: 2,
            description: "chain values",
            sql: include_str!("../../../migrations/sqlite/2_chain_values.sql"),
        },
        Migration {
            version: 3,
            description: "more fields",
            sql: include_str!("../../../migrations/sqlite/3_more_fields.sql"),
        },
    ],
};

/// The schema of PostgreSQL databases.
pub(super) const POSTGRES: Schema = Schema {
    create_table: "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
        installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, \
        execution_time BIGINT NOT NULL)",
    insert: "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES ($1, $2, TRUE, $3, 0)",
    migrations: [
        Migration {
            version: 1,
            description: "catalogue",
            sql: include_str!("../../../migrations/postgres/1_catalogue.sql"),
        },
        Migration {
            version: 2,
            description: "chain values",
            sql: include_str!("../../../migrations/postgres/2_chain_values.sql"),
        },
        Migration {
            version: 3,
            description: "more fields",
            sql: include_str!("../../../migrations/postgres/3_more_fields.sql"),
        },
    ],
};

impl Migration {
    /// Returns a hash of the statements.
    pub(super) fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.sql).to_vec()
    }
}

impl Schema {
    /// Returns the missing migrations; `applied` are the versions and checksums of the applied ones, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] or [`StoreError::Damaged`] if the applied migrations are not those of this schema.
    pub(super) fn missing(&self, applied: &[(i64, Vec<u8>)]) -> Result<&[Migration], StoreError> {
        if applied.len() > self.migrations.len() {
            return Err(StoreError::Newer);
        }
        for ((version, checksum), migration) in applied.iter().zip(&self.migrations) {
            if *version != migration.version || *checksum != migration.checksum() {
                let version = migration.version;
                return Err(StoreError::Damaged(format!(
                    "its migration {version} is not that of this service"
                )));
            }
        }
        Ok(&self.migrations[applied.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(versions: usize) -> Vec<(i64, Vec<u8>)> {
        POSTGRES.migrations[..versions]
            .iter()
            .map(|migration| (migration.version, migration.checksum()))
            .collect()
    }

    #[test]
    fn missing_migrations_are_applied_in_order() {
        let versions = |applied: &[_]| {
            let missing = POSTGRES.missing(applied).unwrap();
            missing.iter().map(|migration| migration.version).collect::<Vec<_>>()
        };
        assert_eq!(versions(&[]), [1, 2, 3]);
        assert_eq!(versions(&applied(1)), [2, 3]);
        assert!(versions(&applied(3)).is_empty());
    }

    #[test]
    fn a_store_of_a_later_version_or_with_another_schema_is_refused() {
        let mut newer = applied(3);
        newer.push((4, Vec::new()));
        assert!(matches!(POSTGRES.missing(&newer), Err(StoreError::Newer)));
        let mut other = applied(3);
        other[1].1[0] ^= 1;
        assert!(matches!(POSTGRES.missing(&other), Err(StoreError::Damaged(_))));
    }
}
