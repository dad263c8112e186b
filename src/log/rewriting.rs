//! Writing a sealed segment anew, with less in it, or compressed, and putting it in the place of the old one.
//!
//! **On the disk:** (1) the new file is built under a temporary name, and synced, (2) renamed to the
//! segment's name with the next generation, (3) the folder is synced, (4) the old file loses its name, (5) the
//! folder is synced. A crash
//! - before 2 leaves the old file, and one that nobody reads and the next opening removes;
//! - between 2 and 3 leaves the old one, or both;
//! - between 3 and 5 leaves both, or the new one. Of both the higher generation counts, and is whole, for
//!   it was synced before it had its name; the next opening removes the other.
//!
//! So the same events are there after each of them, but for those that were dropped. A second rewriting
//! begins with whichever it finds.
//!
//! **Which segments:** none that is not settled, nor one behind such a one, whose frames recovery may have to
//! read, and neither of the last two. The header of the last one is made durable first, so that no crash can
//! make another one the last.
//!
//! **What is checked:** every frame, that Seqs follow each other, and at the end the chain over all events.
//! What is damaged is left as it is: it has something to tell.
//!
//! **Compressed** frames go into packs in a second temporary file first, because the new file is as long as
//! its parts, and no longer. Nobody reads it, and the next opening removes one that a crash has left.
//!
//! **Readers** that hold the old file read it to its end; its blocks are free once they have gone on. Where
//! there are none it may be used [again](super::recycle).

use std::sync::{Arc, PoisonError};

use super::copier::{Copier, Sink};
use super::course::Course;
use super::drops::Drops;
use super::opening::{begin_segment, random};
use super::packing::Packer;
use super::scan::{Found, Scanner};
use super::segment::Segment;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::dropped::RANGE_LEN;
use crate::format::footer::{Footer, Packed, Part, Rewritten, TRAILER_LEN};
use crate::format::frame::Kind;
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, PACKED, REWRITTEN, SegmentHeader};
use crate::storage::Region;

/// How much of the packs is written with one call.
const PIECE: usize = 1 << 20;

/// A segment that is to be written anew.
struct Anew<'a> {
    old: &'a Arc<Segment>,
    footer: &'a Footer,
    drops: &'a Drops,
    /// Of the new file, but for its length.
    header: SegmentHeader,
}

/// The new file, whole and synced, under its temporary name.
struct Built {
    header: SegmentHeader,
    region: Region,
    footer: Footer,
}

/// What frames a new file has, and how.
struct Frames {
    /// Where they end; without compression, if they are in packs.
    end: usize,
    /// The list of packs.
    packs: Option<Vec<u8>>,
}

impl<'a> Anew<'a> {
    fn of(old: &'a Arc<Segment>, footer: &'a Footer, drops: &'a Drops) -> Self {
        let header = SegmentHeader {
            generation: old.header.generation.saturating_add(1),
            incompatible: old.header.incompatible & !PACKED | REWRITTEN,
            salt: random(),
            ..old.header
        };
        Anew {
            old,
            footer,
            drops,
            header,
        }
    }

    fn name(&self) -> String {
        names::segment(self.header.segment_id, self.header.generation)
    }

    fn tmp(&self) -> String {
        names::tmp(&self.name())
    }

    /// The header of a file whose frames take so many bytes, and their list of packs so many.
    fn header_for(&self, frames_len: usize, list_len: usize) -> SegmentHeader {
        let ranges_len = self.drops.ranges(self.old.last_seq()) * RANGE_LEN;
        let table_len = self.footer.table_len().unwrap_or(0);
        let parts = BLOCK_LEN + frames_len + table_len + ranges_len + list_len + TRAILER_LEN;
        SegmentHeader {
            segment_len: parts.next_multiple_of(BLOCK_LEN) as u64,
            ..self.header
        }
    }

    /// Writes what stands behind the frames, and syncs the file.
    fn seal(
        &self,
        header: SegmentHeader,
        mut region: Region,
        course: &Course<'_>,
        frames: &Frames,
    ) -> Result<Built> {
        let list = frames.packs.as_deref().unwrap_or_default();
        let table_at = region.published() as u64;
        let part = |at: u64, bytes: &[u8]| Part {
            at,
            len: bytes.len() as u64,
            checksum: crc32(bytes),
        };
        let dropped = part(table_at + course.table.len() as u64, &course.ranges);
        let packed = frames.packs.is_some().then(|| Packed {
            table_at,
            list: part(dropped.at + dropped.len, list),
        });
        let footer = Footer {
            generation: header.generation,
            salt: header.salt,
            count: course.count,
            frames_end: frames.end as u64,
            table_checksum: crc32(&course.table),
            times: course.times,
            rewritten: Rewritten {
                pinned_end: self.footer.pinned_end(),
                dropped,
                packed,
            },
            ..*self.footer
        };
        let mut rest = [&course.table, &course.ranges, list].concat();
        let room = region.len().saturating_sub(region.published());
        if rest.len().saturating_add(TRAILER_LEN) > room {
            return Err(full(&region));
        }
        rest.resize(room.saturating_sub(TRAILER_LEN), 0);
        rest.extend(footer.encode());
        region.append(&rest)?;
        // Another file than those that the log's syncs cover: what fails here is told of here.
        region.sync()?;
        Ok(Built {
            header,
            region,
            footer,
        })
    }
}

impl Shared {
    /// Writes a settled segment anew without the events that are dropped, compressed if that is set, and
    /// puts it in the place of the old one; `false` if that has gone meanwhile, somebody needs what would be
    /// dropped, or the log is closed.
    ///
    /// # Errors
    /// If the old segment is damaged, or the new one cannot be written: nothing has changed then. After a
    /// failed sync of the folder the log takes nothing more.
    pub(super) fn rewrite(&self, old: &Arc<Segment>, drops: &Drops) -> Result<bool> {
        // Nothing that the engine writes comes near the last generation, but a file's name may.
        let is_last = old.header.generation == u32::MAX;
        let Some(footer) = old.footer().filter(|_| !is_last) else {
            return Ok(false);
        };
        let anew = Anew::of(old, footer, drops);
        let shrinks = drops.kept_len > 0 && !old.header.is_sealed();
        let level = self.config.compression.filter(|_| shrinks);
        let built = match level {
            Some(level) => self.build_packed(&anew, level),
            None => self.build_plain(&anew),
        };
        let put = built.and_then(|built| self.put_anew(&anew, built));
        if !matches!(put, Ok(true)) && self.check_alive().is_ok() {
            // What cannot be removed the next opening removes.
            let _ignored = self.storage.remove(&anew.tmp());
        }
        put
    }

    /// Builds and syncs the new file, its frames as they were.
    fn build_plain(&self, anew: &Anew<'_>) -> Result<Built> {
        let header = anew.header_for(anew.drops.kept_len, 0);
        let mut region = self.begin_anew(anew, &header)?;
        let mut copier = Copier::new(&mut region, header.salt);
        let course = self.copy_kept(anew, &mut copier)?;
        copier.finish()?;
        let frames = Frames {
            end: region.published(),
            packs: None,
        };
        anew.seal(header, region, &course, &frames)
    }

    /// The same with its frames in packs.
    fn build_packed(&self, anew: &Anew<'_>, level: i32) -> Result<Built> {
        let name = names::packs_tmp(&anew.name());
        let scratch = self.storage.create(&name, anew.drops.kept_len);
        let built = scratch.and_then(|scratch| self.build_from_packs(anew, level, scratch));
        if self.check_alive().is_ok() {
            let _ignored = self.storage.remove(&name);
        }
        built
    }

    fn build_from_packs(&self, anew: &Anew<'_>, level: i32, mut scratch: Region) -> Result<Built> {
        let mut packer = Packer::new(&mut scratch, anew.header.salt, level)?;
        let course = self.copy_kept(anew, &mut packer)?;
        let (end, list) = packer.finish()?;
        let mut header = anew.header_for(scratch.published(), list.len());
        header.incompatible |= PACKED;
        let mut region = self.begin_anew(anew, &header)?;
        for piece in scratch.bytes().chunks(PIECE) {
            let start = region.published();
            if !region.append(piece)? {
                return Err(full(&region));
            }
            region.begin_write_back(start..region.published());
        }
        let frames = Frames {
            end,
            packs: Some(list),
        };
        anew.seal(header, region, &course, &frames)
    }

    fn begin_anew(&self, anew: &Anew<'_>, header: &SegmentHeader) -> Result<Region> {
        let len = usize::try_from(header.segment_len).unwrap_or(usize::MAX);
        let mut region = self.storage.create(&anew.tmp(), len)?;
        begin_segment(&mut region, header);
        Ok(region)
    }

    /// Hands the events that are kept to `sink`, all of them checked.
    fn copy_kept<'a>(&self, anew: &Anew<'a>, sink: &mut dyn Sink) -> Result<Course<'a>> {
        let old = anew.old;
        let mut course = Course::new(old, anew.drops);
        let mut scanner = Scanner::new(old.clone(), old.header.salt, old.frames_end());
        loop {
            match scanner.next()? {
                Found::Frame { frame, bytes, .. } if frame.header.kind == Kind::Event => {
                    if course.take(&frame.header)? {
                        course.stands_at(sink.copy(bytes, frame.header.content_crc)?);
                    }
                    self.rewriting.check_going(course.next)?;
                }
                Found::Frame { .. } => {}
                Found::Invalid { why, .. } => return Err(course.damaged(why.reason())),
                Found::End => break,
            }
        }
        course.end(anew.footer)?;
        Ok(course)
    }

    /// Gives the new file its name, and puts it in the place of the old one.
    fn put_anew(&self, anew: &Anew<'_>, built: Built) -> Result<bool> {
        let old = anew.old;
        self.begin_durably()?;
        // Nothing is removed meanwhile, and a close waits.
        let _one_at_a_time = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = |held: &[Arc<Segment>]| held.iter().any(|held| Arc::ptr_eq(held, old));
        if self.tail().closed || !self.segments.with(is_here) {
            return Ok(false);
        }
        // Somebody may have come since, and counts on the events.
        if anew.drops.count > 0 && self.is_needed(old, self.used()) {
            return Ok(false);
        }
        self.check_alive()?;
        let name = anew.name();
        self.storage.rename(&anew.tmp(), &name)?;
        self.sync_names()?;
        let mut region = built.region;
        region.set_path(self.storage.path(&name));
        region.let_go_of_file();
        let new = Segment::sealed(built.header, name, Arc::new(region), built.footer);
        self.segments.swap(old, Arc::new(new));
        self.discard(old)?;
        Ok(true)
    }
}

fn full(region: &Region) -> Error {
    let message = "the rewritten segment is full";
    Error::new(ErrorKind::Io, message).at_path(region.path())
}
