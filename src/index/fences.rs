//! [`Fences`]: some ids of a window whose ids ascend, so that a search begins beside what it looks for.
//!
//! A look into a large log waits for memory that no cache holds. One id of each 256 is kept, as a sparse
//! index keeps one key of each block: what lies between two of them is searched in the log itself. Our own
//! ids are numbered within each millisecond: where a fence has the millisecond of the id that is sought, the
//! two numbers tell its very place.

use super::keys::{WINDOW_LEN, first_of, millis_of};
use super::times::Times;
use crate::event::EventId;
use crate::position::Seq;

/// How many Seqs lie between two fences.
const STEP: u64 = 256;
/// One at the start of each stretch, and one at the last Seq.
pub(super) const FENCES: usize = 17;
const _: () = assert!((FENCES as u64 - 1) * STEP == WINDOW_LEN);

/// Windows that span up to so many milliseconds have the numbers within them kept, too.
const WHOLE_MAX: u64 = (1 << (u32::BITS - EventId::COUNTER_BITS)) - 1;

/// What is kept of the ids at some places of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fences(pub(super) [u32; FENCES]);

/// A place, and what is known of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) place: Seq,
    pub(super) millis: u64,
    /// The number within the millisecond, if it is kept.
    counter: Option<u64>,
}

/// What fences tell of where an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    /// The last fence that is certain to stand before it.
    pub(super) below: Option<Fence>,
    /// The first fence that is certain to stand behind it.
    pub(super) above: Option<Fence>,
    /// A fence of which the same is kept as would be of the id.
    same: Option<Seq>,
}

impl Between {
    /// Where the id is if those of its millisecond are numbered one by one; `None` if no fence tells.
    pub(super) fn guess(&self, id: EventId) -> Option<Seq> {
        let millis = millis_of(id);
        let number = |fence: &Option<Fence>| {
            let fence = fence.filter(|fence| Some(fence.millis) == millis)?;
            Some((fence.place.0, fence.counter?))
        };
        let onward = |(place, held): (u64, u64)| {
            Seq(place.saturating_add(id.counter().saturating_sub(held)))
        };
        let back = |(place, held): (u64, u64)| {
            Seq(place.saturating_sub(held.saturating_sub(id.counter())))
        };
        let guess = self.same.or_else(|| number(&self.below).map(onward));
        guess.or_else(|| number(&self.above).map(back))
    }
}

impl Fences {
    /// The fences of a window that has an event at each Seq, ascending by id; `ids` are all of them.
    pub(super) fn of(window: u64, ids: &[EventId], times: Times) -> Fences {
        let first = first_of(window).max(Seq::FIRST);
        let kept = |nth| {
            let at = usize::try_from(place(window, nth).since(first)).ok();
            at.and_then(|at| ids.get(at))
                .map_or(u32::MAX, |id| keep(*id, times))
        };
        Fences(std::array::from_fn(kept))
    }

    /// Between which fences an id is, if the window has it.
    pub(super) fn around(&self, window: u64, id: EventId, times: Times) -> Between {
        let wanted = keep(id, times);
        let fence = |nth: usize| {
            let kept = u64::from(*self.0.get(nth)?);
            let (above, counter) = if is_whole(times) {
                let counter = kept & ((1 << EventId::COUNTER_BITS) - 1);
                (kept >> EventId::COUNTER_BITS, Some(counter))
            } else {
                (kept, None)
            };
            Some(Fence {
                place: place(window, nth),
                millis: times.min.saturating_add(above),
                counter,
            })
        };
        let behind = self.0.partition_point(|kept| *kept < wanted);
        let beyond = self.0.partition_point(|kept| *kept <= wanted);
        Between {
            below: behind.checked_sub(1).and_then(fence),
            above: fence(beyond),
            same: (behind < beyond).then(|| place(window, behind)),
        }
    }
}

/// Where a fence stands.
fn place(window: u64, nth: usize) -> Seq {
    let offset = (nth as u64).saturating_mul(STEP).min(WINDOW_LEN - 1);
    first_of(window).plus(offset).max(Seq::FIRST)
}

fn is_whole(times: Times) -> bool {
    times.max.saturating_sub(times.min) <= WHOLE_MAX
}

/// What is kept of an id. It descends nowhere that ids ascend.
fn keep(id: EventId, times: Times) -> u32 {
    let above = millis_of(id).unwrap_or(0).saturating_sub(times.min);
    let kept = match above {
        _ if !is_whole(times) => above,
        0..=WHOLE_MAX => above << EventId::COUNTER_BITS | id.counter(),
        _ => u64::MAX,
    };
    u32::try_from(kept).unwrap_or(u32::MAX)
}
