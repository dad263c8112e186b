//! Verification: every byte that a check covers, and every rule that ties the bytes together.

use std::time::Instant;

use super::damage::Damage;
use super::end::End;
use super::index_check::IndexCheck;
use super::layout::Layout;
use super::passes::{Progress, Tally, check_at_once, check_ends, check_in_order};
use super::piece_check::Outcome;
use super::place::Place;
use super::records::{Records, control_of};
use super::report::{
    IndexReport, LogReport, REPORT_VERSION, SubscriptionReport, Verdict, VerifyReport,
};
use super::selector::Selector;
use crate::control::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{SegmentId, Seq};

/// How often a finding beside a live writer is looked at again: the writer may have been at work
/// between two looks.
const LIVE_TRIES: u32 = 3;

/// Verifies the logs at a place.
pub(super) fn verify(
    place: &Place,
    depth: Depth,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport> {
    let begun = Instant::now();
    let (mut log, index) = verify_log(place, depth, progress)?;
    let mut control = match place.control()? {
        Some(control) => Some(verify_control(&control)?),
        None => None,
    };
    // The ledger is read after the names: of what goes meanwhile it knows.
    let layout = Layout::take(place)?;
    let known = control_of(place)?;
    if let (Some(why), Some(control)) = (known.not_of(layout.log_id()), &mut control) {
        let error = Error::new(ErrorKind::Corrupt, why);
        control.add(Damage::of("", SegmentId::default(), &error));
    }
    let known = known.of(layout.log_id());
    // A ledger whose last records may be lost proves nothing.
    let is_whole = control
        .as_ref()
        .is_some_and(|control| control.damage_count == 0);
    if let Some(removed) = known.removed().filter(|_| is_whole)
        && let Some(damage) = layout.missing_after(removed)
    {
        log.add(damage);
    }
    let subscriptions = known.cursors().map(SubscriptionReport::of).collect();
    let mut report = VerifyReport {
        v: REPORT_VERSION,
        path: place.path.clone(),
        deep: depth != Depth::Ends,
        verdict: Verdict::Good,
        log,
        control,
        subscriptions,
        index_ok: index.as_ref().and_then(IndexReport::is_ok),
        index,
        in_use_by: place.writer(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    report.judge();
    Ok(report)
}

/// Verifies the control log, its records included.
fn verify_control(place: &Place) -> Result<LogReport> {
    let (mut report, _) = verify_log(place, Depth::Log, &mut |_| {})?;
    let mut reading = Reading::default();
    for record in Records::new(place.clone(), Selector::all())? {
        // Places that cannot be read are in the report already.
        let Ok(record) = record else { continue };
        if let Err(error) = reading.take(&record.view()?) {
            report.add(Damage::of("", SegmentId::default(), &error));
        }
    }
    Ok(report)
}

type Found = (LogReport, Option<IndexReport>);

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Every byte, and the index.
    All,
    /// Every byte of the log.
    Log,
    /// Headers, footers and links, and the frames of the last segments.
    Ends,
}

fn verify_log(place: &Place, depth: Depth, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    let mut tries = LIVE_TRIES;
    loop {
        let found = verify_once(place, depth, progress);
        tries = tries.saturating_sub(1);
        let doubtful = match &found {
            Ok((report, _)) => report.damage_count > 0,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if !doubtful || tries == 0 || place.writer().is_none() {
            return found;
        }
    }
}

fn verify_once(place: &Place, depth: Depth, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    // The control log comes first: what it knows to be durable was so before.
    let control = control_of(place)?;
    let mut layout = Layout::take(place)?;
    let Some(storage) = layout.folder.clone() else {
        return Ok((without_folder(control.witness()), None));
    };
    let storage = &storage;
    let witness = control.of(layout.log_id()).witness();
    let held = layout.pieces.clone();
    let end = layout.examine(storage, witness)?;
    let report = LogReport {
        clean: end.clean || held.is_empty(),
        torn_bytes: end.torn_bytes,
        ..LogReport::default()
    };
    let found = end.footer_damage(storage, &held, place.is_one_file())?;
    layout.blemishes.extend(found);
    if held.is_empty() {
        layout.findings.extend(end.all_missing());
    }
    let log_id = held.first().map(|piece| piece.at.header.log_id);
    let key = layout.key_to_check(place)?;
    let is_locked = key.is_none() && layout.is_sealed();
    let index = match log_id.filter(|_| depth == Depth::All) {
        Some(log_id) => IndexCheck::begin(place, log_id)?,
        None => None,
    };
    // Which names the events have, only who has the key can tell.
    let index = index.map(|index| {
        if is_locked {
            IndexCheck::locked()
        } else {
            index
        }
    });
    let total = layout.pieces.iter().map(|piece| piece.limit as u64).sum();
    let mut tally = Tally {
        index,
        key,
        done: 0,
        total,
        progress,
    };
    let checked = match (&tally.index, depth) {
        (_, Depth::Ends) => check_ends(storage, &layout.pieces, end.witness, &mut tally)?,
        // The index is held against the events in their order.
        (Some(index), _) if index.is_under_way() => {
            check_in_order(storage, &layout.pieces, end.witness, &mut tally)?
        }
        _ => check_at_once(storage, &layout.pieces, end.witness, &mut tally)?,
    };
    let mut report = sum_up(report, layout, checked);
    let unread = storage.unread();
    unread
        .iter()
        .map(Damage::of_unread)
        .for_each(|damage| report.add(damage));
    (tally.progress)(Progress { done: total, total });
    // Where the log has lost events the index cannot be held against it.
    let index = tally.index.filter(|_| report.damage_count == 0);
    Ok((report, index.map(IndexCheck::finish)))
}

/// Adds up what was found, of files and of segments, in order.
fn sum_up(mut report: LogReport, layout: Layout, checked: Vec<Outcome>) -> LogReport {
    let mut findings = layout.findings;
    findings.extend(layout.blemishes);
    findings.sort_by_key(|damage| (damage.segment, damage.offset));
    let mut findings = findings.into_iter().peekable();
    for (piece, outcome) in layout.pieces.iter().zip(checked) {
        let id = piece.at.header.segment_id;
        while let Some(damage) = findings.next_if(|damage| damage.segment <= id) {
            report.add(damage);
        }
        report.gaps.extend(piece.at.header.gap());
        report.absorb(outcome.report);
        if !outcome.goes_on {
            break;
        }
    }
    findings.for_each(|damage| report.add(damage));
    report
}

/// The report of a directory without a folder for its log.
fn without_folder(witness: Seq) -> LogReport {
    let mut report = LogReport {
        clean: true,
        ..LogReport::default()
    };
    if let Some(damage) = End::without_segments(witness).all_missing() {
        report.clean = false;
        report.add(damage);
    }
    report
}
