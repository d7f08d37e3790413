//! Addresses of a service.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http::uri::{Authority, Uri};

/// Address of a service: a host and a port, or a Unix socket.
///
/// ```
/// use movie_client::Address;
///
/// let address: Address = "https://movies.example:443".parse()?;
/// assert_eq!(address.to_string(), "https://movies.example:443");
/// "unix:/run/movies.sock".parse::<Address>()?;
/// "movies.example".parse::<Address>().unwrap_err(); // no port
/// # Ok::<(), movie_client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub(crate) AddressKind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AddressKind {
    Host(Host),
    Unix(PathBuf),
}

/// A host, by name or by IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    /// Name or IP address, without the brackets of IPv6.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not an address; expected HOST:PORT, https://HOST:PORT or unix:PATH, for example localhost:3001",
    .0.escape_debug()
)]
pub struct InvalidAddress(String);

impl Address {
    /// Returns whether connections to this address use TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(&self.0, AddressKind::Host(host) if host.tls)
    }

    /// Returns this address with TLS. A Unix socket stays unencrypted, because it does not leave the machine.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        if let AddressKind::Host(host) = &mut self.0 {
            host.tls = true;
        }
        self
    }

    /// Returns whether the address is certainly on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.0 {
            AddressKind::Unix(_) => true,
            AddressKind::Host(host) => {
                host.name == "localhost"
                    || host.name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
        }
    }
}

impl Host {
    /// Returns `HOST:PORT`, with brackets around an IPv6 address.
    pub(crate) fn authority(&self) -> String {
        let Self { name, port, .. } = self;
        if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(invalid()) } else { Ok(Self(AddressKind::Unix(path.into()))) };
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(invalid()),
            None => (false, text),
        };
        let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| invalid())?;
        let host = authority.host();
        let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = authority.port_u16().filter(|port| *port > 0);
        // The host must also be valid as the authority of a request.
        let is_sound = !name.is_empty()
            && !authority.as_str().contains('@')
            && Uri::builder()
                .scheme("http")
                .authority(authority.as_str())
                .path_and_query("/")
                .build()
                .is_ok();
        match port {
            Some(port) if is_sound => Ok(Self(AddressKind::Host(Host { name: name.to_owned(), port, tls }))),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            AddressKind::Host(host) => {
                write!(f, "{}{}", if host.tls { "https://" } else { "" }, host.authority())
            }
            AddressKind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_a_url_or_a_unix_socket() {
        let same =
            ["localhost:3001", "[::1]:3001", "127.0.0.1:80", "https://a.example:443", "unix:/run/a.sock"];
        for text in same {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("http://localhost:3001/".parse::<Address>().unwrap().to_string(), "localhost:3001");
        assert_eq!("unix:///run/a.sock".parse::<Address>().unwrap().to_string(), "unix:/run/a.sock");
    }

    #[test]
    fn an_invalid_address_is_quoted_in_the_error() {
        let invalid = [
            "",
            "localhost",
            "localhost:",
            "localhost:port",
            "localhost:0",
            "localhost:70000",
            ":3001",
            "http://",
            "localhost:3001/path",
            "a b:1",
            "u@h:1",
            "ftp://a:1",
            "unix:",
            "https://a",
            "::1:80",
        ];
        for text in invalid {
            let error = text.parse::<Address>().map(|_| text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn loopback_and_unix_addresses_are_local() {
        for (text, is_local) in [
            ("localhost:1", true),
            ("[::1]:1", true),
            ("127.0.0.9:1", true),
            ("unix:/a", true),
            ("10.0.0.1:1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), is_local, "{text}");
        }
    }
}
