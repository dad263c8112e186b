//! Reading the events of a stretch of the log.

use crate::event::EventId;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;

/// Visits the events of `from..=upto` that can be read, until `visit` has enough. Says how many it came to
/// that cannot.
pub(super) fn for_each(
    log: &Log,
    from: Seq,
    upto: Seq,
    mut visit: impl FnMut(EventRef<'_>) -> bool,
) -> u64 {
    let mut unread = 0;
    let mut reader = log.reader(from);
    loop {
        match reader.next_event() {
            Ok(Some(event)) if event.seq() <= upto => {
                if !visit(event) {
                    return unread;
                }
            }
            Ok(_) => return unread,
            // The follower passes over what cannot be read, counts it and says so; whoever reads
            // the event itself gets the error.
            Err(_) => {
                unread += u64::from(reader.position() <= upto);
                if reader.position() >= upto {
                    return unread;
                }
                reader.seek(reader.position().next());
            }
        }
    }
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
