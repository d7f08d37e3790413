//! The address of a database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::store::sql::{PostgresUrl, SqlSource};

/// The address of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A JSON file.
    Json(PathBuf),
    /// A store.
    Sql(SqlSource),
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err("expected a path after `sqlite:`".into()),
                path if path.contains(":memory:") || path.contains("mode=memory") => Err(
                    "a database in memory keeps nothing; name a file, as in sqlite:movies.db, or serve a JSON file"
                        .into(),
                ),
                path if path.contains('?') => Err("expected a path without options after `?`".into()),
                path => Ok(Self::Sql(SqlSource::Sqlite(path.into()))),
            },
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                let url = text.parse::<PostgresUrl>().map_err(|error| error.to_string())?;
                Ok(Self::Sql(SqlSource::Postgres(Box::new(url))))
            }
            Some((scheme, rest)) if rest.starts_with("//") => Err(format!(
                "`{scheme}` databases are not supported, expected a JSON file, sqlite:PATH or postgres://…"
            )),
            _ if text.is_empty() => Err("expected a JSON file, sqlite:PATH or postgres://…".into()),
            _ => Ok(Self::Json(text.into())),
        }
    }
}

/// Displays the address; for SQL stores without user, password and parameters, and with the default ports.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(path) => path.display().fmt(f),
            Self::Sql(source) => source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_recognized_by_its_scheme_and_shown_without_its_password() {
        let shown = |text: &str| text.parse::<Database>().map(|database| database.to_string());
        assert_eq!(shown("movies.json").unwrap(), "movies.json");
        assert_eq!(shown("a:b.json").unwrap(), "a:b.json");
        assert_eq!(shown("sqlite:films.db").unwrap(), "sqlite:films.db");
        assert_eq!(shown("sqlite:///srv/films.db").unwrap(), "sqlite:/srv/films.db");
        let url = "postgres://me:p%40ss@host:1,other/films?sslmode=require";
        assert_eq!(shown(url).unwrap(), "postgres://host:1,other:5432/films");
        assert_eq!(shown("postgresql://host/films").unwrap(), "postgres://host:5432/films");
        for wrong in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:films.db?mode=ro",
            "mysql://host/films",
            "https://films.example",
        ] {
            shown(wrong).unwrap_err();
        }
    }
}
