//! Pure: quantities for people: short, and always rounded down.
//!
//! What is not known is a question mark and never a number. Scripts read the JSON, where the exact numbers are.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::admin::view::Lag;
use crate::clock::TimestampUs;

/// What stands where something is not known.
pub(super) const UNKNOWN: &str = "?";

/// Units of a size and their length in bytes, longest first.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];
/// Longer durations are told in their two largest units: days, hours, minutes, seconds.
const DURATION_UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// What `show` makes of a value, or a question mark.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// A duration in microseconds: `0.4s`, `8.4s`, `2m14s`, `12d4h`.
pub(super) fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    if seconds < 60 {
        let tenths = us / 100_000;
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let mut units = DURATION_UNITS.windows(2);
    let found = units.find(|pair| matches!(pair, [(_, length), _] if seconds >= *length));
    match found {
        Some([(large, long), (small, short)]) => {
            let (whole, rest) = (seconds / long, seconds % long / short);
            if rest == 0 {
                format!("{whole}{large}")
            } else {
                format!("{whole}{large}{rest}{small}")
            }
        }
        _ => format!("{seconds}s"),
    }
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
pub(super) fn milliseconds(us: u64) -> String {
    format!("{}.{}ms", us / 1_000, us / 100 % 10)
}

/// A difference of clocks in microseconds: `+14ms`, `-3.1s`.
pub(super) fn skew(us: i64) -> String {
    let size = us.unsigned_abs();
    // Rounded to nothing, it has no direction.
    let sign = if us < 0 && size >= 1_000 { '-' } else { '+' };
    if size < 1_000_000 {
        format!("{sign}{}ms", size / 1_000)
    } else {
        format!("{sign}{}", duration(size))
    }
}

/// A size: `512 B`, `25.8 MiB`, `318 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let found = SIZE_UNITS.iter().find(|(_, length)| bytes >= *length);
    let Some((unit, length)) = found else {
        return format!("{bytes} B");
    };
    let (whole, tenth) = (bytes / length, bytes % length * 10 / length);
    if whole >= 100 || tenth == 0 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{tenth} {unit}")
    }
}

/// A number with its thousands apart: `41,203`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_rounded_down() {
        for (us, text) in [
            (0, "0.0s"),
            (499_999, "0.4s"),
            (59_999_999, "59.9s"),
            (60_000_000, "1m"),
            (134_204_110, "2m14s"),
            (3_600_000_000, "1h"),
            (12 * 86_400_000_000 + 4 * 3_600_000_000, "12d4h"),
        ] {
            assert_eq!(duration(us), text);
        }
        assert!(duration(u64::MAX).contains('d'));
    }

    #[test]
    fn sizes_counts_and_clocks_are_short() {
        for (size, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (96 << 10, "96 KiB"),
            (27_158_118, "25.8 MiB"),
            (333_447_168, "318 MiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (41_203, "41,203"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(count(number), text);
        }
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
