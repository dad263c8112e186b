//! How a batch is gathered and handed over.
//!
//! An event that is gathered is open, so that the cursor stays before it: a crash loses no batch. Only
//! the worker's steps hand a batch over, when it is full, when its linger is over and nothing more is
//! there, or when the window has no place for another event. After an unclean end, when each attempt is
//! noted before it begins, a batch is one event, and is handed over at once.

use super::crew::{Batch, Crew, Gathered};
use super::delivery::Delivery;
use super::desk::{Desk, Turn};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::Seq;

/// Adds an open event to the batch.
pub(super) fn gather(
    desk: &mut Desk,
    batch: &mut Batch,
    seq: Seq,
    key: u64,
    now: Timestamp,
) -> Result<()> {
    let Ok(Turn::Deliver { attempt, phase }) = desk.turn(seq) else {
        // It is ready, and handed out on its own, where it is found out why not.
        return Ok(());
    };
    let Some(stored) = desk.office.log.get(seq)? else {
        return desk.lose(seq);
    };
    desk.window.run(seq, attempt, now);
    let gathered = Gathered {
        stored,
        seq,
        attempt,
        phase,
    };
    batch.push(gathered, key, now);
    Ok(())
}

/// Hands what is gathered over, and notes what has become of each event.
pub(super) fn deliver_batch(desk: &mut Desk, crew: &mut Crew) -> Result<()> {
    let Some(batch) = crew.batch() else {
        return Ok(());
    };
    let items = batch.take();
    let Some(first) = items.first() else {
        return Ok(());
    };
    let veils: Vec<_> = items
        .iter()
        .map(|item| desk.office.veil(&item.stored.event()))
        .collect();
    let deliveries: Vec<_> = items
        .iter()
        .zip(&veils)
        .map(|(item, veil)| {
            let event = item.stored.event().shown_by(veil.as_ref());
            Delivery::new(event, item.seq, (item.attempt, item.phase), &desk.origin)
        })
        .collect();
    desk.seat.set_busy(first.seq);
    let (given, mut outcome) = batch.call(&desk.office, &deliveries);
    desk.seat.set_busy(Seq::ZERO);
    drop(deliveries);
    let deferred = desk.origin.take_deferred();
    for (place, item) in items.iter().enumerate() {
        if place >= given {
            desk.put_back(item.seq, item.attempt);
        } else if !deferred.contains(&item.seq) {
            desk.settle(item.seq, item.attempt, outcome.at(place))?;
        }
    }
    Ok(())
}
