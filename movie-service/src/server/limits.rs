//! Limits on the resources that a peer may use.

use std::time::Duration;

/// Generates the `Limits` struct, its defaults and a parser that sets a limit by its name.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr;)+) => {
        /// Limits on everything that a peer controls. The names are those of `--limit`; see `docs/operations/limits.md`.
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

            /// Sets a limit by `NAME=VALUE`.
            ///
            /// # Errors
            ///
            /// A message for people if the limit does not exist or the value is invalid.
            pub fn set(&mut self, text: &str) -> Result<(), String> {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                match name {
                    $(stringify!($name) => self.$name = <$kind>::parse(value).ok_or_else(|| {
                        format!("`{value}` is not a valid value of `{name}`, expected {}", <$kind>::EXPECTED)
                    })?,)+
                    _ => {
                        let names: Vec<_> = Self::table().into_iter().map(|(name, ..)| name).collect();
                        return Err(format!("there is no limit `{name}`, expected one of {}", names.join(", ")));
                    }
                }
                Ok(())
            }
        }
    };
}

limits! {
    /// Open connections. Lower if the system's limit on open files is lower.
    connections: usize = 10_000;
    /// Open connections from one address; with IPv6, from one /64 network.
    connections_per_address: usize = 2_000;
    /// Time from accepting a connection to the HTTP/2 preface, including TLS.
    handshake: Duration = Duration::from_secs(10);
    /// Calls in flight. Calls that need no credentials may use half of them.
    /// Each worker (one per core) can always use its share.
    calls: usize = 10_000;
    /// Calls in flight from one address, by the same rules as `calls`; by default half of `calls`.
    calls_per_address: Option<usize> = None;
    /// Lists and watches in progress.
    lists: usize = 2_000;
    /// Lists and watches in progress from one address; by default half of `lists`.
    lists_per_address: Option<usize> = None;
    /// Concurrent calls on one connection.
    streams: usize = 200;
    /// Bytes of a request's header list, as HTTP/2 counts them.
    header_list: usize = 16 * 1024;
    /// Bytes of a request message. The largest valid movie has about 190,000.
    message: usize = 256 * 1024;
    /// Bytes of a message of an import.
    import_message: usize = 4 * 1024 * 1024;
    /// Changes by which a watcher may lag after it has caught up. One commit may have up to 30,000 changes.
    watch_behind: usize = 50_000;
    /// Streams of one connection that its peer resets before they are accepted, or makes the service reset (rapid reset).
    resets: usize = 100;
    /// Bytes of one response that are buffered until the peer reads them.
    send_buffer: usize = 64 * 1024;
    /// Bytes of the HTTP/2 flow-control window of a stream; the window of a connection is four times as large.
    window: usize = 128 * 1024;
    /// Time for a call, from its start to the last byte of its response. A shorter deadline of the caller takes precedence.
    deadline: Duration = Duration::from_mins(15);
    /// Time in which a peer must read some of the data sent to it.
    unread: Duration = Duration::from_mins(1);
    /// Time that a connection may stay without calls in flight. Over HTTP/1.1, also for the head of a request.
    idle: Duration = Duration::from_mins(10);
    /// Maximum age of a connection, varied by up to 10 %, so that not all connections end at once.
    age: Duration = Duration::from_hours(1);
    /// Silence after which a peer gets a PING.
    keep_alive: Duration = Duration::from_mins(1);
    /// Time to acknowledge that PING, but never shorter than `unread`: so 1m by default. A slow peer reads the data sent before it first.
    keep_alive_timeout: Duration = Duration::from_secs(20);
    /// Time that a closed connection is still read from, so that the peer receives the last bytes (lingering close).
    linger: Duration = Duration::from_secs(1);
}

impl Limits {
    /// Returns the limit on the calls in flight from one address.
    pub(super) fn max_calls_per_address(&self) -> usize {
        self.calls_per_address.unwrap_or(half(self.calls))
    }

    /// Returns the limit on the lists and watches in progress from one address.
    pub(super) fn max_lists_per_address(&self) -> usize {
        self.lists_per_address.unwrap_or(half(self.lists))
    }
}

/// Returns half of a limit, rounded up, so that it is never 0.
pub(super) fn half(limit: usize) -> usize {
    limit.div_ceil(2)
}

/// The type of a limit's value.
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

/// A limit that is derived from another one unless it is set.
impl Value for Option<usize> {
    const EXPECTED: &str = usize::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        usize::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.map_or_else(|| "half".to_owned(), |number| number.to_string())
    }
}

/// Maximum duration of a limit (31 years), so that adding it to the current time cannot overflow.
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

/// Parses a duration in the notation of the limits; `0` is valid, too.
///
/// # Errors
///
/// A message that says what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" || humantime::parse_duration(text).is_ok_and(|time| time.is_zero()) {
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
    fn the_limits_of_an_address_are_half_by_default() {
        let mut limits = Limits { calls: 7, lists: 10, ..Limits::default() };
        assert_eq!((limits.max_calls_per_address(), limits.max_lists_per_address()), (4, 5));
        limits.set("calls_per_address=7").unwrap();
        limits.set("lists_per_address=1").unwrap();
        assert_eq!((limits.max_calls_per_address(), limits.max_lists_per_address()), (7, 1));
    }

    #[test]
    fn an_invalid_limit_is_refused_with_what_was_expected() {
        let refused = |text| Limits::default().set(text).unwrap_err();
        assert_eq!(refused("lists=0"), "`0` is not a valid value of `lists`, expected a number above 0");
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
        assert!(refused("speed=9").starts_with("there is no limit `speed`, expected one of connections, "));
    }

    #[test]
    fn a_time_of_zero_is_valid_with_and_without_a_unit_where_it_turns_something_off() {
        for (text, expected) in [("0", 0), ("0s", 0), ("0ms", 0), ("1500ms", 1500)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        parse_duration("").unwrap_err();
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
