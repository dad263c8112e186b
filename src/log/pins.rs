//! [`Pins`]: upper layers register the Seqs that they still need, so that retention spares them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::position::Seq;

/// How much retention spares for names that have no handler. The default is all.
///
/// A name that nobody registers any more would keep the log from ever getting shorter. Beyond either
/// limit retention goes on without regard to it: when it is registered again, what is gone is passed as a
/// gap, and counted ([`SubscriptionState::skipped`](crate::SubscriptionState::skipped)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DetachedLag {
    /// How many bytes of segments are kept for such a name at most.
    pub bytes: Option<u64>,
    /// How long ago the log took the newest event of a segment that is kept for such a name at most.
    pub age: Option<Duration>,
}

/// The registered pins of a log, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<Pinned>>);

#[derive(Debug, Default)]
struct Pinned {
    pins: BTreeMap<String, Pin>,
    detached: DetachedLag,
}

#[derive(Debug, Clone, Copy)]
struct Pin {
    seq: Seq,
    /// Whether somebody is there who needs it.
    is_attached: bool,
    /// Whether it holds under every policy: its work is short, and could not tell a gap from nothing.
    is_firm: bool,
}

/// Who needs events, and from which on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) name: String,
    pub(crate) seq: Seq,
    /// Whether somebody is there who needs them.
    pub(crate) is_attached: bool,
    /// Whether it holds under every policy.
    pub(crate) is_firm: bool,
}

impl Need {
    /// What a name needs that nobody has.
    pub(crate) fn detached(name: String, seq: Seq) -> Self {
        Need {
            name,
            seq,
            is_attached: false,
            is_firm: false,
        }
    }

    /// Whether it holds a segment that ends with this Seq.
    pub(crate) fn holds(&self, last_seq: Seq) -> bool {
        self.seq <= last_seq
    }

    fn of((name, pin): (&String, &Pin)) -> Self {
        Need {
            name: name.clone(),
            seq: pin.seq,
            is_attached: pin.is_attached,
            is_firm: pin.is_firm,
        }
    }
}

impl Pins {
    /// How much is spared for pins that are detached.
    pub(crate) fn limit_detached(&self, limit: DetachedLag) {
        self.lock().detached = limit;
    }

    /// Asks to keep all events from `seq` on under this name, in place of what it asked before.
    pub(crate) fn set(&self, name: &str, seq: Seq) {
        self.put(name, seq, (true, false));
    }

    /// As [`Pins::set`], whatever the policy is.
    pub(crate) fn set_firm(&self, name: &str, seq: Seq) {
        self.put(name, seq, (true, true));
    }

    /// As [`Pins::set`], for a name that nobody has at present.
    pub(crate) fn set_detached(&self, name: &str, seq: Seq) {
        self.put(name, seq, (false, false));
    }

    fn put(&self, name: &str, seq: Seq, (is_attached, is_firm): (bool, bool)) {
        let mut pinned = self.lock();
        let pin = Pin {
            seq,
            is_attached,
            is_firm,
        };
        match pinned.pins.get_mut(name) {
            Some(before) => *before = pin,
            None => drop(pinned.pins.insert(name.to_owned(), pin)),
        }
    }

    /// Somebody has this name from now on: what it pins is kept, and everything if it pins nothing yet.
    /// Says whether it pinned nothing.
    pub(crate) fn hold(&self, name: &str) -> bool {
        let mut pinned = self.lock();
        if let Some(pin) = pinned.pins.get_mut(name) {
            pin.is_attached = true;
            return false;
        }
        let pin = Pin {
            seq: Seq::FIRST,
            is_attached: true,
            is_firm: false,
        };
        pinned.pins.insert(name.to_owned(), pin);
        true
    }

    /// Nobody has this name any more; what it pins is kept within the limits.
    pub(crate) fn detach(&self, name: &str) {
        if let Some(pin) = self.lock().pins.get_mut(name) {
            pin.is_attached = false;
        }
    }

    /// Gives the name's pin up.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().pins.remove(name);
    }

    /// Who needs the lowest Seq; `None` without pins. So many bytes of segments are held, the oldest of
    /// which got its last event so long ago: detached names count within their limits.
    pub(crate) fn lowest(&self, bytes: u64, age: Duration) -> Option<Need> {
        self.lowest_of(bytes, age, |_| true)
    }

    /// As [`Pins::lowest`], of the pins that hold under every policy.
    pub(crate) fn lowest_firm(&self) -> Option<Need> {
        self.lowest_of(0, Duration::ZERO, |pin| pin.is_firm)
    }

    /// As [`Pins::lowest`], of the pins that somebody has.
    pub(crate) fn lowest_attached(&self) -> Option<Need> {
        self.lowest_of(0, Duration::ZERO, |pin| pin.is_attached)
    }

    fn lowest_of(
        &self,
        bytes: u64,
        age: Duration,
        is_wanted: impl Fn(&Pin) -> bool,
    ) -> Option<Need> {
        let pinned = self.lock();
        let limit = pinned.detached;
        let is_over =
            limit.bytes.is_some_and(|max| bytes > max) || limit.age.is_some_and(|max| age > max);
        let counts = |pin: &Pin| (pin.is_attached || !is_over) && is_wanted(pin);
        let pins = pinned.pins.iter().filter(|(_, pin)| counts(pin));
        pins.min_by_key(|(_, pin)| pin.seq).map(Need::of)
    }

    /// All that is pinned, by name.
    pub(crate) fn all(&self) -> Vec<Need> {
        self.lock().pins.iter().map(Need::of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Pinned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_names_count_within_their_limits() {
        let pins = Pins::default();
        pins.set_detached("gone", Seq(3));
        pins.set("here", Seq(9));
        let lowest = |bytes, seconds| {
            let lowest = pins.lowest(bytes, Duration::from_secs(seconds));
            lowest.map(|need| need.name)
        };
        assert_eq!(lowest(u64::MAX, u64::MAX).as_deref(), Some("gone"));
        pins.limit_detached(DetachedLag {
            bytes: Some(100),
            age: Some(Duration::from_secs(10)),
        });
        assert_eq!(lowest(100, 10).as_deref(), Some("gone"));
        assert_eq!(lowest(101, 0).as_deref(), Some("here"));
        assert_eq!(lowest(0, 11).as_deref(), Some("here"));
        assert!(!pins.hold("gone"));
        assert_eq!(lowest(101, 11).as_deref(), Some("gone"));
        pins.detach("gone");
        pins.remove("here");
        assert_eq!(lowest(101, 0), None);
        assert!(pins.hold("new"));
    }
}
