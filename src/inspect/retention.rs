//! What retention would make of a directory: from headers, footers and the cursors of the control log.

use super::layout::Layout;
use super::place::Place;
use super::records::control_of;
use super::report::SegmentState;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::log::RetentionReport;
use crate::log::examine::Examination;
use crate::log::explain::Explain;
use crate::log::judge::{Facts, Standing};
use crate::log::limits::{Retention, WhenPinned};
use crate::log::pins::Need;
use crate::log::survey::{Survey, Surveyed};
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;

/// The report on a directory under these limits. All names that the control log knows count as needing
/// what they have not seen.
pub(super) fn explain(place: &Place, limits: Retention) -> Result<RetentionReport> {
    let layout = Layout::take(place)?;
    let control = control_of(place)?.of(layout.log_id());
    let needs: Vec<Need> = control
        .cursors()
        .map(|(name, cursor, _)| Need::detached(format!("subscription {name}"), cursor.next()))
        .collect();
    let facts = facts_of(place, &layout, control.witness())?;
    let lowest = needs.iter().min_by_key(|need| need.seq).cloned();
    let explain = Explain {
        limits,
        when_pinned: WhenPinned::Keep,
        compression: None,
        now: Timestamp::now(),
        ahead: prepared(place, &layout)?,
        needs,
        removed: control.removed().cloned(),
        needed: &|_, _| lowest.clone(),
    };
    Ok(explain.report(&facts))
}

fn facts_of(place: &Place, layout: &Layout, witness: Seq) -> Result<Vec<Facts>> {
    let Some(storage) = place.storage().filter(|_| !layout.pieces.is_empty()) else {
        return Ok(Vec::new());
    };
    let segments: Vec<Surveyed> = layout.pieces.iter().map(|piece| piece.at.clone()).collect();
    let last = segments.len().saturating_sub(1);
    let each = segments.iter().enumerate();
    let facts = each.map(|(index, at)| facts(storage, at, index == last));
    let mut facts = facts.collect::<Result<Vec<_>>>()?;
    let survey = Survey {
        segments,
        ..Survey::default()
    };
    let examination = Examination::read(storage, &survey, witness)?;
    let first = facts.len().saturating_sub(examination.open.len());
    let open = facts.get_mut(first..).unwrap_or_default();
    for (facts, point) in open.iter_mut().zip(examination.points()) {
        // What a footer says is as good.
        if facts.standing != Standing::Settled {
            facts.last_seq = point.last_seq;
            facts.events = point.event_count();
            facts.used = point.frames_end as u64;
            facts.newest_at = point.newest_at();
        }
    }
    Ok(facts)
}

/// What header and footer tell of a segment.
fn facts(storage: &FileStorage, at: &Surveyed, is_last: bool) -> Result<Facts> {
    let footer = at.footer.filter(|_| !is_last);
    let bytes = storage.open_read_only(&at.name)?.allocated();
    let standing = match footer {
        _ if is_last => Standing::Active,
        None => Standing::Unsettled,
        Some(_) => Standing::Settled,
    };
    let base = at.header.base_seq;
    Ok(Facts {
        segment: at.header.segment_id,
        first_seq: base,
        last_seq: footer.map_or(base.prev(), |footer| footer.last_seq),
        events: footer.map_or(0, |footer| footer.count),
        dropped: footer.map_or(0, |footer| footer.dropped()),
        saved: footer.map_or(0, |footer| footer.saved()),
        bytes,
        used: footer.map_or(0, |footer| footer.table_at() as u64),
        newest_at: footer
            .filter(|footer| footer.count > 0)
            .map(|footer| footer.times.appended_max),
        standing,
        is_encrypted: at.header.is_sealed(),
        is_expired: false,
    })
}

/// What is prepared behind the segments.
fn prepared(place: &Place, layout: &Layout) -> Result<u64> {
    let Some(storage) = place.storage() else {
        return Ok(0);
    };
    let mut bytes = 0_u64;
    for file in &layout.files {
        if file.state == SegmentState::Prepared {
            let region = storage.open_read_only(&file.entry.name)?;
            bytes = bytes.saturating_add(region.allocated());
        }
    }
    Ok(bytes)
}
