//! [`Promise`]: what a log has promised so far, kept apart from it, and held against it after a crash.

use std::sync::Arc;

use crate::log::reader::Step;
use crate::log::{Log, StoredEvent, View};
use crate::position::Seq;
use crate::storage::sim::CrashKind;

/// An event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) seq: Seq,
    pub(super) number: u64,
    pub(super) len: usize,
    /// The last Seq of its batch.
    pub(super) batch_end: Seq,
}

impl Sent {
    /// The data of the event: its number, then bytes that follow from it.
    pub(super) fn data(number: u64, len: usize) -> Vec<u8> {
        let fill = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        let mut data = number.to_le_bytes().to_vec();
        data.extend(fill.iter().cycle().take(len));
        data
    }
}

/// What was published, what was acknowledged, and what retention was asked to remove.
#[derive(Debug, Clone, Default)]
pub(super) struct Promise {
    /// All events that may still be in the log, in order.
    pub(super) events: Vec<Sent>,
    /// All up to here were published; what lies behind is staged, and dies with the process.
    pub(super) published: Seq,
    /// All up to here were acknowledged as synced.
    pub(super) synced: Seq,
    /// Events before this one may have been removed.
    pub(super) needed_from: Seq,
    /// The highest Seq that anybody ever saw.
    pub(super) seen: Seq,
    /// The position of the last snapshot that was acknowledged.
    pub(super) snapshot: Seq,
}

impl Promise {
    pub(super) fn last(&self) -> Seq {
        self.events.last().map_or(Seq::ZERO, |sent| sent.seq)
    }

    /// What the state of a projection is at a position: how many events, and the sum of the numbers.
    pub(super) fn state_at(&self, position: Seq) -> (u64, u64) {
        let upto = self.events.iter().filter(|sent| sent.seq <= position);
        upto.fold((0, 0), |(count, sum), sent| (count + 1, sum + sent.number))
    }

    /// Holds a log that was opened after a crash against the promise; returns what is wrong.
    pub(super) fn check(&self, log: &Log, kind: CrashKind) -> Result<Vec<Sent>, String> {
        let found = read(log)?;
        let held = self.held(&found)?;
        let last = found.last().map_or(Seq::ZERO, |sent| sent.seq);
        let wanted = match kind {
            CrashKind::Process => self.published,
            CrashKind::System => self.synced,
        };
        // What retention was asked to remove may be all there was, a gap behind it.
        if last < wanted && wanted >= self.needed_from {
            return Err(format!(
                "the log ends at {last} and {wanted} was acknowledged"
            ));
        }
        let needed = self.events.iter().find(|sent| sent.seq >= self.needed_from);
        if let (Some(first), Some(needed)) = (held.first(), needed)
            && first.seq > needed.seq
        {
            return Err(format!("the log begins at {} only", first.seq));
        }
        if let Some(torn) = held.last().filter(|sent| sent.batch_end > last) {
            return Err(format!("the batch up to {} is cut", torn.batch_end));
        }
        if log.watermark().appended() < last || log.watermark().durable() < last {
            return Err("the watermark lies before the last event".to_owned());
        }
        Ok(found)
    }

    /// The run of events that was found, out of those that were sent.
    fn held(&self, found: &[Sent]) -> Result<&[Sent], String> {
        let Some(first) = found.first() else {
            return Ok(&[]);
        };
        let start = self.events.iter().position(|sent| sent.seq == first.seq);
        let start = start.ok_or_else(|| format!("{first:?} was never sent"))?;
        for (sent, found) in self.events[start..].iter().zip(found) {
            if (sent.seq, sent.number, sent.len) != (found.seq, found.number, found.len) {
                return Err(format!("{found:?} stands where {sent:?} was sent"));
            }
        }
        let held = self.events[start..].get(..found.len());
        held.ok_or_else(|| format!("{:?} was never sent", found.last()))
    }

    /// What is promised once the log was opened and showed these events.
    pub(super) fn after(&self, found: &[Sent]) -> Promise {
        let last = found.last().map_or(Seq::ZERO, |sent| sent.seq);
        let mut after = self.clone();
        // What is shown after an opening stays for ever. Where nothing is, all that was synced was
        // removed by retention, and may still be in a snapshot.
        let kept_upto = if found.is_empty() { self.synced } else { last };
        after.events.retain(|sent| sent.seq <= kept_upto);
        after.synced = last;
        after.published = last;
        after
    }
}

/// All events of a log. Each Seq from the first one held to the last must be an event or lie in a gap.
pub(super) fn read(log: &Arc<View>) -> Result<Vec<Sent>, String> {
    let mut reader = log.reader(log.first_seq());
    let mut found = Vec::new();
    loop {
        let at = reader.position();
        match reader.step().map_err(|error| format!("{error:?}"))? {
            Some(Step::Event(event)) if event.seq() == at => {
                let data = event.data_bytes();
                let number = data
                    .first_chunk()
                    .map_or(0, |bytes| u64::from_le_bytes(*bytes));
                if data != Sent::data(number, data.len() - 8) {
                    return Err(format!("the event {at} has other bytes"));
                }
                found.push(Sent {
                    seq: at,
                    number,
                    len: data.len() - 8,
                    batch_end: at,
                });
            }
            Some(Step::Gap(gap)) if gap.from == at && gap.to >= at => {}
            Some(step) => return Err(format!("{step:?} at {at}")),
            None => break,
        }
    }
    if reader.position() <= log.watermark().appended() {
        return Err(format!("the reader stops at {}", reader.position()));
    }
    for sent in &found {
        let got = log.get(sent.seq).map_err(|error| format!("{error:?}"))?;
        let same = |stored: &StoredEvent| stored.event().seq() == sent.seq;
        if !got.as_ref().is_some_and(same) {
            return Err(format!("get({}) does not find it", sent.seq));
        }
    }
    Ok(found)
}
