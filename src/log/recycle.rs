//! The file of a segment that has gone becomes that of the next one.
//!
//! Its blocks are there and were written before, and its pages are in the cache: making it blank costs a
//! copy in memory, where a new file costs blocks, pages, and the removal of the old one.
//!
//! **On the disk:** (1) the file loses the segment's name to a temporary one, (2) the folder is synced, (3)
//! its header block is zeros, and synced, (4) all else is zeros, for events that are synced one by one
//! synced as well, (5) it gets the name of the next segment, (6) the folder is synced. A crash
//! - before 2 leaves the old segment as it was, under either name: with the old one it goes once more, as
//!   [`ledger`](super::ledger) tells;
//! - between 2 and 5 leaves a temporary file, which nobody reads and the next opening removes;
//! - after 5 leaves a prepared segment, for its header is zeros.
//!
//! **Stale bytes.** Zeros that were not synced may be lost to a power cut, and then frames of the former
//! segment stand in the new one. They never pass for its own. Their Seqs are lower than every Seq that the
//! new one can hold, so none of them goes on with the log; their checksums have another salt, so that they
//! are not even taken for frames but once in 2³²; and what they witness lies before the segment. Table and
//! trailer have that salt as well. So recovery meets them as it meets the other bytes that a crash leaves:
//! as a torn tail. A process that is killed leaves none, as the page cache has the zeros. After a clean end
//! a prepared file counts only in the same boot.
//!
//! **Readers.** None may have a byte borrowed that is written again. Those of this process share the
//! segment, and [`Spare`] asks whether one is left; those of other processes hold a lock of the folder
//! ([`Storage::rename_unread`](crate::storage::Storage::rename_unread)), which a file with a second name, of a
//! backup by hard links, is taken for as well. In doubt the file is removed, as
//! it always can be: a file without a name keeps its bytes for whoever has it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::rotation::Prepare;
use super::segment::Segment;
use super::shared::Shared;
use super::spare::Spare;
use crate::error::Result;
use crate::format::names;
use crate::format::segment::BLOCK_LEN;
use crate::storage::{FILL_PIECE, Region};
use crate::sync::MutexGuard;

impl Shared {
    /// Takes the name of a segment's file away, durably on return; keeps the file if it can be used again.
    pub(super) fn discard(&self, segment: &Arc<Segment>) -> Result<()> {
        let name = names::again_tmp(&segment.name);
        let is_kept = self.may_be_kept(segment)
            // What fails here is left to the removal.
            && self.storage.rename_unread(&segment.name, &name).unwrap_or(false);
        if !is_kept {
            self.storage.remove(&segment.name)?;
        }
        self.sync_names()?;
        if is_kept {
            let segment = segment.clone();
            self.keep(Spare { segment, name });
        }
        Ok(())
    }

    /// Whether a file is kept to be used again.
    pub(super) fn has_spare(&self) -> bool {
        self.spare().is_some()
    }

    /// Removes the file that is kept.
    pub(super) fn drop_spare(&self) {
        let spare = self.spare().take();
        if let Some(spare) = spare {
            self.remove_spare(&spare.name);
        }
    }

    /// A file of zeros with the name of the next segment, if one is kept and free; its header and its name
    /// are durable.
    ///
    /// # Errors
    /// A failed sync, which is final.
    pub(super) fn prepare_again(&self, name: &str, how: Prepare) -> Result<Option<Region>> {
        let spare = self.spare().take();
        let Some(spare) = spare else {
            return Ok(None);
        };
        let spare = match spare.into_free() {
            Ok(spare) => spare,
            Err(spare) => {
                self.remove_spare(&spare);
                return Ok(None);
            }
        };
        match self.blank(&spare, name, how) {
            Ok(region) => {
                self.spares.recycled.fetch_add(1, Ordering::Relaxed);
                Ok(Some(region))
            }
            Err(error) => {
                self.check_alive()?;
                tracing::debug!(target: "forelog::log", %error, "a file is not used again");
                self.remove_spare(&spare);
                Ok(None)
            }
        }
    }

    fn blank(&self, spare: &str, name: &str, how: Prepare) -> Result<Region> {
        let mut region = self.storage.open(spare)?;
        let zeros = vec![0; FILL_PIECE];
        region.append(zeros.get(..BLOCK_LEN).unwrap_or_default())?;
        region.sync().map_err(|cause| self.fail(cause))?;
        let mut prewriting = (how == Prepare::Write).then(|| self.prewriting());
        while region.published() < region.len() {
            let room = region.len() - region.published();
            region.append(zeros.get(..room).unwrap_or(&zeros))?;
            if let Some(prewriting) = &mut prewriting {
                prewriting.wrote(&region, region.published())?;
            }
        }
        self.storage.rename(spare, name)?;
        self.sync_names()?;
        region.set_path(self.storage.path(name));
        region.adopt(0)?;
        Ok(region)
    }

    /// Whether a file is one to be the next segment's: of that length, all of it on the disk.
    fn may_be_kept(&self, segment: &Segment) -> bool {
        let len = self.config.segment_len;
        self.config.recycle
            && segment.region.len() == len
            && segment.disk_len() >= len as u64
            && !self.has_spare()
            && self.wants_spare()
    }

    /// Whether no file stands ready for the next segment. A spare one counts as that.
    fn wants_spare(&self) -> bool {
        let tail = self.tail();
        tail.prepared.is_none() && !tail.closed
    }

    fn keep(&self, spare: Spare) {
        // One that is being prepared will not need it.
        let preparing = self.preparing.try_lock();
        let mut held = self.spare();
        if preparing.is_ok() && held.is_none() && self.wants_spare() {
            *held = Some(spare);
        } else {
            self.remove_spare(&spare.name);
        }
    }

    fn remove_spare(&self, name: &str) {
        // What stays is removed by the next opening.
        if let Err(error) = self.storage.remove(name) {
            tracing::debug!(target: "forelog::log", %error, "a spare file stays");
        }
    }

    fn spare(&self) -> MutexGuard<'_, Option<Spare>> {
        self.spares
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
