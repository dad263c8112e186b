//! Counts as figures, figures of several runs as one, and figures as text.

use std::time::Duration;

/// A count as a figure.
#[expect(
    clippy::cast_precision_loss,
    reason = "figures are shown with three or four digits"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A count as an index or a length; more than the machine can address is as good as all of it.
pub(crate) fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A length as a count.
pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Nanoseconds, up to five centuries of them.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// So many in this time, a second.
pub(crate) fn rate(number: u64, time: Duration) -> f64 {
    float(number) / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The middle value; the mean of the two middle ones of an even number; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// How many of `total` the thread `place` of `threads` takes, so that all are taken.
pub(crate) fn share(total: u64, threads: u64, place: u64) -> u64 {
    let threads = threads.max(1);
    total / threads + u64::from(place < total % threads)
}

/// A figure with as many digits as people read: `12,300,000`, `104`, `0.97`.
pub(crate) fn shown(figure: f64) -> String {
    let size = figure.abs();
    if size >= 1000.0 {
        grouped(&format!("{figure:.0}"))
    } else if size >= 100.0 {
        format!("{figure:.0}")
    } else if size >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn shares_add_up() {
        for (total, threads) in [(10, 3), (2, 8), (64, 64), (7, 1)] {
            let sum: u64 = (0..threads).map(|place| share(total, threads, place)).sum();
            assert_eq!(sum, total);
            assert!(share(total, threads, 0) - share(total, threads, threads - 1) <= 1);
        }
    }

    #[test]
    fn a_rate_is_by_the_second() {
        assert!((rate(500, Duration::from_millis(250)) - 2000.0).abs() < 1e-9);
        assert!(rate(1, Duration::ZERO).is_finite() || rate(1, Duration::ZERO) > 0.0);
    }

    #[test]
    fn figures_are_shown_short() {
        assert_eq!(shown(12_345_678.4), "12,345,678");
        assert_eq!(shown(-1234.0), "-1,234");
        assert_eq!(shown(-123_456.0), "-123,456");
        assert_eq!(shown(104.4), "104");
        assert_eq!(shown(66.25), "66.2");
        assert_eq!(shown(0.974), "0.97");
    }
}
