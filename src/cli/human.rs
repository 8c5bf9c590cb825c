//! Pure: quantities for people: short, and always rounded down.
//!
//! What is not known is a question mark and never a number. Scripts read the JSON, where the exact numbers are.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::admin::view::Lag;
use crate::clock::TimestampUs;
pub(super) use crate::text::{bytes, count, duration};

/// What stands where something is not known.
pub(super) const UNKNOWN: &str = "?";

/// What `show` makes of a value, or a question mark.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// A lag: a duration, `≥` and a duration, or a question mark.
pub(super) fn lag(lag: Lag) -> String {
    match lag {
        Lag::Unknown => UNKNOWN.to_owned(),
        Lag::Known(us) => duration(us),
        Lag::AtLeast(us) => format!("≥{}", duration(us)),
    }
}

/// The time in a zone as RFC 3339 with microseconds; none where no calendar knows it.
pub(super) fn zoned(us: TimestampUs, zone: &TimeZone) -> Option<String> {
    let at = Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()?;
    let at = at.to_zoned(zone.clone());
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string())
}

/// A round trip in microseconds, as milliseconds with a tenth: `81.0ms`.
pub(crate) fn milliseconds(us: u64) -> String {
    format!("{}.{}ms", us / 1_000, us / 100 % 10)
}

/// A difference of clocks in microseconds: `+14ms`, `-3.1s`.
pub(crate) fn skew(us: i64) -> String {
    let size = us.unsigned_abs();
    // Rounded to nothing, it has no direction.
    let sign = if us < 0 && size >= 1_000 { '-' } else { '+' };
    if size < 1_000_000 {
        format!("{sign}{}ms", size / 1_000)
    } else {
        format!("{sign}{}", duration(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_clocks_are_short_and_have_a_direction() {
        for (us, text) in [(14_000, "+14ms"), (-31_999, "-31ms"), (-3_100_000, "-3.1s")] {
            assert_eq!(skew(us), text);
        }
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        assert_eq!(lag(Lag::Unknown), "?");
        assert_eq!(lag(Lag::AtLeast(134_204_110)), "≥2m14s");
        assert_eq!(lag(Lag::Known(0)), "0.0s");
        assert_eq!(known(None, count), "?");
    }
}
