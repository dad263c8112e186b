//! Look-ups in a log without an index: by type, and by id.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::event::EventId;
use crate::log::View;
use crate::log::reader::Reader;
use crate::position::Seq;

/// How far from the time of an id its event is looked for, before and behind it, in milliseconds: where a
/// system made the id, and where whoever emitted the event did, a moment before. Then everywhere.
const NEAR: [(i64, i64); 2] = [(1, 1), (1_000, 10_000)];

/// The Seqs of the events of one type, in order, up to the last that was there when it began. One that
/// cannot be read may be of the type.
#[derive(Debug)]
pub(crate) struct OfType {
    event_type: Box<str>,
    reader: Reader,
    last: Seq,
}

impl OfType {
    pub(crate) fn new(view: &Arc<View>, event_type: &str) -> OfType {
        OfType {
            event_type: event_type.into(),
            reader: view.reader(view.first_seq()),
            last: view.watermark().appended(),
        }
    }
}

impl Iterator for OfType {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        while self.reader.position() <= self.last {
            match self.reader.next_event() {
                Ok(Some(event)) if event.seq() > self.last => return None,
                Ok(Some(event)) if event.event_type() == &*self.event_type => {
                    return Some(event.seq());
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(_) => {
                    let seq = self.reader.position();
                    self.reader.seek(seq.next());
                    return Some(seq);
                }
            }
        }
        None
    }
}

/// The first event that has this id; of an id that tells its time, the first at about that time, if there
/// is one. One that cannot be read has none.
pub(crate) fn scan_for_id(view: &Arc<View>, id: EventId) -> Option<Seq> {
    let (first, last) = (view.first_seq(), view.watermark().appended());
    if let Some(millis) = id.millis() {
        for (before, behind) in NEAR {
            let at = |millis: i64| Timestamp(millis.saturating_mul(1_000_000));
            // Where an event that would tell cannot be read, all are looked at.
            let (Ok(low), Ok(high)) = (
                view.last_at(at(millis.saturating_sub(before))),
                view.last_at(at(millis.saturating_add(1 + behind))),
            ) else {
                break;
            };
            let found = scan(view, id, first.max(low), last.min(high));
            if found.is_some() {
                return found;
            }
        }
    }
    scan(view, id, first, last)
}

fn scan(view: &Arc<View>, id: EventId, first: Seq, last: Seq) -> Option<Seq> {
    let mut reader = view.reader(first);
    while reader.position() <= last {
        match reader.next_event() {
            Ok(Some(event)) if event.seq() > last => return None,
            Ok(Some(event)) if event.event_id() == id => return Some(event.seq()),
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(_) => reader.seek(reader.position().next()),
        }
    }
    None
}
