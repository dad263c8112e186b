//! Medians, percentiles, and the interval of a paired ratio.

use serde::Serialize;

use crate::record::Random;

const RESAMPLES: usize = 10_000;
const SEED: u64 = 0x0B00_7512_A900_0001;

/// The median of `values`, `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

/// The value at `share` (0 to 1) of `sorted`, between its neighbours.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a vector of samples, share is within 0 and 1"
    )]
    let (below, rest) = {
        let at = share * last as f64;
        (at as usize, at.fract())
    };
    let low = sorted[below];
    let high = sorted[(below + 1).min(last)];
    Some(low + (high - low) * rest)
}

pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of ratios that were each taken side by side, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub pairs: usize,
}

impl Ratio {
    /// By bootstrap over the pairs, seeded; `None` without a pair.
    pub fn of_pairs(ratios: &[f64]) -> Option<Self> {
        let middle = median(ratios)?;
        let mut random = Random::new(SEED);
        let medians: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                let drawn = ratios.iter().map(|_| ratios[random.below(ratios.len())]);
                median(&drawn.collect::<Vec<f64>>())
            })
            .collect();
        let medians = sorted(&medians);
        Some(Ratio {
            median: middle,
            low: quantile(&medians, 0.025)?,
            high: quantile(&medians, 0.975)?,
            pairs: ratios.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
    }

    #[test]
    fn an_interval_holds_the_median_and_is_repeatable() {
        let ratios = [0.9, 1.0, 1.1, 1.2, 1.05, 0.95, 1.15];
        let first = Ratio::of_pairs(&ratios);
        assert_eq!(first, Ratio::of_pairs(&ratios));
        let ratio = first.expect("seven pairs");
        assert!(ratio.low <= ratio.median && ratio.median <= ratio.high);
        assert!(0.9 <= ratio.low && ratio.high <= 1.2, "{ratio:?}");
        assert!(ratio.low < ratio.high, "an interval, not a point");
    }

    #[test]
    fn equal_pairs_have_no_spread() {
        let ratio = Ratio::of_pairs(&[2.0; 9]).expect("nine pairs");
        assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 2.0, 2.0));
    }
}
