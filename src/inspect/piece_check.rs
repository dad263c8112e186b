//! [`check`]: everything that can be checked of one segment by itself, so that several can be at a time.

use std::sync::Arc;

use super::damage::Damage;
use super::file::is_environment;
use super::piece::{Judgement, Piece};
use super::report::LogReport;
use super::segment_check::SegmentCheck;
use super::walk::{Lent, Seen};
use crate::error::{Error, ErrorKind, Result};
use crate::format::dropped::DroppedRange;
use crate::format::record::EventRef;
use crate::keys::data::DataKey;
use crate::position::Seq;
use crate::storage::{Region, Storage};

/// After how many bytes it is told how far a check is.
const TOLD_EVERY: u64 = 1 << 20;

/// Is told what a check comes by, in order.
pub(super) trait Visitor {
    /// An event that passes its check.
    fn event(&mut self, event: &EventRef<'_>);
    /// Seqs that hold no event, as it was declared.
    fn dropped(&mut self, range: &DroppedRange);
    /// What opens events that are encrypted, if it is known.
    fn key(&self) -> Option<&Arc<DataKey>> {
        None
    }
    /// So many bytes more were read; says whether to go on.
    fn read(&mut self, bytes: u64) -> bool;
}

/// What one segment amounts to: its part of the log's report, and whether the log goes on behind it.
pub(super) struct Outcome {
    pub(super) report: LogReport,
    pub(super) goes_on: bool,
}

/// Reads all frames of a segment.
///
/// # Errors
/// If it cannot be read for want of permission, or the visitor does not go on. What is wrong with its bytes
/// is part of the report.
pub(super) fn check(
    storage: &dyn Storage,
    piece: &Piece,
    witness: Seq,
    visitor: &mut dyn Visitor,
) -> Result<Outcome> {
    check_opened(
        storage.open_read_only(&piece.at.name),
        piece,
        witness,
        visitor,
    )
}

/// As [`check`], of a file that was opened, or could not be.
pub(super) fn check_opened(
    opened: Result<Region>,
    piece: &Piece,
    witness: Seq,
    visitor: &mut dyn Visitor,
) -> Result<Outcome> {
    let mut outcome = Outcome {
        report: LogReport::default(),
        goes_on: true,
    };
    let begun = opened.and_then(|region| SegmentCheck::new(piece, Arc::new(region), visitor.key()));
    let mut check = match begun {
        Ok(check) => check,
        Err(error) if is_environment(&error) => return Err(error),
        Err(error) => {
            let damage = Damage::of(&piece.at.name, piece.at.header.segment_id, &error);
            outcome.report.add(damage);
            return Ok(outcome);
        }
    };
    let mut pass = Pass {
        report: &mut outcome.report,
        visitor,
        told: 0,
    };
    match pass.frames(&mut check, witness) {
        Ok(goes_on) => outcome.goes_on = goes_on,
        Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
        Err(error) => {
            let mut damage = Damage::of(&piece.at.name, piece.at.header.segment_id, &error);
            damage.seq = check.walk.last().next();
            pass.report.add(damage);
            return Ok(outcome);
        }
    }
    pass.report.segments = 1;
    pass.report.bytes = check.walk.offset() as u64;
    pass.tell(check.walk.offset())?;
    pass.take_dropped(&mut check);
    for damage in check.ending(outcome.goes_on, witness)? {
        outcome.report.add(damage);
    }
    Ok(outcome)
}

struct Pass<'a> {
    report: &'a mut LogReport,
    visitor: &'a mut dyn Visitor,
    told: u64,
}

impl Pass<'_> {
    /// Walks all frames; `false` if the log ends here.
    fn frames(&mut self, check: &mut SegmentCheck<'_>, witness: Seq) -> Result<bool> {
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
                    if let Lent::Event(event) = check.walk.event() {
                        self.visitor.event(&event);
                    }
                    self.report.count = self.report.count.saturating_add(1);
                    if (offset as u64).saturating_sub(self.told) >= TOLD_EVERY {
                        self.tell(offset)?;
                    }
                }
                Seen::Mark => {}
                Seen::End => return Ok(true),
                Seen::Broken {
                    offset,
                    seq,
                    reason,
                    blank,
                } => match check.piece.judge(seq, blank, witness) {
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

    /// Notes what was dropped of what was gone through.
    fn take_dropped(&mut self, check: &mut SegmentCheck<'_>) {
        for range in check.take_dropped() {
            self.report.add_dropped(&range);
            self.visitor.dropped(&range);
        }
    }

    fn tell(&mut self, offset: usize) -> Result<()> {
        let offset = offset as u64;
        let goes_on = self.visitor.read(offset.saturating_sub(self.told));
        self.told = offset.max(self.told);
        if goes_on {
            return Ok(());
        }
        let message = "the check was ended before it was done";
        Err(Error::new(ErrorKind::Closed, message))
    }
}
