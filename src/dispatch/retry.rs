//! [`RetryPolicy`]: how often, how soon and for how long a failed delivery is tried again.

use std::time::Duration;

use super::key::mix;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

/// How often and how soon a failed delivery is tried again, until it is parked.
///
/// The delay before the second attempt is `backoff_initial`; it doubles with each further one, up to
/// `backoff_max`. Then up to `jitter_percent` of it is taken off, so that what failed together does not
/// come back together. How much follows from the seed, the Seq and the attempt: a test can foresee it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// With how many failed attempts an event is parked: 1 or more, 5 by default.
    pub attempts_max: u32,
    /// The first delay: 100 ms by default.
    pub backoff_initial: Duration,
    /// The longest delay: 10 s by default.
    pub backoff_max: Duration,
    /// Which part of a delay may be taken off, in percent: 0 to 100, 10 by default.
    pub jitter_percent: u8,
    /// What the jitter is made of: 0 by default.
    pub jitter_seed: u64,
    /// How long after its first failure an event is parked at the next one, whatever `attempts_max`
    /// leaves. By default there is no such limit.
    pub deadline: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts_max: 5,
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            jitter_percent: 10,
            jitter_seed: 0,
            deadline: None,
        }
    }
}

impl RetryPolicy {
    /// The delay after so many failed attempts at an event.
    pub(super) fn delay_after(&self, failures: u32, seq: Seq) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let delay = self.backoff_initial.saturating_mul(1 << doublings);
        let delay = delay.min(self.backoff_max);
        // In parts of 65,536.
        let draw = mix(self.jitter_seed ^ mix(seq.0 ^ mix(u64::from(failures)))) & 0xffff;
        let part = draw * u64::from(self.jitter_percent) / 100;
        let off = delay.as_nanos().saturating_mul(u128::from(part)) >> 16;
        delay.saturating_sub(Duration::from_nanos(u64::try_from(off).unwrap_or(u64::MAX)))
    }

    pub(super) fn check(&self) -> Result<()> {
        let message = if self.attempts_max == 0 {
            "attempts_max must be 1 or more: the first delivery counts"
        } else if self.jitter_percent > 100 {
            "jitter_percent must be 100 or less"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = RetryPolicy {
            backoff_initial: Duration::from_secs(60),
            backoff_max: Duration::from_secs(200),
            jitter_percent: 0,
            ..RetryPolicy::default()
        };
        let delays = [1, 2, 3, 4, 40, u32::MAX];
        let delays = delays.map(|failures| policy.delay_after(failures, Seq(9)).as_secs());
        assert_eq!(delays, [60, 120, 200, 200, 200, 200]);
    }

    #[test]
    fn jitter_takes_a_part_off_and_is_the_same_each_time() {
        let policy = RetryPolicy {
            backoff_initial: Duration::from_secs(100),
            backoff_max: Duration::from_secs(100),
            jitter_percent: 20,
            ..RetryPolicy::default()
        };
        let delays = |seed: u64| -> Vec<u128> {
            let policy = RetryPolicy {
                jitter_seed: seed,
                ..policy
            };
            let each = (1..=200).map(|seq| policy.delay_after(1, Seq(seq)).as_millis());
            each.collect()
        };
        let seen = delays(7);
        assert!(seen.iter().all(|delay| (80_000..=100_000).contains(delay)));
        assert!(seen.iter().any(|&delay| delay < 84_000) && seen.iter().any(|&d| d > 96_000));
        assert_eq!(seen, delays(7));
        assert_ne!(seen, delays(8));
    }
}
