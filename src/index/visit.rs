//! Reading the events of a stretch of the log.

use crate::event::EventId;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;

/// Visits the events of `from..=upto`, those that cannot be read by their Seqs, until `visit` has enough.
pub(super) fn visit_all(
    log: &Log,
    from: Seq,
    upto: Seq,
    mut visit: impl FnMut(Result<EventRef<'_>, Seq>) -> bool,
) {
    let mut reader = log.reader(from);
    loop {
        let wants_more = match reader.next_event() {
            Ok(Some(event)) if event.seq() <= upto => visit(Ok(event)),
            Ok(_) => return,
            // The follower passes over what cannot be read, counts it and says so; whoever reads
            // the event itself gets the error.
            Err(_) => {
                let seq = reader.position();
                let wants_more = seq <= upto && visit(Err(seq));
                reader.seek(seq.next());
                wants_more
            }
        };
        if !wants_more {
            return;
        }
    }
}

/// Visits the events of `from..=upto` that can be read, until `visit` has enough. Says how many it came to
/// that cannot.
pub(super) fn for_each(
    log: &Log,
    from: Seq,
    upto: Seq,
    mut visit: impl FnMut(EventRef<'_>) -> bool,
) -> u64 {
    let mut unread = 0;
    visit_all(log, from, upto, |found| {
        if let Ok(event) = found {
            return visit(event);
        }
        unread += 1;
        true
    });
    unread
}

/// How many events of `from..=upto` cannot be read.
pub(super) fn count_unread(log: &Log, from: Seq, upto: Seq) -> u64 {
    for_each(log, from, upto, |_| true)
}

/// The first event of `from..=upto` with this id.
pub(super) fn scan_for(log: &Log, id: EventId, from: Seq, upto: Seq) -> Option<Seq> {
    let mut found = None;
    for_each(log, from, upto, |event| {
        found = (event.event_id() == id).then(|| event.seq());
        found.is_none()
    });
    found
}
