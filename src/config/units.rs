//! Pure: durations, sizes, shares and endpoints as a person writes them.
//!
//! A number without a unit is refused rather than guessed: `settle = "5"` could be five of anything.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::problem::Refusal;

/// Units of a duration and their length in milliseconds, longest first.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of a size and their length in bytes, longest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Longest host name in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Reads a duration such as `30s`, `200ms`, `30d` or `1h30m`.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    let wrong = || {
        Refusal::new(
            format!("\"{text}\" is no duration"),
            "write it as \"200ms\", \"30s\", \"1h30m\" or \"30d\"",
        )
    };
    let mut total_ms = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, unit, after) = split_quantity(rest).ok_or_else(wrong)?;
        let (_, unit_ms) = DURATION_UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(|| {
                Refusal::new(
                    format!("\"{text}\" is too long a time"),
                    "write a shorter one",
                )
            })?;
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse_duration`] reads it back, in the largest unit that divides it.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    in_largest_unit(ms, &DURATION_UNITS, "0s")
}

/// Reads a size in bytes such as `64MiB`, `20GiB` or `512B`.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn parse_size(text: &str) -> Result<u64, Refusal> {
    let wrong = || {
        Refusal::new(
            format!("\"{text}\" is no size"),
            "write it as \"512B\", \"64KiB\", \"64MiB\", \"20GiB\" or \"1TiB\"",
        )
    };
    let (number, unit, after) = split_quantity(text.trim()).ok_or_else(wrong)?;
    let (_, unit_bytes) = SIZE_UNITS
        .into_iter()
        .find(|(name, _)| *name == unit && after.is_empty())
        .ok_or_else(wrong)?;
    number.checked_mul(unit_bytes).ok_or_else(|| {
        Refusal::new(
            format!("\"{text}\" is more than 2^64 bytes"),
            "write a smaller one",
        )
    })
}

/// Writes a size so that [`parse_size`] reads it back, in the largest unit that divides it.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    in_largest_unit(bytes, &SIZE_UNITS, "0B")
}

/// Reads a share such as `50%`, from 1 to 100.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn parse_percent(text: &str) -> Result<u8, Refusal> {
    text.trim()
        .strip_suffix('%')
        .and_then(|digits| digits.parse::<u8>().ok())
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| {
            Refusal::new(
                format!("\"{text}\" is no share"),
                "write it as \"1%\" to \"100%\"",
            )
        })
}

/// Splits `30s rest` into 30, `s` and `rest`.
fn split_quantity(text: &str) -> Option<(u64, &str, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(unit_at)?;
    let unit_end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at_checked(unit_end)?;
    Some((digits.parse().ok()?, unit, after))
}

fn in_largest_unit(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    units
        .iter()
        .find(|(_, length)| value > 0 && value.is_multiple_of(*length))
        .map_or_else(
            || zero.to_owned(),
            |(unit, length)| format!("{}{unit}", value / length),
        )
}

/// Reads an address of this machine to listen on; port 0 would be another one at every start.
///
/// # Errors
/// What is wrong, and examples.
pub fn parse_listen(text: &str) -> Result<SocketAddr, Refusal> {
    let address = text.parse::<SocketAddr>().ok();
    address.filter(|address| address.port() > 0).ok_or_else(|| {
        Refusal::new(
            format!("\"{text}\" is no address to listen on"),
            "write it as \"0.0.0.0:7443\" or \"[::]:7443\"",
        )
    })
}

/// Where a peer listens: a host name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for Endpoint {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| {
            Refusal::new(
                format!("\"{text}\" is no endpoint: {why}"),
                "write it as \"host:7443\" or \"[2001:db8::1]:7443\"",
            )
        };
        if text.contains("://") {
            return Err(refuse("it has a scheme, which is always TLS here"));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| refuse("the port is missing"))?;
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| refuse("the port is not a number from 1 to 65535"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'));
        let sound = match bare {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host_name(host),
        };
        if !sound {
            return Err(refuse("the host is not a name or an address"));
        }
        let host = bare.unwrap_or(host).to_owned();
        Ok(Self { host, port })
    }
}

/// True for what can be a DNS name, and an IPv4 address as well.
pub(super) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_with_their_units_and_nothing_else() {
        for (text, ms) in [
            ("200ms", 200),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "5x",
            "-5s",
            "1.5s",
            "5s!",
            "99999999999999d",
            "5é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_binary_units_and_nothing_else() {
        for (text, bytes) in [("512B", 512), ("64MiB", 64 << 20), ("20GiB", 20 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "64",
            "64MB",
            "64 MiB",
            "1GiB1MiB",
            "-1B",
            "99999999TiB",
            "1mib",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_from_one_to_a_hundred_percent() {
        assert_eq!(
            (parse_percent("1%"), parse_percent("100%")),
            (Ok(1), Ok(100))
        );
        for text in ["0%", "101%", "50", "%", "-1%", "5.5%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn endpoints_name_a_host_and_a_port() {
        for text in [
            "iad.example.net:7443",
            "10.40.0.11:1",
            "[2001:db8::1]:65535",
            "localhost:7443",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        for (text, why) in [
            ("iad.example.net", "port is missing"),
            ("iad:0", "1 to 65535"),
            ("iad:65536", "1 to 65535"),
            ("iad:", "1 to 65535"),
            ("https://iad:7443", "scheme"),
            ("2001:db8::1:7443", "not a name or an address"),
            ("[iad]:7443", "not a name or an address"),
            ("ia d:7443", "not a name or an address"),
            (":7443", "not a name or an address"),
            ("a..b:7443", "not a name or an address"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..u64::MAX / 2, bytes: u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            drop((parse_duration(&text), parse_size(&text), parse_percent(&text)));
            drop(text.parse::<Endpoint>());
        }
    }
}
