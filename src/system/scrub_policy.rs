//! [`ScrubPolicy`]: when sealed segments are verified, and how fast.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How sealed segments are verified in the background; see [`Builder::scrub`](super::Builder::scrub).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubPolicy {
    /// How much is read per second at most; 8 MiB by default.
    pub bytes_per_second: u64,
    /// How long after the opening the first pass begins; ten minutes by default.
    pub begin_after: Duration,
    /// How long after the beginning of a pass the next one begins, if that one is over by then; a week by
    /// default.
    pub every: Duration,
}

impl Default for ScrubPolicy {
    fn default() -> Self {
        ScrubPolicy {
            bytes_per_second: 8 << 20,
            begin_after: Duration::from_secs(10 * 60),
            every: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl ScrubPolicy {
    /// Whether it makes sense.
    pub(super) fn check(policy: Option<&ScrubPolicy>) -> Result<()> {
        match policy {
            Some(policy) if policy.bytes_per_second == 0 => {
                let message = "scrub needs 1 byte per second or more; scrub(None) turns it off";
                Err(Error::new(ErrorKind::Invalid, message))
            }
            _ => Ok(()),
        }
    }

    /// How long so many bytes take at least.
    pub(super) fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_bounds_the_time_and_none_at_all_is_refused() {
        let policy = ScrubPolicy {
            bytes_per_second: 1000,
            ..ScrubPolicy::default()
        };
        assert_eq!(policy.time_of(2500), Duration::from_millis(2500));
        assert_eq!(policy.time_of(u64::MAX), Duration::from_nanos(u64::MAX));
        let never = ScrubPolicy {
            bytes_per_second: 0,
            ..policy
        };
        let refused = ScrubPolicy::check(Some(&never)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        ScrubPolicy::check(Some(&policy)).unwrap();
        ScrubPolicy::check(None).unwrap();
    }
}
