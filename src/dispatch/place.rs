//! Where a subscription is: its position in memory, its cursor in the control log, its pin.
//!
//! **Crashes.** A record of the place says which events up to the last one taken up are open. Killed
//! before it is written, the subscription goes on from the record before, and events that were handled
//! since come again; killed after it, only the open ones come again. There is no state between.

use super::desk::{ACKS_PER_CURSOR, Desk, PASSES_PER_ACK};
use super::office::{is_final, pin_name};
use crate::control::{Ahead, Place};
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::{Gap, Seq};

impl Desk {
    /// Whether the event was parked already.
    #[inline]
    pub(super) fn is_parked(&self, seq: Seq) -> bool {
        !self.parked_ahead.is_empty() && self.parked_ahead.contains(&seq)
    }

    /// Passes Seqs by that are not delivered.
    pub(super) fn pass_gap(&mut self, gap: Gap, why: &str) -> Result<()> {
        let count = gap.to.next().since(gap.from);
        // Of what compaction has dropped there may be millions of gaps, and a later event stands for each.
        let log = &self.office.log;
        if log.is_dropped(gap.from) && !log.is_lost(gap.from) {
            tracing::debug!(
                target: "forelog::dispatch", subscription = %self.seat.label(), %gap,
                "Seqs that compaction has dropped are passed by"
            );
        } else {
            tracing::warn!(
                target: "forelog::dispatch", subscription = %self.seat.label(), %gap, why,
                is_volatile = self.office.is_volatile, "Seqs are passed by without a delivery"
            );
        }
        self.count_skipped(count);
        self.move_to(gap.to, PASSES_PER_ACK)
    }

    pub(super) fn count_skipped(&mut self, count: u64) {
        self.skipped = self.skipped.saturating_add(count);
        self.seat.notes().skipped = self.skipped;
    }

    /// Whether an event was old news when the handler was registered, or has become so since. What is
    /// emitted from then on is delivered, however late.
    #[cold]
    pub(super) fn has_expired(&self, event: &EventRef<'_>) -> bool {
        event.seq() <= self.attached_at && self.office.log.is_expired(event)
    }

    /// Passes an event that has expired.
    pub(super) fn pass_expired(&mut self, seq: Seq) -> Result<()> {
        self.seat.notes().expired += 1;
        self.move_to(seq, 1)
    }

    /// Whether retention has removed an open event, which by its policy does not wait for everybody, or
    /// compaction has dropped it: it may have been under way when this subscription began.
    pub(super) fn has_gone(&self, seq: Seq) -> bool {
        seq < self.office.log.first_seq() || self.office.log.is_dropped(seq)
    }

    /// Passes an open event that has gone: it is a gap like any other.
    #[cold]
    pub(super) fn lose(&mut self, seq: Seq) -> Result<()> {
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %seq,
            is_volatile = self.office.is_volatile, "an event was removed before it was handled"
        );
        self.count_skipped(1);
        self.lost.push(seq);
        self.close(seq)
    }

    /// Takes up the Seqs up to this one, of which none is to be delivered any more.
    #[inline]
    pub(super) fn move_to(&mut self, seq: Seq, weight: u32) -> Result<()> {
        self.taken = seq;
        if self.window.is_empty() {
            self.seat.position.set(seq);
            self.office.queue.moved(&self.seat.position);
        } else {
            self.publish();
        }
        self.count_unflushed(weight, seq)
    }

    /// Tells the others how far it is.
    pub(super) fn publish(&mut self) {
        let position = &self.seat.position;
        match self.window.first() {
            Some(first) => position.set_open(first.prev(), self.taken, self.window.len()),
            None => position.set_all(self.taken),
        }
        self.office.queue.moved(position);
    }

    #[inline]
    pub(super) fn count_unflushed(&mut self, weight: u32, seq: Seq) -> Result<()> {
        self.unflushed = self.unflushed.saturating_add(weight);
        if self.unflushed >= ACKS_PER_CURSOR * PASSES_PER_ACK || self.is_careful(seq) {
            self.flush()?;
        }
        Ok(())
    }

    /// Where the subscription stands, this event counted as handled.
    pub(super) fn place_but(&self, handled: Option<Seq>) -> Place {
        let open = || self.window.seqs().filter(|&seq| Some(seq) != handled);
        let cursor = open().next().map_or(self.taken, Seq::prev);
        Place {
            cursor,
            ahead: Ahead::new(cursor, self.taken, open()),
            skipped: self.skipped,
            durable_upto: self.office.log.watermark().durable(),
        }
    }

    /// Whether something was handled that the control log does not know of.
    pub(super) fn is_unflushed(&self) -> bool {
        self.unflushed > 0
    }

    /// Writes the cursor, if something has changed, and lets go of what lies before it.
    ///
    /// # Errors
    /// If it can never be written again. Other errors are noted: the cursor is written with the next.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.unflushed == 0 {
            return Ok(());
        }
        match self.write_place() {
            Ok(()) => {}
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                self.unflushed = 1;
                self.note_error(&error);
                return Ok(());
            }
        }
        self.flushed = self.seat.position.get();
        self.note_open();
        self.pin();
        Ok(())
    }

    fn write_place(&mut self) -> Result<()> {
        self.unflushed = 0;
        let Some(name) = &self.seat.name else {
            return Ok(());
        };
        let control = &self.office.control;
        control.advance(name, self.place_but(None))?;
        // Retention may take what lies before the pin: a parked event must have its copy by then.
        if let Some(noted) = self.unsynced {
            control.wait_for(noted)?;
            self.unsynced = None;
        }
        Ok(())
    }

    pub(super) fn pin(&self) {
        let name = pin_name(self.seat.name.as_deref(), self.seat.id.0);
        let pins = self.office.log.pins();
        if self.office.is_volatile && !self.is_live {
            // Nobody waits for it, and memory is not for those who may never come.
            pins.set_detached(&name, self.flushed.next());
        } else {
            pins.set(&name, self.flushed.next());
        }
    }

    /// Says with what a worker that goes to rest leaves the others alone, or not.
    pub(super) fn note_open(&self) {
        let mut notes = self.seat.notes();
        notes.open = self.window.len();
        notes.handed_on = self.window.longest_running();
    }

    /// Counts this subscription for the queue, once it is near the end. One that gets volatile events is
    /// counted wherever it is: memory holds no backlog for it.
    pub(super) fn join_queue(&mut self) {
        let may_join = || self.office.is_volatile || self.office.queue.is_near(self.taken);
        if !self.is_live && may_join() {
            self.is_live = true;
            self.office.queue.join(self.seat.position.clone());
            self.pin();
        }
    }

    /// Tells whoever waits for this subscription how far it is, before a pause.
    pub(super) fn rest_queue(&self) {
        self.office.queue.paused(&self.seat.position);
    }

    /// Holds nobody up any more.
    pub(super) fn leave_queue(&mut self) {
        self.is_live = false;
        self.office.queue.leave(&self.seat.position);
    }
}
