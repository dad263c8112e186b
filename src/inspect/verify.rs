//! Verification: every byte that a check covers, and every rule that ties the bytes together.

use std::sync::Arc;
use std::time::Instant;

use super::end::End;
use super::file::is_environment;
use super::index_check::IndexCheck;
use super::layout::{Layout, UNSETTLED_MAX};
use super::piece::{Judgement, Piece};
use super::place::Place;
use super::records::{Records, control_of};
use super::report::{
    Damage, IndexReport, LogReport, REPORT_VERSION, SubscriptionReport, Verdict, VerifyReport,
};
use super::segment_check::SegmentCheck;
use super::selector::Selector;
use super::walk::Seen;
use crate::control::Reading;
use crate::error::{ErrorKind, Result};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;

/// How often a finding beside a live writer is looked at again: the writer may have been at work
/// between two looks.
const LIVE_TRIES: u32 = 3;
/// How many bytes lie between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 20;

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The bytes that were checked.
    pub done: u64,
    /// The bytes to check.
    pub total: u64,
}

/// Verifies the logs at a place.
pub(super) fn verify(place: &Place, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport> {
    let begun = Instant::now();
    let (mut log, index) = verify_log(place, true, progress)?;
    let control = match place.control()? {
        Some(control) => Some(verify_control(&control)?),
        None => None,
    };
    // The ledger is read after the names: of what goes meanwhile it knows.
    let layout = Layout::take(place)?;
    let known = control_of(place)?;
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
        verdict: Verdict::Good,
        log,
        control,
        subscriptions,
        index_ok: index.as_ref().map(|index| index.ok),
        index,
        in_use_by: place.writer(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    report.judge();
    Ok(report)
}

/// Verifies the control log, its records included.
fn verify_control(place: &Place) -> Result<LogReport> {
    let (mut report, _) = verify_log(place, false, &mut |_| {})?;
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

fn verify_log(place: &Place, indexed: bool, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    let mut tries = LIVE_TRIES;
    loop {
        let found = verify_once(place, indexed, progress);
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

fn verify_once(place: &Place, indexed: bool, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    // The control log comes first: what it knows to be durable was so before.
    let witness = control_of(place)?.witness();
    let Some(storage) = place.storage() else {
        return Ok((without_folder(witness), None));
    };
    let mut layout = Layout::take(place)?;
    let held = layout.pieces.clone();
    let end = layout.examine(storage, witness)?;
    let report = LogReport {
        clean: end.clean || held.is_empty(),
        torn_bytes: end.torn_bytes,
        ..LogReport::default()
    };
    // Nothing but a clean end proves that the last footers were written.
    if end.clean || place.is_one_file() {
        let found = last_footers(storage, &held, place.is_one_file())?;
        layout.blemishes.extend(found);
    }
    if held.is_empty() {
        layout.findings.extend(end.all_missing());
    }
    let log_id = held.first().map(|piece| piece.at.header.log_id);
    let index = match log_id.filter(|_| indexed) {
        Some(log_id) => IndexCheck::begin(place, log_id)?,
        None => None,
    };
    let total = layout.pieces.iter().map(|piece| piece.limit as u64).sum();
    let mut verification = Verification {
        storage,
        end,
        report,
        index,
        progress,
        total,
        reported: 0,
    };
    verification.run(layout)?;
    (verification.progress)(Progress { done: total, total });
    // Where the log has lost events the index cannot be held against it.
    let index = verification
        .index
        .filter(|_| verification.report.damage_count == 0);
    Ok((verification.report, index.map(IndexCheck::finish)))
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

/// What is wrong with the footers of the last segments.
fn last_footers(storage: &FileStorage, pieces: &[Piece], alone: bool) -> Result<Vec<Damage>> {
    let first = pieces.len().saturating_sub(UNSETTLED_MAX);
    let last = pieces.len().saturating_sub(usize::from(!alone));
    let mut found = Vec::new();
    for piece in pieces.get(first..last).unwrap_or_default() {
        // One file alone may be the segment that still grows.
        if !alone || !piece.trailer_is_blank(storage)? {
            found.extend(piece.footer_damage(storage)?);
        }
    }
    Ok(found)
}

struct Verification<'a> {
    storage: &'a FileStorage,
    end: End,
    report: LogReport,
    index: Option<IndexCheck>,
    progress: &'a mut dyn FnMut(Progress),
    total: u64,
    reported: u64,
}

impl Verification<'_> {
    fn run(&mut self, layout: Layout) -> Result<()> {
        let mut findings = layout.findings;
        findings.extend(layout.blemishes);
        findings.sort_by_key(|damage| (damage.segment, damage.offset));
        let mut findings = findings.into_iter().peekable();
        for (index, piece) in layout.pieces.iter().enumerate() {
            let id = piece.at.header.segment_id;
            while let Some(damage) = findings.next_if(|damage| damage.segment <= id) {
                self.report.add(damage);
            }
            if let Some(gap) = piece.at.header.gap().filter(|_| index > 0) {
                self.report.gaps.push(gap);
            }
            if !self.segment(piece)? {
                break;
            }
        }
        findings.for_each(|damage| self.report.add(damage));
        Ok(())
    }

    /// Checks one segment; `false` if the log ends in it.
    fn segment(&mut self, piece: &Piece) -> Result<bool> {
        let region = match self.storage.open_read_only(&piece.at.name) {
            Ok(region) => Arc::new(region),
            Err(error) if is_environment(&error) => return Err(error),
            Err(error) => {
                let damage = Damage::of(&piece.at.name, piece.at.header.segment_id, &error);
                self.report.add(damage);
                return Ok(true);
            }
        };
        let mut check = match SegmentCheck::new(piece, region) {
            Ok(check) => check,
            Err(error) => {
                let damage = Damage::of(&piece.at.name, piece.at.header.segment_id, &error);
                self.report.add(damage);
                return Ok(true);
            }
        };
        let goes_on = match self.frames(&mut check) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                let mut damage = Damage::of(&piece.at.name, piece.at.header.segment_id, &error);
                damage.seq = check.walk.last().next();
                self.report.add(damage);
                return Ok(true);
            }
        };
        self.report.segments = self.report.segments.saturating_add(1);
        let read = check.walk.offset() as u64;
        self.report.bytes = self.report.bytes.saturating_add(read);
        self.reported = self.report.bytes;
        (self.progress)(Progress {
            done: self.report.bytes,
            total: self.total,
        });
        self.take_dropped(&mut check);
        for damage in check.ending(goes_on, self.end.witness)? {
            self.report.add(damage);
        }
        Ok(goes_on)
    }

    /// Notes what was dropped of what was gone through.
    fn take_dropped(&mut self, check: &mut SegmentCheck<'_>) {
        for range in check.take_dropped() {
            let count = range.last.next().since(range.first);
            self.report.dropped = self.report.dropped.saturating_add(count);
            if let Some(index) = &mut self.index {
                index.dropped(range.first, range.last);
            }
        }
    }

    /// Walks all frames; `false` if the log ends here.
    fn frames(&mut self, check: &mut SegmentCheck<'_>) -> Result<bool> {
        loop {
            match check.walk.next()? {
                Seen::Event { offset, header } => {
                    if let Some(damage) = check.event(offset, &header)? {
                        self.report.add(damage);
                    }
                    self.take_dropped(check);
                    if self.report.first == Seq::ZERO {
                        self.report.first = header.seq;
                    }
                    self.report.last = header.seq;
                    if let (Some(index), Some(event)) = (&mut self.index, check.walk.event()) {
                        index.event(&event);
                    }
                    self.report.count = self.report.count.saturating_add(1);
                    let done = self.report.bytes.saturating_add(offset as u64);
                    if done.saturating_sub(self.reported) >= PROGRESS_EVERY {
                        self.reported = done;
                        (self.progress)(Progress {
                            done,
                            total: self.total,
                        });
                    }
                }
                Seen::Mark => {}
                Seen::End => return Ok(true),
                Seen::Broken {
                    offset,
                    seq,
                    reason,
                    blank,
                } => match check.piece.judge(seq, blank, self.end.witness) {
                    Judgement::LogEnds => return Ok(false),
                    Judgement::SegmentEnds => return Ok(true),
                    Judgement::Damage => {
                        check.intact = false;
                        self.report.add(check.piece.damage(offset, seq, reason));
                    }
                },
            }
        }
    }
}
