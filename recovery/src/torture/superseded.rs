//! What a compaction may have dropped: an event of which only the last of its key is kept, if another one of
//! that key stands behind it. Everything else that is not there is lost.

use std::collections::HashMap;

use forelog::Seq;

use super::content::Key;
use super::findings::Broken;

/// Says of which types only the last event of each source is kept.
pub(crate) type IsState = fn(&str) -> bool;

/// What stands in a log by keys, and what does not stand there.
#[derive(Debug)]
pub(crate) struct Superseded {
    is_state: IsState,
    /// The last event of each key.
    last: HashMap<Key, Seq>,
    absent: Vec<Absent>,
}

/// An event that is not there.
#[derive(Debug)]
struct Absent {
    key: Key,
    /// It stood before this.
    before: Seq,
    broken: Broken,
    detail: String,
}

impl Superseded {
    pub(crate) fn new(is_state: IsState) -> Superseded {
        Superseded {
            is_state,
            last: HashMap::new(),
            absent: Vec::new(),
        }
    }

    /// This event is there. They come in order.
    pub(crate) fn see(&mut self, seq: Seq, key: Key) {
        self.last.insert(key, seq);
    }

    /// The event of this key, which stood before a Seq, is not there. Says whether that may be right: only the
    /// end of the log tells.
    pub(crate) fn miss(&mut self, key: Key, before: Seq, broken: Broken, detail: &str) -> bool {
        let may_be = (self.is_state)(&key.0);
        if may_be {
            self.absent.push(Absent {
                key,
                before,
                broken,
                detail: detail.to_owned(),
            });
        }
        may_be
    }

    /// Whether an event of this key stands behind a Seq, so that the one there may be dropped.
    pub(crate) fn has_later(&self, key: &Key, seq: Seq) -> bool {
        (self.is_state)(&key.0) && self.last.get(key).is_some_and(|last| *last > seq)
    }

    /// What is not there and was superseded by nothing, once the log has come to its end; and how many
    /// were.
    pub(crate) fn finish(&mut self) -> (Vec<(Broken, Seq, String)>, u64) {
        let absent = std::mem::take(&mut self.absent);
        let all = absent.len();
        let lost = absent.into_iter().filter(|one| {
            let last = self.last.get(&one.key);
            last.is_none_or(|last| *last < one.before)
        });
        let lost: Vec<_> = lost
            .map(|one| (one.broken, one.before, one.detail))
            .collect();
        let dropped = all.saturating_sub(lost.len()) as u64;
        (lost, dropped)
    }
}
