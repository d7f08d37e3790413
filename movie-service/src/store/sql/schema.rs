//! How the tables are made, and brought up to date. Applied migrations are recorded in `_sqlx_migrations`, in sqlx's
//! format, so that earlier versions of the service, which used sqlx's migrator, refuse a newer store.

use sha2::{Digest, Sha384};

use crate::store::StoreError;

/// One step of the schema.
#[derive(Debug)]
pub(super) struct Migration {
    /// Its number, from 1.
    pub(super) version: i64,
    /// What it is about.
    pub(super) description: &'static str,
    /// Its statements.
    pub(super) sql: &'static str,
}

/// The schema of SQLite files.
pub(super) const SQLITE: [Migration; 2] = [
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
];

/// The schema of PostgreSQL databases.
pub(super) const POSTGRES: [Migration; 2] = [
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
];

impl Migration {
    /// Returns a hash of the statements.
    pub(super) fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.sql).to_vec()
    }
}

/// Returns the migrations that a store lacks; `applied` are the versions that it has, in order, and their checksums.
pub(super) fn missing<'a>(
    migrations: &'a [Migration],
    applied: &[(i64, Vec<u8>)],
) -> Result<&'a [Migration], StoreError> {
    if applied.len() > migrations.len() {
        return Err(StoreError::Newer);
    }
    for ((version, checksum), migration) in applied.iter().zip(migrations) {
        if *version != migration.version || *checksum != migration.checksum() {
            let schema = migration.version;
            return Err(StoreError::Damaged(format!("its schema {schema} is not the one of this service")));
        }
    }
    Ok(&migrations[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(versions: usize) -> Vec<(i64, Vec<u8>)> {
        POSTGRES[..versions].iter().map(|migration| (migration.version, migration.checksum())).collect()
    }

    #[test]
    fn a_store_gets_the_migrations_that_it_lacks() {
        let versions = |applied: &[_]| {
            let missing = missing(&POSTGRES, applied).unwrap();
            missing.iter().map(|migration| migration.version).collect::<Vec<_>>()
        };
        assert_eq!(versions(&[]), [1, 2]);
        assert_eq!(versions(&applied(1)), [2]);
        assert!(versions(&applied(2)).is_empty());
    }

    #[test]
    fn a_store_of_a_later_version_or_with_another_schema_is_refused() {
        let mut newer = applied(2);
        newer.push((3, Vec::new()));
        assert!(matches!(missing(&POSTGRES, &newer), Err(StoreError::Newer)));
        let mut other = applied(2);
        other[1].1[0] ^= 1;
        assert!(matches!(missing(&POSTGRES, &other), Err(StoreError::Damaged(_))));
    }
}
