//! How figures are written.

use crate::workload::Unit;

/// A figure with as many digits as it deserves: three where it is small, thousands parted by commas.
pub(super) fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::EventsPerSecond => thousands(three_digits(value)),
        Unit::Milliseconds if value < 100.0 => format!("{value:.1}"),
        Unit::Milliseconds | Unit::BytesPerEvent => thousands(value),
    }
}

/// `1,234,567` of a number.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rates are no better than that.
fn three_digits(value: f64) -> f64 {
    let mut step = 1.0;
    while value / step >= 1000.0 {
        step *= 10.0;
    }
    (value / step).round() * step
}

/// `3.40 ×` or `12 ×`.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2} ×")
    } else {
        format!("{} ×", thousands(ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let rate = |value| figure(value, Unit::EventsPerSecond);
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(999.4), "999");
        assert_eq!(rate(1_234.0), "1,230");
        assert_eq!(rate(12_345_678.0), "12,300,000");
        assert_eq!(figure(0.123, Unit::Milliseconds), "0.1");
        assert_eq!(figure(1234.5, Unit::Milliseconds), "1,234");
        assert_eq!(figure(320.4, Unit::BytesPerEvent), "320");
        assert_eq!(times(1.0), "1.00 ×");
        assert_eq!(times(1234.0), "1,234 ×");
    }
}
