//! [`Times`]: from when to when the ids of a window are.

/// The times in the ids of windows that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The earliest, in milliseconds; above `max` if there is none.
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Times {
    /// Whether an id with this time may be among them.
    pub(super) fn may_hold(&self, millis: u64) -> bool {
        (self.min..=self.max).contains(&millis)
    }

    /// Sums both up.
    pub(super) fn add(&mut self, other: Times) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}
