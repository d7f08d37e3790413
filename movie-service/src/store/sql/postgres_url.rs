//! URLs of PostgreSQL databases, in libpq's form (PostgreSQL documentation, section 34.1.1.2), with several hosts and
//! `target_session_attrs`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sqlx::postgres::PgConnectOptions;

/// Port of a host without one.
const DEFAULT_PORT: u16 = 5432;

/// Names of the supported parameters, for error messages.
const PARAMETERS: &str = "target_session_attrs, sslmode, sslrootcert, sslcert, sslkey, application_name, dbname, user, \
    password, host, port";

/// Advice on reserved characters, for error messages.
const ENCODING_ADVICE: &str = "percent-encode special characters of the user name and password: @ as %40, : as %3A, / as %2F, \
    ? as %3F, # as %23, % as %25";

/// The URL of a PostgreSQL database, on one host or several.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    hosts: Vec<Host>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    /// Whether a writable host is preferred (`target_session_attrs`).
    prefers_writable: bool,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    application_name: Option<String>,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    /// A name, an address without brackets, or the directory of a Unix socket.
    name: String,
    port: u16,
}

/// A value of `sslmode`. sqlx's type does not implement `PartialEq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SslMode(&'static str);

/// Why a URL is invalid. The message never shows the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The URL does not begin with `postgres://` or `postgresql://`.
    #[error("expected postgres://USER:PASSWORD@HOST/DATABASE")]
    Scheme,
    /// The credentials contain unencoded reserved characters, so the host cannot be found.
    #[error(
        "the URL is ambiguous, because the user name or password contains reserved characters; {ENCODING_ADVICE}"
    )]
    Credentials,
    /// A part is not percent-encoded UTF-8.
    #[error("the {0} is not percent-encoded UTF-8; {ENCODING_ADVICE}")]
    Encoding(&'static str),
    /// A port is invalid.
    #[error("the port of `{host}` is not a number from 1 to 65535")]
    Port {
        /// The host.
        host: String,
    },
    /// A host is invalid.
    #[error("`{0}` is not a host; an IPv6 address needs brackets, as in [::1]:5432")]
    Host(String),
    /// The number of ports is neither 1 nor that of the hosts.
    #[error("there are {hosts} hosts and {ports} ports; expected one port, or one for each host")]
    Ports {
        /// Number of hosts.
        hosts: usize,
        /// Number of ports.
        ports: usize,
    },
    /// A parameter is not supported.
    #[error("the parameter `{0}` is not supported; expected one of {PARAMETERS}")]
    Parameter(String),
    /// The value of a parameter is invalid.
    #[error("the parameter `{name}` cannot be `{value}`; expected {expected}")]
    Value {
        /// Name of the parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that are supported.
        expected: &'static str,
    },
}

impl PostgresUrl {
    /// Returns the number of hosts, at least 1.
    #[must_use]
    pub fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// Returns whether a writable host is preferred.
    #[must_use]
    pub fn prefers_writable(&self) -> bool {
        self.prefers_writable
    }

    /// Returns a host and its port, for messages.
    #[must_use]
    pub fn host_name(&self, host: usize) -> String {
        self.hosts.get(host).map(ToString::to_string).unwrap_or_default()
    }

    /// Returns the user, for messages.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the options of a connection to a host.
    #[must_use]
    pub fn options(&self, host: usize) -> PgConnectOptions {
        let mut options = self
            .defaults(host)
            // Poolers refuse unknown startup parameters, and the service reads no floats.
            .extra_float_digits(None)
            // A pooler may run the next transaction in another session, which lacks the prepared statements.
            .statement_cache_capacity(0);
        if let Some(Host { name, port }) = self.hosts.get(host) {
            options = options.port(*port);
            if !name.is_empty() {
                options = if name.starts_with('/') { options.socket(name) } else { options.host(name) };
            }
        }
        let Self { user, password, database, ssl_mode, application_name, .. } = self;
        if let Some(user) = user {
            options = options.username(user);
        }
        if let Some(password) = password {
            options = options.password(password);
        }
        if let Some(database) = database {
            options = options.database(database);
        }
        if let Some(SslMode(name)) = ssl_mode
            && let Ok(mode) = name.parse()
        {
            options = options.ssl_mode(mode);
        }
        if let Some(path) = &self.ssl_root_cert {
            options = options.ssl_root_cert(path);
        }
        if let Some(path) = &self.ssl_cert {
            options = options.ssl_client_cert(path);
        }
        if let Some(path) = &self.ssl_key {
            options = options.ssl_client_key(path);
        }
        options.application_name(application_name.as_deref().unwrap_or("movie-service"))
    }

    /// Returns options from libpq's environment variables and, if the URL has no password, from its password file.
    fn defaults(&self, host: usize) -> PgConnectOptions {
        let encode = |text: &Option<String>| {
            percent_encode(text.as_deref().unwrap_or_default().as_bytes(), NON_ALPHANUMERIC).to_string()
        };
        let host = self.hosts.get(host).filter(|host| !host.name.is_empty());
        match (&self.password, host) {
            (None, Some(host)) if !host.name.starts_with('/') => {
                let url = format!("postgres://{}@{host}/{}", encode(&self.user), encode(&self.database));
                url.parse().unwrap_or_else(|_| PgConnectOptions::new_without_pgpass())
            }
            (None, _) => PgConnectOptions::new(),
            (Some(_), _) => PgConnectOptions::new_without_pgpass(),
        }
    }

    fn set(&mut self, name: &str, value: String, ports: &mut Vec<String>) -> Result<(), UrlError> {
        match name {
            "target_session_attrs" => {
                self.prefers_writable = match value.as_str() {
                    "read-write" => true,
                    "any" => false,
                    _ => {
                        let expected = "read-write or any";
                        return Err(UrlError::Value { name: "target_session_attrs", value, expected });
                    }
                };
            }
            "sslmode" => {
                let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
                let Some(mode) = modes.into_iter().find(|mode| *mode == value) else {
                    let expected = "disable, allow, prefer, require, verify-ca or verify-full";
                    return Err(UrlError::Value { name: "sslmode", value, expected });
                };
                self.ssl_mode = Some(SslMode(mode));
            }
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            "application_name" => self.application_name = Some(value),
            "dbname" => self.database = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "host" => {
                let host = |name: &str| Host { name: name.to_owned(), port: DEFAULT_PORT };
                self.hosts = value.split(',').map(host).collect();
            }
            "port" => *ports = value.split(',').map(str::to_owned).collect(),
            _ => return Err(UrlError::Parameter(name.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for PostgresUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(UrlError::Scheme)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A `/`, `?` or `#` that should be encoded ends the authority early, and an unencoded `@` splits it twice.
        if rest.contains('@') && !authority.contains('@')
            || authority.matches('@').count() > 1
            || rest.contains('#')
        {
            return Err(UrlError::Credentials);
        }
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let database = decode(path.trim_start_matches('/'), "name of the database")?;
        let user = decode(user, "user name")?;
        let mut parsed = Self {
            hosts: hosts.split(',').map(Host::from_str).collect::<Result<_, _>>()?,
            user: (!user.is_empty()).then_some(user),
            password: password.map(|password| decode(password, "password")).transpose()?,
            database: (!database.is_empty()).then_some(database),
            prefers_writable: true,
            ssl_mode: None,
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            application_name: None,
        };
        let mut ports = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            parsed.set(name, decode(value, "value of a parameter")?, &mut ports)?;
        }
        let hosts = parsed.hosts.len();
        match ports.len() {
            0 => {}
            1 => ports.resize(hosts, ports[0].clone()),
            count if count == hosts => {}
            count => return Err(UrlError::Ports { hosts, ports: count }),
        }
        for (host, text) in parsed.hosts.iter_mut().zip(&ports) {
            host.port = port(text, &host.name)?;
        }
        Ok(parsed)
    }
}

impl FromStr for Host {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (name, after) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| UrlError::Host(text.to_owned()))?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let name = decode(name, "host")?;
        let port = match after.strip_prefix(':') {
            Some(text) if text.contains(':') => return Err(UrlError::Host(text.to_owned())),
            Some(text) => port(text, &name)?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return Err(UrlError::Host(text.to_owned())),
        };
        Ok(Self { name, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "the default host"),
            name if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            name => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Shows hosts and database only.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        write!(f, "postgres://{}/{}", hosts.join(","), self.database.as_deref().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

fn decode(text: &str, part: &'static str) -> Result<String, UrlError> {
    let is_encoded = text.split('%').skip(1).all(|after| {
        after.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    });
    if !is_encoded {
        return Err(UrlError::Encoding(part));
    }
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| UrlError::Encoding(part))?.into_owned())
}

fn port(text: &str, host: &str) -> Result<u16, UrlError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| UrlError::Port { host: host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<PostgresUrl, UrlError> {
        url.parse()
    }

    fn hosts(url: &str) -> Vec<String> {
        let url = parse(url).unwrap();
        (0..url.host_count()).map(|number| url.host_name(number)).collect()
    }

    #[test]
    fn each_host_of_a_url_has_its_port() {
        assert_eq!(hosts("postgres://films"), ["films:5432"]);
        assert_eq!(hosts("postgres://u:p@a:1,b,[::1]:3/films"), ["a:1", "b:5432", "[::1]:3"]);
        assert_eq!(hosts("postgresql://u@a,b/films?port=6432"), ["a:6432", "b:6432"]);
        assert_eq!(hosts("postgres:///films?host=/run/postgresql"), ["/run/postgresql:5432"]);
        assert_eq!(hosts("postgres://%2Frun%2Fpostgresql/films"), ["/run/postgresql:5432"]);
        let options = parse("postgres://[::1]:5433/films").unwrap().options(0);
        assert_eq!((options.get_host(), options.get_port()), ("::1", 5433));
    }

    #[test]
    fn user_password_and_database_are_percent_decoded() {
        let url = parse("postgres://us%40er:p%40%2F%3Aw@a/fil%20ms").unwrap();
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password.as_deref(), Some("p@/:w"));
        assert_eq!(url.database.as_deref(), Some("fil ms"));
    }

    #[test]
    fn an_unencoded_password_is_refused_with_advice_and_never_shown() {
        for url in [
            "postgres://u:se@cret@a/films",
            "postgres://u:se/cret@a/films",
            "postgres://u:se?cret@a/films",
            "postgres://u:se#cret@a/films",
            "postgres://u:100%secret@a/films",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("percent-encode") && !error.contains("cret@"), "{url}: {error}");
        }
        let url = parse("postgres://user:secret@a/films?sslmode=require").unwrap();
        assert_eq!(
            (format!("{url}"), format!("{url:?}")),
            ("postgres://a:5432/films".into(), "PostgresUrl(postgres://a:5432/films)".into())
        );
    }

    #[test]
    fn unsupported_parameters_and_values_are_refused_by_name() {
        let error = parse("postgres://a/films?sslmode=require&statement_timeout=5").unwrap_err();
        assert_eq!(error, UrlError::Parameter("statement_timeout".into()));
        for (url, name) in [
            ("postgres://a/films?target_session_attrs=standby", "target_session_attrs"),
            ("postgres://a/films?sslmode=yes", "sslmode"),
        ] {
            let Err(UrlError::Value { name: refused, .. }) = parse(url) else { panic!("{url}") };
            assert_eq!(refused, name);
        }
    }

    #[test]
    fn a_writable_host_is_preferred_unless_any_host_is_requested() {
        assert!(parse("postgres://a,b/films").unwrap().prefers_writable());
        assert!(parse("postgres://a,b/films?target_session_attrs=read-write").unwrap().prefers_writable());
        assert!(!parse("postgres://a,b/films?target_session_attrs=any").unwrap().prefers_writable());
    }

    #[test]
    fn invalid_hosts_and_ports_are_refused() {
        for url in [
            "postgres://a:x/films",
            "postgres://a:0/films",
            "postgres://[::1/films",
            "postgres://[::1]x/films",
        ] {
            assert!(matches!(parse(url), Err(UrlError::Port { .. } | UrlError::Host(_))), "{url}");
        }
        assert!(matches!(parse("postgres://::1/films"), Err(UrlError::Host(_))));
        let ports = UrlError::Ports { hosts: 3, ports: 2 };
        assert_eq!(parse("postgres://a,b,c/films?port=1,2"), Err(ports));
        assert_eq!(parse("mysql://a/films"), Err(UrlError::Scheme));
    }
}
