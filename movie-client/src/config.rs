//! Configuration of a client.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;

use tonic::metadata::{Ascii, MetadataValue};

use crate::{Address, Error};

/// Configuration of a client.
///
/// ```
/// use std::time::Duration;
/// use movie_client::{Config, Token};
///
/// let config = Config {
///     token: Some(Token::new("secret")?),
///     deadline: Duration::from_secs(2),
///     ..Config::new(["movies-1.example:3001".parse()?, "movies-2.example:3001".parse()?])
/// };
/// # Ok::<(), movie_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of the service. Calls are balanced over all connected addresses; a name may resolve to several.
    pub addresses: Vec<Address>,
    /// TLS settings of addresses with `https`.
    pub tls: Tls,
    /// Bearer token that identifies the caller.
    pub token: Option<Token>,
    /// Deadline of a call, including its retries. In a stream, it applies to each item.
    pub deadline: Duration,
    /// Longest time to open a connection, including the TLS handshake but not the name resolution.
    pub connect_timeout: Duration,
    /// Interval and timeout of HTTP/2 keep-alive pings on a connection with calls. Services may reject intervals
    /// below 10 seconds.
    pub keep_alive: Duration,
    /// Resolver of host names.
    pub resolver: Resolver,
    /// Interval at which names are resolved again.
    pub lookup_interval: Duration,
    /// Retry policy.
    pub retry: RetryPolicy,
}

/// TLS settings: TLS 1.2 or 1.3, always with verification of the service's certificate.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Trusted certificate authorities, in PEM. `None` for those of the operating system.
    pub authorities: Option<Vec<u8>>,
    /// Certificate of the client.
    pub identity: Option<Identity>,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Identity {
    /// Certificate chain, in PEM.
    pub certificate: Vec<u8>,
    /// Private key, in PEM.
    pub key: Vec<u8>,
}

/// Bearer token. Its value is never logged or shown.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// Resolver of host names. The default is the operating system's.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String, u16) -> Lookup + Send + Sync>);

type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Retry policy.
///
/// A call is retried if it is safe to repeat, and the service was unavailable (`UNAVAILABLE`), unreachable, or busy
/// (`RESOURCE_EXHAUSTED` with a `google.rpc.RetryInfo`). The backoff doubles from `initial_backoff` to `max_backoff`,
/// with a random deviation of up to 50%, so that clients do not reconnect all at once. The delay of the `RetryInfo` is
/// added. A budget limits retries to a fifth of the calls of the last ten seconds, and one retry per second in addition.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Maximum number of attempts per call. 1 disables retries.
    pub max_attempts: u32,
    /// Backoff before the second attempt.
    pub initial_backoff: Duration,
    /// Longest backoff.
    pub max_backoff: Duration,
}

impl Config {
    /// Returns the default configuration for one address, such as `localhost:3001`, `https://movies.example:443` or
    /// `unix:/run/movies.sock`.
    ///
    /// ```
    /// use movie_client::{Client, Config};
    ///
    /// let client = Client::connect(&Config::at("localhost:3001")?)?;
    /// # Ok::<(), movie_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the text is not an address.
    pub fn at(address: &str) -> Result<Self, Error> {
        Ok(Self::new([address.parse()?]))
    }

    /// Returns the default configuration for these addresses.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            tls: Tls::default(),
            token: None,
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(20),
            resolver: Resolver::default(),
            lookup_interval: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

impl Token {
    /// Creates a token.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the token is empty or has characters that are not visible ASCII.
    pub fn new(token: &str) -> Result<Self, Error> {
        let sound = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = MetadataValue::try_from(format!("Bearer {token}")).ok().filter(|_| sound);
        let mut value = value.ok_or_else(|| {
            Error::Config("the token is empty or has invalid characters, such as spaces".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Returns the value of the header `authorization`.
    pub(crate) fn value(&self) -> &MetadataValue<Ascii> {
        &self.0
    }
}

impl Resolver {
    /// Creates a resolver from a function of a name and a port.
    pub fn new<F>(look_up: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name, port| Box::pin(look_up(name, port))))
    }

    pub(crate) fn look_up(&self, name: &str, port: u16) -> Lookup {
        self.0(name.to_owned(), port)
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(async |name, port| Ok(lookup_host((name, port)).await?.collect()))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// Disables retries.
    #[must_use]
    pub fn disabled() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_made_of_the_text_of_an_address() {
        assert_eq!(Config::at("localhost:3001").unwrap().addresses, ["localhost:3001".parse().unwrap()]);
        assert!(matches!(Config::at("localhost"), Err(Error::Address(_))));
    }

    #[test]
    fn a_token_is_never_shown_and_has_visible_ascii_only() {
        let config = Config { token: Some(Token::new("s3cret").unwrap()), ..Config::new([]) };
        assert!(!format!("{config:?}").contains("s3cret"));
        for wrong in ["", "a b", "a\n", "é"] {
            assert!(!Token::new(wrong).unwrap_err().to_string().contains("a b"), "{wrong:?}");
        }
    }
}
