//! Whether an index that was loaded agrees with the log: the same log, not shorter than the index,
//! and with the same events.
//!
//! The index takes events once they are published, so a power cut can take back what it has. The log
//! never hands a Seq out twice; so events that were lost show by the count of a window, and a log
//! that was put back from elsewhere shows by the last event's hash and the chain of its segments.

use std::sync::Arc;

use super::catalog::{Loaded, broken};
use super::keys::{self, digest, first_of, last_of, mix};
use super::values::Position;
use super::visit;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::log::segment::Segment;
use crate::position::Seq;

/// Checks a loaded index against the log.
///
/// # Errors
/// [`Index`](crate::ErrorKind::Index) with what differs.
pub(super) fn check(loaded: &Loaded, log: &Log) -> Result<()> {
    let Some(position) = &loaded.position else {
        return Ok(());
    };
    let appended = log.watermark().appended();
    if Seq(position.last_seq) > appended {
        return Err(broken("it leads the log"));
    }
    let segments = log.segments();
    check_chain(position, &segments)?;
    check_last(position, log)?;
    let first = log.first_seq();
    // A window that retention has cut into holds less than was indexed.
    let from = keys::window_of(first.prev()).saturating_add(u64::from(first > Seq::FIRST));
    check_counts(loaded, &segments, from)?;
    check_unread(loaded, log, from)
}

fn check_chain(position: &Position, segments: &[Arc<Segment>]) -> Result<()> {
    let same = segments.iter().find(|held| held.id().0 == position.segment);
    let Some(segment) = same else {
        // Retention has removed it; the other checks remain.
        return Ok(());
    };
    match segment.footer() {
        Some(footer) if footer.chain.0 == position.chain => Ok(()),
        _ => Err(broken("a segment that it covers has changed")),
    }
}

fn check_last(position: &Position, log: &Log) -> Result<()> {
    let seq = Seq(position.last_seq);
    let is_same = hash_at(log, seq) == position.last_hash;
    // Asked last: a compaction or retention may be at work.
    if is_same || seq < log.first_seq() || log.is_dropped(seq) {
        return Ok(());
    }
    Err(broken("the last event that it covers is another one"))
}

/// A hash of the event of this Seq; 0 if there is none that can be read.
pub(super) fn hash_at(log: &Log, seq: Seq) -> u64 {
    let stored = log.get(seq).ok().flatten();
    stored.map_or(0, |stored| event_hash(&stored.event()))
}

fn event_hash(event: &EventRef<'_>) -> u64 {
    let mut bytes = event.event_id().0.to_le_bytes().to_vec();
    bytes.extend(event.seq().0.to_le_bytes());
    bytes.extend(event.appended_at().0.to_le_bytes());
    bytes.extend(event.timestamp().0.to_le_bytes());
    let content = mix(digest(event.data_bytes()) ^ digest(event.event_type().as_bytes()));
    bytes.extend(content.to_le_bytes());
    digest(&bytes)
}

/// Looks whether events that could not be read when they were indexed still cannot: a damaged segment may
/// have been mended, or put back.
fn check_unread(loaded: &Loaded, log: &Log, from: u64) -> Result<()> {
    let manifests = loaded.catalog.manifests_from(from);
    for manifest in manifests.filter(|held| held.unreadable > 0) {
        let (start, end) = (first_of(manifest.window), last_of(manifest.window));
        let unread = visit::count_unread(log, start, end);
        if unread < u64::from(manifest.unreadable) {
            return Err(broken("events that it could not read can be read by now"));
        }
    }
    Ok(())
}

/// Compares the count of each window from this one on with what the segments hold of it.
fn check_counts(loaded: &Loaded, segments: &[Arc<Segment>], from: u64) -> Result<()> {
    let mut counted = 0_u64;
    for manifest in loaded.catalog.manifests_from(from) {
        let (start, end) = (first_of(manifest.window), last_of(manifest.window));
        let held = held_between(segments, start, end);
        if held.is_some_and(|held| held != u64::from(manifest.count)) {
            return Err(broken("the log has lost events that it covers"));
        }
        counted = counted.saturating_add(manifest.count.into());
    }
    let end = last_of(loaded.catalog.next_window().saturating_sub(1));
    let all = held_between(segments, first_of(from), end);
    if loaded.catalog.next_window() > from && all.is_some_and(|all| all != counted) {
        return Err(broken("the log has events that it does not know"));
    }
    Ok(())
}

/// How many events the segments hold from `start` to `end`; `None` if one of them lacks events
/// between its first and its last, so that arithmetic cannot tell.
fn held_between(segments: &[Arc<Segment>], start: Seq, end: Seq) -> Option<u64> {
    let from = segments.partition_point(|segment| segment.last_seq() < start);
    let mut held = 0_u64;
    for segment in segments.iter().skip(from) {
        if segment.base_seq() > end {
            break;
        }
        let whole = segment.last_seq().next().since(segment.base_seq());
        if segment.count() != whole {
            return None;
        }
        let (first, last) = (segment.base_seq().max(start), segment.last_seq().min(end));
        held = held.saturating_add(last.next().since(first));
    }
    Some(held)
}
