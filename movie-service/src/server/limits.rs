//! What a peer may do, and for how long.

use std::time::Duration;

/// Makes the struct, its defaults, and the way to set each of them by name, from one table.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr;)+) => {
        /// Bounds on everything that a peer controls. Each has a default that suits most; see `docs/operations/limits.md`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $kind,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Names, defaults and meanings, in the order of the table.
            #[must_use]
            pub fn table() -> Vec<(&'static str, String, &'static str)> {
                let Self { $($name,)+ } = Self::default();
                vec![$((stringify!($name), $name.show(), concat!($($doc),+).trim()),)+]
            }

            /// Sets the limit that `text` names: `NAME=VALUE`.
            ///
            /// # Errors
            ///
            /// A sentence that says what was expected, if there is no such limit or the value is none.
            pub fn set(&mut self, text: &str) -> Result<(), String> {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                match name {
                    $(stringify!($name) => self.$name = <$kind>::parse(value).ok_or_else(|| {
                        format!("`{value}` is no value for `{name}`, expected {}", <$kind>::EXPECTED)
                    })?,)+
                    _ => {
                        let names: Vec<_> = Self::table().into_iter().map(|(name, ..)| name).collect();
                        return Err(format!("no limit is called `{name}`, expected one of {}", names.join(", ")));
                    }
                }
                Ok(())
            }
        }
    };
}

limits! {
    /// Open connections. Fewer if the system allows fewer open files.
    connections: usize = 10_000;
    /// Open connections from one address; with IPv6, from one /64 network.
    connections_per_address: usize = 2_000;
    /// Time from accepting a connection to the HTTP/2 preface, including TLS.
    handshake: Duration = Duration::from_secs(10);
    /// Calls in flight; half as many of calls that need no credentials.
    /// Each worker, of which there is one a core, can always use its share.
    calls: usize = 10_000;
    /// Calls in flight from one address, counted as for `calls`; by default half of `calls`.
    calls_per_address: Option<usize> = None;
    /// Lists being sent.
    lists: usize = 2_000;
    /// Lists being sent to one address; by default half of `lists`.
    lists_per_address: Option<usize> = None;
    /// Concurrent calls on one connection.
    streams: usize = 200;
    /// Bytes of a request's header list, as HTTP/2 counts them.
    header_list: usize = 16 * 1024;
    /// Bytes of a request message.
    message: usize = 64 * 1024;
    /// Bytes of a message of an import.
    import_message: usize = 4 * 1024 * 1024;
    /// Changes by which a watcher may lag once it has caught up. One commit may have up to 30,000 changes.
    watch_behind: usize = 50_000;
    /// Streams on one connection that a peer may reset before they are accepted, or make the service reset.
    resets: usize = 100;
    /// Bytes of one response that wait for the peer to read.
    send_buffer: usize = 64 * 1024;
    /// Bytes of one request that a peer may send ahead; four times as many for a whole connection.
    window: usize = 128 * 1024;
    /// Time for a call, from its start to the last byte of its response. A shorter deadline of the caller takes precedence.
    deadline: Duration = Duration::from_mins(15);
    /// Time in which a peer must read some of the data that waits for it.
    unread: Duration = Duration::from_mins(1);
    /// Time that a connection may be without calls.
    idle: Duration = Duration::from_mins(10);
    /// Age at which a connection has to be replaced, plus or minus a tenth, so that not all end at once.
    age: Duration = Duration::from_hours(1);
    /// Silence after which a peer gets a PING.
    keep_alive: Duration = Duration::from_mins(1);
    /// Time to acknowledge that PING; at least `unread`, since a slow reader first reads the data sent before.
    keep_alive_timeout: Duration = Duration::from_secs(20);
    /// Time that a connection stays half open, so that the peer receives the last bytes.
    linger: Duration = Duration::from_secs(1);
}

impl Limits {
    /// Returns the limit on the calls in flight from one address.
    pub(super) fn calls_of_address(&self) -> usize {
        self.calls_per_address.unwrap_or(half(self.calls))
    }

    /// Returns the limit on the lists being sent to one address.
    pub(super) fn lists_of_address(&self) -> usize {
        self.lists_per_address.unwrap_or(half(self.lists))
    }
}

/// Returns half of a limit, rounded up: no limit is 0.
pub(super) fn half(limit: usize) -> usize {
    limit.div_ceil(2)
}

/// A value of a limit.
trait Value: Sized {
    const EXPECTED: &str;

    fn parse(text: &str) -> Option<Self>;

    fn show(&self) -> String;
}

impl Value for usize {
    const EXPECTED: &str = "a number above 0";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number > 0)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A limit that follows another one unless it is set.
impl Value for Option<usize> {
    const EXPECTED: &str = usize::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        usize::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "half".to_owned(), |number| number.to_string())
    }
}

/// The longest time of a limit. Every time from now on can be computed with it.
const MAX_TIME: Duration = Duration::from_secs(1_000_000_000);

impl Value for Duration {
    const EXPECTED: &str = "a time above 0 such as 500ms, 10s, 5m or 1h";

    fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_duration(text).ok()?;
        (!time.is_zero() && time <= MAX_TIME).then_some(time)
    }

    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

/// Parses a time as a limit's is written.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    // Nothing is a time, too, where it is not a limit.
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    Duration::parse(text).ok_or_else(|| format!("expected 0 or {}", Duration::EXPECTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_its_name() {
        let mut limits = Limits::default();
        limits.set("lists=7").unwrap();
        limits.set("idle=1s 500ms").unwrap();
        let expected = Limits { lists: 7, idle: Duration::from_millis(1500), ..Limits::default() };
        assert_eq!(limits, expected);
    }

    #[test]
    fn an_address_may_have_half_unless_it_is_said() {
        let mut limits = Limits { calls: 7, lists: 10, ..Limits::default() };
        assert_eq!((limits.calls_of_address(), limits.lists_of_address()), (4, 5));
        limits.set("calls_per_address=7").unwrap();
        limits.set("lists_per_address=1").unwrap();
        assert_eq!((limits.calls_of_address(), limits.lists_of_address()), (7, 1));
    }

    #[test]
    fn what_is_no_limit_says_what_was_expected() {
        let refused = |text| Limits::default().set(text).unwrap_err();
        assert_eq!(refused("lists=0"), "`0` is no value for `lists`, expected a number above 0");
        for text in ["lists_per_address", "lists_per_address=0", "calls_per_address=half"] {
            assert!(refused(text).ends_with("expected a number above 0"), "{text}");
        }
        for text in [
            "idle",
            "idle=5",
            "idle=s",
            "idle=-1s",
            "idle=0s",
            "idle=1000000001s",
            "idle=99999999999999999999s",
        ] {
            assert!(
                refused(text).ends_with("expected a time above 0 such as 500ms, 10s, 5m or 1h"),
                "{text}"
            );
        }
        assert!(refused("speed=9").starts_with("no limit is called `speed`, expected one of connections, "));
    }

    #[test]
    fn the_operators_page_has_every_limit_with_its_default_and_meaning() {
        let page = include_str!("../../../docs/operations/limits.md");
        for (name, default, meaning) in Limits::table() {
            let row = format!("| `{name}` | {default} | {meaning} |");
            assert!(page.contains(&row), "docs/operations/limits.md has no row {row}");
        }
    }
}
