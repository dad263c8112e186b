//! Writing a sealed segment anew, with less in it, and putting it in the place of the old one.
//!
//! **On the disk:** (1) the new file is built under a temporary name, and synced, (2) renamed to the
//! segment's name with the next generation, (3) the folder is synced, (4) the old file is unlinked, (5) the
//! folder is synced. A crash
//! - before 2 leaves the old file, and one that nobody reads and the next opening removes;
//! - between 2 and 3 leaves the old one, or both;
//! - between 3 and 5 leaves both, or the new one. Of both the higher generation counts, and is whole, for
//!   it was synced before it had its name; the next opening removes the other.
//!
//! So the same events are there after each of them, but for those that were dropped. A second rewriting
//! begins with whichever it finds.
//!
//! **Which segments:** neither of the last two, whose frames recovery may have to read. The header of the
//! last one is made durable first, so that no crash can make another one the last.
//!
//! **What is checked:** every frame, that Seqs follow each other, and at the end the chain over all events.
//! What is damaged is left as it is: it has something to tell.
//!
//! **Readers** that hold the old file read it to its end; its blocks are free once they have gone on.

use std::sync::{Arc, PoisonError};

use super::copier::Copier;
use super::drops::Drops;
use super::opening::{begin_segment, random};
use super::scan::{Found, Scanner};
use super::segment::Segment;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::dropped::{DroppedRange, RANGE_LEN};
use crate::format::footer::{ENTRY_LEN, Footer, Part, Rewritten, TRAILER_LEN, TimeRanges};
use crate::format::frame::{Chain, FrameHeader, Kind};
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, REWRITTEN, SegmentHeader};
use crate::position::Seq;
use crate::storage::Region;

/// What has been gone through of the old segment, and what of it stands in the new one.
struct Course<'a> {
    old: &'a Segment,
    drops: &'a Drops,
    /// The Seq that has to come next, and the chain up to it.
    next: Seq,
    chain: Chain,
    earlier: Box<dyn Iterator<Item = DroppedRange> + 'a>,
    /// The next of those that were dropped before.
    pending: Option<DroppedRange>,
    /// The range that the last Seq belongs to, if it is dropped: its first, and the chain before it.
    open: Option<(Seq, Chain)>,
    ranges: Vec<u8>,
    table: Vec<u8>,
    times: TimeRanges,
    count: u64,
}

impl<'a> Course<'a> {
    fn new(old: &'a Segment, drops: &'a Drops) -> Self {
        let mut earlier = Box::new(old.dropped().iter());
        Course {
            pending: earlier.next(),
            earlier,
            old,
            drops,
            next: old.base_seq(),
            chain: old.header.prev_chain,
            open: None,
            ranges: Vec::new(),
            table: Vec::new(),
            times: TimeRanges::EMPTY,
            count: 0,
        }
    }

    /// Passes what was dropped before, up to the next event.
    fn pass_dropped(&mut self) -> Result<()> {
        while let Some(range) = self.pending.filter(|range| range.first == self.next) {
            if range.before != self.chain {
                return Err(self.damaged("the chain before dropped events is another one"));
            }
            if range.lost {
                self.close_range();
                self.ranges.extend(range.encode());
            } else {
                self.open.get_or_insert((range.first, self.chain));
            }
            let span = range.last.next().since(range.first);
            let entries = usize::try_from(span).unwrap_or(usize::MAX);
            let len = self
                .table
                .len()
                .saturating_add(entries.saturating_mul(ENTRY_LEN));
            self.table.resize(len, 0);
            self.chain = range.after;
            self.next = range.last.next();
            self.pending = self.earlier.next();
        }
        Ok(())
    }

    /// Takes the next event; says whether it is kept.
    fn take(&mut self, header: &FrameHeader) -> Result<bool> {
        self.pass_dropped()?;
        if header.seq != self.next {
            return Err(self.damaged("an event is missing"));
        }
        let is_kept = !self.drops.has(header.seq);
        if is_kept {
            self.close_range();
            self.times.include(header.timestamp, header.appended_at);
            self.count += 1;
        } else {
            self.open.get_or_insert((header.seq, self.chain));
            self.table.extend([0; ENTRY_LEN]);
        }
        self.chain = self.chain.extend(header.len, header.content_crc);
        self.next = header.seq.next();
        Ok(is_kept)
    }

    /// Notes where the event stands now that was taken.
    fn stands_at(&mut self, offset: usize) {
        let offset = u32::try_from(offset).unwrap_or(0);
        self.table.extend(offset.to_le_bytes());
    }

    fn close_range(&mut self) {
        let Some((first, before)) = self.open.take() else {
            return;
        };
        let range = DroppedRange {
            first,
            last: self.next.prev(),
            before,
            after: self.chain,
            lost: false,
        };
        self.ranges.extend(range.encode());
    }

    /// Comes to the end of the old segment.
    fn end(&mut self, footer: &Footer) -> Result<()> {
        self.pass_dropped()?;
        self.close_range();
        if self.next.prev() != footer.last_seq || self.chain != footer.chain {
            return Err(self.damaged("its events are not those that its footer was made for"));
        }
        Ok(())
    }

    fn damaged(&self, reason: &str) -> Error {
        let message =
            format!("{reason}: the segment is left as it is; run forelog-recovery doctor");
        Error::new(ErrorKind::Corrupt, message)
            .at_path(self.old.region.path())
            .at_segment(self.old.id())
            .at_seq(self.next)
    }
}

impl Shared {
    /// Writes a settled segment anew without the events that are dropped, and puts it in the place of the
    /// old one; `false` if that has gone meanwhile, or the log is closed.
    ///
    /// # Errors
    /// If the old segment is damaged, or the new one cannot be written: nothing has changed then. After a
    /// failed sync of the folder the log takes nothing more.
    pub(super) fn rewrite(&self, old: &Arc<Segment>, drops: &Drops) -> Result<bool> {
        let Some(footer) = old.footer() else {
            return Ok(false);
        };
        let (header, tmp, len) = header_anew(old, drops);
        let built = self.build_anew(old, drops, footer, (header, &tmp, len));
        let put =
            built.and_then(|(region, footer)| self.put_anew(old, (header, &tmp), region, footer));
        if !matches!(put, Ok(true)) && self.check_alive().is_ok() {
            // What cannot be removed the next opening removes.
            let _ignored = self.storage.remove(&tmp);
        }
        put
    }

    /// Builds and syncs the new file.
    fn build_anew(
        &self,
        old: &Arc<Segment>,
        drops: &Drops,
        footer: &Footer,
        (header, tmp, len): (SegmentHeader, &str, usize),
    ) -> Result<(Region, Footer)> {
        let mut region = self.storage.create(tmp, len)?;
        begin_segment(&mut region, &header);
        let mut course = Course::new(old, drops);
        let mut scanner = Scanner::new(old.clone(), old.header.salt, old.frames_end());
        let mut copier = Copier::new(&mut region, header.salt);
        loop {
            match scanner.next()? {
                Found::Frame { frame, bytes, .. } if frame.header.kind == Kind::Event => {
                    if course.take(&frame.header)? {
                        course.stands_at(copier.copy(bytes, frame.header.content_crc)?);
                    }
                    self.rewriting.check_going(course.next)?;
                }
                Found::Frame { .. } => {}
                Found::Invalid { why, .. } => return Err(course.damaged(why.reason())),
                Found::End => break,
            }
        }
        copier.finish()?;
        course.end(footer)?;
        let footer = seal_anew(&mut region, &header, footer, &course)?;
        // Another file than those that the log's syncs cover: what fails here is told of here.
        region.sync()?;
        Ok((region, footer))
    }

    /// Gives the new file its name, and puts it in the place of the old one.
    fn put_anew(
        &self,
        old: &Arc<Segment>,
        (header, tmp): (SegmentHeader, &str),
        mut region: Region,
        footer: Footer,
    ) -> Result<bool> {
        self.begin_durably()?;
        // Nothing is removed meanwhile, and a close waits.
        let _one_at_a_time = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = |held: &[Arc<Segment>]| held.iter().any(|held| Arc::ptr_eq(held, old));
        if self.tail().closed || !self.segments.with(is_here) {
            return Ok(false);
        }
        self.check_alive()?;
        let name = names::segment(header.segment_id, header.generation);
        self.storage.rename(tmp, &name)?;
        self.sync_names()?;
        region.set_path(self.storage.path(&name));
        region.let_go_of_file();
        let new = Segment::sealed(header, name, Arc::new(region), footer);
        self.segments.swap(old, Arc::new(new));
        self.storage.remove(&old.name)?;
        self.sync_names()?;
        Ok(true)
    }
}

/// The header of the new file, its temporary name and its length.
fn header_anew(old: &Segment, drops: &Drops) -> (SegmentHeader, String, usize) {
    let span = old.last_seq().next().since(old.base_seq());
    let table_len = usize::try_from(span).unwrap_or(usize::MAX) * ENTRY_LEN;
    let ranges_len = drops.ranges(old.last_seq()) * RANGE_LEN;
    let parts = BLOCK_LEN + drops.kept_len + table_len + ranges_len + TRAILER_LEN;
    let len = parts.next_multiple_of(BLOCK_LEN);
    let header = SegmentHeader {
        generation: old.header.generation.saturating_add(1),
        incompatible: old.header.incompatible | REWRITTEN,
        segment_len: len as u64,
        salt: random(),
        ..old.header
    };
    let name = names::segment(header.segment_id, header.generation);
    (header, names::tmp(&name), len)
}

/// Writes what stands behind the frames.
fn seal_anew(
    region: &mut Region,
    header: &SegmentHeader,
    old: &Footer,
    course: &Course<'_>,
) -> Result<Footer> {
    let frames_end = region.published() as u64;
    let table_len = course.table.len() as u64;
    let footer = Footer {
        generation: header.generation,
        salt: header.salt,
        count: course.count,
        frames_end,
        table_checksum: crc32fast::hash(&course.table),
        times: course.times,
        rewritten: Rewritten {
            pinned_end: old.pinned_end(),
            dropped: Part {
                at: frames_end + table_len,
                len: course.ranges.len() as u64,
                checksum: crc32fast::hash(&course.ranges),
            },
        },
        ..*old
    };
    let mut rest = [course.table.as_slice(), course.ranges.as_slice()].concat();
    let room = region.len().saturating_sub(region.published());
    if rest.len().saturating_add(TRAILER_LEN) > room {
        let message = "the rewritten segment is full";
        return Err(Error::new(ErrorKind::Io, message).at_path(region.path()));
    }
    rest.resize(room.saturating_sub(TRAILER_LEN), 0);
    rest.extend(footer.encode());
    region.append(&rest)?;
    Ok(footer)
}
