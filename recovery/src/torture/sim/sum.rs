//! The state of the projection: it tells whether each event was applied once.

use forelog::EventRef;

use crate::torture::content::digest_of;

/// How many events, and what they add up to.
pub(super) type Sum = (u64, u64);

/// Adds an event to the state.
pub(super) fn add(state: &mut Sum, event: &EventRef<'_>) {
    let [one, two, ..] = *digest_of(event).as_bytes();
    let weight = u64::from(one) << 8 | u64::from(two);
    *state = (state.0 + 1, state.1.wrapping_add(event.seq().0 ^ weight));
}
