//! Times as people write them.

use std::time::Duration;

use forelog::inspect::Bound;
use forelog::{Seq, Timestamp};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

/// A time: RFC 3339; without a zone, UTC; a day; or how long ago it was (`90s`, `15m`, `2h`, `3d`).
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    ago(text)
        .map(|ago| Timestamp(Timestamp::now().0.saturating_sub(ago)))
        .or_else(|| text.parse().ok())
        .or_else(|| format!("{text}Z").parse().ok())
        .or_else(|| format!("{text}T00:00:00Z").parse().ok())
        .ok_or_else(|| {
            format!(
                "{text:?} is no time: write one such as 2013-01-01T10:00:00Z, 2013-01-01, or 2h for \
                 two hours ago"
            )
        })
}

/// A Seq, or a time as [`time`] reads it.
pub(crate) fn bound(text: &str) -> Result<Bound, String> {
    match text.parse() {
        Ok(seq) => Ok(Bound::Seq(Seq(seq))),
        Err(_) => time(text)
            .map(Bound::Time)
            .map_err(|error| format!("{error}; or a Seq such as 42")),
    }
}

/// How long `15m` is.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let nanos = ago(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("{text:?} is no age: write one such as 90s, 15m, 2h or 3d"))
}

/// How many nanoseconds `15m` is.
fn ago(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => 60 * SECOND,
        'h' => 60 * 60 * SECOND,
        'd' => DAY,
        _ => return None,
    };
    let count: u32 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
    i64::from(count).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let day = "2013-01-01T00:00:00Z".parse().unwrap();
        for text in [
            "2013-01-01",
            "2013-01-01T00:00:00",
            "2013-01-01T01:00:00+01:00",
        ] {
            assert_eq!(time(text).unwrap(), day, "{text}");
        }
        for (text, nanos) in [("90s", 90 * SECOND), ("2h", DAY / 12), ("3d", 3 * DAY)] {
            assert_eq!(ago(text), Some(nanos), "{text}");
        }
        for text in [
            "yesterday",
            "",
            "h",
            "-2h",
            "2w",
            "99999999999d",
            "ü",
            "2013-13-01",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bound_is_a_seq_or_a_time() {
        assert_eq!(bound("42").unwrap(), Bound::Seq(Seq(42)));
        assert!(matches!(bound("15m").unwrap(), Bound::Time(_)));
        assert!(bound("yesterday").unwrap_err().contains("a Seq such as 42"));
    }
}
