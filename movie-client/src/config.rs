//! How to connect, and what to expect of a call.

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

/// How to connect, and what to expect of a call.
///
/// ```
/// use std::time::Duration;
/// use movie_client::{Config, Token};
///
/// let config = Config {
///     token: Some(Token::new("secret")?),
///     deadline: Duration::from_secs(2),
///     ..Config::at(["movies-1.example:3001".parse()?, "movies-2.example:3001".parse()?])
/// };
/// # Ok::<(), movie_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the service is. Calls go in turns to all addresses that answer; a name may have several of them.
    pub addresses: Vec<Address>,
    /// How addresses with `https` are encrypted.
    pub tls: Tls,
    /// Says who calls.
    pub token: Option<Token>,
    /// How long a call may take, all its repetitions included. In a stream: how long until the first item, and from
    /// one item to the next.
    pub deadline: Duration,
    /// How long a connection may take, the TLS handshake included. Not counted are name look-ups.
    pub connect_timeout: Duration,
    /// How often a connection that has calls is asked whether it still stands. It has as long again to answer. A service
    /// may take offence at less than 10 seconds.
    pub keep_alive: Duration,
    /// How names are looked up.
    pub resolver: Resolver,
    /// How often names are looked up again.
    pub lookup_interval: Duration,
    /// When calls are repeated.
    pub retry: Retry,
}

/// How a connection is encrypted: TLS 1.2 or 1.3, the service's certificate always checked.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The certificates, in PEM, of the authorities to trust; those of the operating system if there are none.
    pub authorities: Option<Vec<u8>>,
    /// The client's own certificate.
    pub identity: Option<Identity>,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate and those between it and its authority, in PEM.
    pub certificate: Vec<u8>,
    /// The private key, in PEM.
    pub key: Vec<u8>,
}

/// Says who calls. Never shown.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// Looks up the addresses of a name; by default as the operating system does.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String, u16) -> Lookup + Send + Sync>);

type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// When calls are repeated: those that are safe to repeat, if the service was not there for them (`UNAVAILABLE`) or was
/// not reached at all.
///
/// The pauses in between double from `first_pause` to `longest_pause`, each made up to half longer or shorter by chance,
/// so that clients do not come back all at once. Repetitions are at most a fifth of a client's calls over ten seconds,
/// and one a second beside: a service that is down gets no storm of them.
#[derive(Clone, Debug)]
pub struct Retry {
    /// How often a call is tried at most; 1 if never again.
    pub tries: u32,
    /// The pause before the second try.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Config {
    /// Returns a configuration with everything but the addresses at its default.
    #[must_use]
    pub fn at(addresses: impl IntoIterator<Item = Address>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            tls: Tls::default(),
            token: None,
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(20),
            resolver: Resolver::default(),
            lookup_interval: Duration::from_secs(30),
            retry: Retry::default(),
        }
    }
}

impl Token {
    /// Takes the token as it was given out.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it has characters that no token has.
    pub fn new(token: &str) -> Result<Self, Error> {
        let sound = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = MetadataValue::try_from(format!("Bearer {token}")).ok().filter(|_| sound);
        let mut value = value.ok_or_else(|| {
            Error::Config("the token is empty or has characters that no token has, such as spaces".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Returns it as the value of the header `authorization`.
    pub(crate) fn value(&self) -> &MetadataValue<Ascii> {
        &self.0
    }
}

impl Resolver {
    /// Looks names up in a way of its own, such as a directory of services. It is given a name and a port.
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

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 5, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(2) }
    }
}

impl Retry {
    /// Every call is tried once.
    #[must_use]
    pub fn never() -> Self {
        Self { tries: 1, ..Self::default() }
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
    fn a_token_is_never_shown_and_holds_what_a_header_can() {
        let config = Config { token: Some(Token::new("s3cret").unwrap()), ..Config::at([]) };
        assert!(!format!("{config:?}").contains("s3cret"));
        for wrong in ["", "a b", "a\n", "é"] {
            assert!(!Token::new(wrong).unwrap_err().to_string().contains("a b"), "{wrong:?}");
        }
    }
}
