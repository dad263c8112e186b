//! [`Shared`]: what the log's handle, its readers and its keeper have in common.

use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll};

use crossbeam::utils::CachePadded;

use super::LogConfig;
use super::aging::Aging;
use super::commit::Commit;
use super::going::Rewriting;
use super::judge::RetentionWait;
use super::opening::Opened;
use super::packs::PackCache;
use super::pins::Pins;
use super::prefault::Prefault;
use super::segments::Segments;
use super::signal::Signal;
use super::spare::Spares;
use super::sums::Sums;
use super::tail::Tail;
use super::time_blocks::TimeBlocks;
use super::view::View;
use super::watermark::Watermark;
use crate::clock::Clock;
#[cfg(test)]
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::BLOCK_LEN;
use crate::mutant::{self, Mutant};
use crate::position::{SegmentId, Seq};
use crate::storage::process::Process;
use crate::storage::{Region, Storage};
use crate::sync::atomic::AtomicUsize;
use crate::sync::{Mutex, MutexGuard, hint};
use crate::timings::Timings;

/// Up to how many bytes at once are synced into blocks that were written before. Those of a log's first
/// segment are not, as a rule, and a sync into new blocks takes half as long again; writing them ahead
/// doubles what the disk has to write, which costs more where many bytes are synced at once.
const FILL_BELOW: usize = 64 << 10;
/// How far ahead such blocks are written.
const FILL_AHEAD: usize = 256 << 10;

/// How often a thread looks for the tail's lock before it sleeps for it.
const LOOKS: u32 = if cfg!(all(test, shuttle)) { 2 } else { 6 };
/// How many pauses it makes before the first look; twice as many before each one after.
const PAUSES: u32 = if cfg!(all(test, shuttle)) { 1 } else { 16 };

#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) config: LogConfig,
    pub(super) view: Arc<View>,
    pub(super) pins: Pins,
    pub(super) signal: Signal,
    pub(super) boot_id: u128,
    pub(super) process: Process,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) commit: Commit,
    pub(super) sums: Sums,
    tail: CachePadded<Mutex<Tail>>,
    /// One settling at a time; taken before the tail's lock.
    pub(super) settling: Mutex<()>,
    /// One preparation at a time; taken before the tail's lock.
    pub(super) preparing: Mutex<()>,
    /// How many wait for a preparation to end.
    pub(super) hurried: AtomicUsize,
    /// One removal at a time: two could take the same segment for the oldest. The last segment that is
    /// noted as removed.
    pub(super) removing: Mutex<SegmentId>,
    /// What is known of when the oldest segment's events expire.
    pub(super) aging: Mutex<Aging>,
    /// What retention keeps beyond a limit, and how many segments that was when it was last told of.
    pub(super) waits: Mutex<Option<(RetentionWait, u64)>>,
    pub(super) rewriting: Rewriting,
    /// A file that may become the next segment's.
    pub(super) spares: Spares,
    /// One sync at a time, and its failure noted before the next one starts: a kernel reports an
    /// error once, and whoever syncs the same file next would be told that all is well.
    syncing: Mutex<()>,
    /// The same of the folder, which is not kept waiting by a segment.
    syncing_names: Mutex<()>,
}

/// What is written is what the view shows.
impl Deref for Shared {
    type Target = View;

    #[inline]
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Shared {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        clock: Arc<dyn Clock>,
        opened: Opened,
        pins: Pins,
    ) -> Self {
        let last = opened.tail.last_seq;
        let view = View {
            watermark: Watermark::new(last, last),
            segments: Segments::new(opened.segments),
            log_id: opened.log_id,
            time_blocks: TimeBlocks::default(),
            packs: PackCache::default(),
            prefault: Prefault::new(config.background),
            expiry: config.expiry.clone(),
            clock: clock.clone(),
            key: opened.key.map(OnceLock::from).unwrap_or_default(),
        };
        Shared {
            boot_id: storage.boot_id(),
            process: Process::this(),
            storage,
            config,
            view: Arc::new(view),
            pins,
            signal: Signal::default(),
            clock,
            commit: Commit::default(),
            sums: opened.sums,
            tail: CachePadded::new(Mutex::new(opened.tail)),
            settling: Mutex::new(()),
            preparing: Mutex::new(()),
            hurried: AtomicUsize::new(0),
            removing: Mutex::new(SegmentId(0)),
            aging: Mutex::default(),
            waits: Mutex::new(None),
            rewriting: Rewriting::default(),
            spares: Spares::default(),
            syncing: Mutex::new(()),
            syncing_names: Mutex::new(()),
        }
    }

    #[cfg(test)]
    pub(super) fn last_appended_at(&self) -> Timestamp {
        self.tail().last_appended_at
    }

    pub(super) fn check_open(&self, tail: &Tail) -> Result<()> {
        if let Some(failure) = self.commit.failure() {
            let message = format!("an earlier sync failed; reopen the system: {failure}");
            return Err(Error::new(ErrorKind::Poisoned, message));
        }
        if tail.closed {
            return Err(Error::new(ErrorKind::Closed, "the log is closed"));
        }
        Ok(())
    }

    pub(super) fn wait_durable(&self, seq: Seq) -> Result<()> {
        self.commit.wait(&self.watermark, seq, &|| self.sync())
    }

    /// How long the syncs took that somebody waited for.
    pub(super) fn sync_timings(&self) -> &Timings {
        &self.commit.timings
    }

    /// As [`Commit::poll`].
    pub(super) fn poll_durable(&self, seq: Seq, context: &Context<'_>) -> Poll<Result<()>> {
        self.commit.poll(&self.watermark, seq, context)
    }

    /// Wakes the tasks that wait for nothing any more.
    pub(super) fn wake_pending(&self) {
        self.commit.wake_pending(&self.watermark);
    }

    /// The last Seq that was handed out.
    pub(super) fn last_seq(&self) -> Seq {
        self.tail().last_seq
    }

    /// Writes what is staged and syncs all that is appended; returns the last Seq that this covers.
    fn sync(&self) -> Result<Seq> {
        // What is appended by now lies in a settled segment, in a forerunner or in the active
        // segment as they are now. What is staged is published behind all that was reserved before.
        let (target, staged, forerunners, active, is_stream) = {
            let mut tail = self.tail();
            let staged = tail.take_staged().map_err(|_| self.abandoned())?;
            let few = staged
                .as_ref()
                .is_some_and(|(_, bytes)| bytes.len() <= FILL_BELOW);
            if few {
                let filled = tail.writer.fill_ahead(FILL_BELOW, FILL_AHEAD);
                filled.map_err(|cause| self.fail(cause))?;
            }
            (
                tail.last_seq,
                staged,
                tail.forerunners.clone(),
                tail.active().clone(),
                tail.forget_pages(),
            )
        };
        if is_stream {
            active.region.unmap_pages();
        }
        if let Some((claim, bytes)) = staged {
            self.write_out(claim, &bytes)?;
            self.tail().stage.give_back(bytes);
        } else {
            // Of those that wait, one may want an event that another thread is still writing.
            let published = active.region.await_published();
            published.map_err(|_| self.abandoned())?;
        }
        for unsettled in forerunners {
            self.sync_region(&unsettled.segment.region)?;
        }
        self.sync_region(&active.region)?;
        // A log that has gone quiet meanwhile wants the mark that witnesses this sync.
        self.signal.wake_if_idle();
        Ok(target)
    }

    /// Syncs one region, unless an earlier sync failed; a failure ends the log's life.
    pub(super) fn sync_region(&self, region: &Region) -> Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_alive()?;
        if mutant::is(Mutant::SkipSync) {
            return Ok(());
        }
        match region.sync() {
            Err(_) if mutant::is(Mutant::AcknowledgeFailedSync) => Ok(()),
            synced => synced.map_err(|cause| self.fail(cause)),
        }
    }

    /// Syncs a segment's header block; as [`Shared::sync_region`].
    pub(super) fn sync_header(&self, region: &Region) -> Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_alive()?;
        let synced = region.sync_head(BLOCK_LEN);
        synced.map_err(|cause| self.fail(cause))
    }

    /// Makes the names of the segments durable; as [`Shared::sync_region`].
    pub(super) fn sync_names(&self) -> Result<()> {
        let syncing = self.syncing_names.lock();
        let _one_at_a_time = syncing.unwrap_or_else(PoisonError::into_inner);
        self.check_alive()?;
        if mutant::is(Mutant::ForgetFolderSync) {
            return Ok(());
        }
        self.storage.sync_dir().map_err(|cause| self.fail(cause))
    }

    /// Writes a mark if the last sync has no witness yet and nothing else is under way.
    pub(super) fn mark_if_idle(&self) -> Result<bool> {
        let mut tail = self.tail();
        let durable = self.watermark.durable();
        let idle = durable == tail.last_seq && tail.marked < durable && !tail.closed;
        if !idle || self.commit.failure().is_some() {
            return Ok(false);
        }
        let marked = tail.write_mark(durable, self.boot_id, false);
        if !marked.map_err(|_| self.abandoned())? {
            tail.marked = durable;
            return Ok(false);
        }
        let active = tail.active().clone();
        drop(tail);
        self.sync_region(&active.region)?;
        Ok(true)
    }

    pub(super) fn close(&self) -> Result<()> {
        {
            let mut tail = self.tail();
            if tail.closed {
                return Ok(());
            }
            tail.closed = true;
            // Appends that have a place already end in order; none comes after them. What fails
            // here has ended the log's life, which the wait below reports.
            if let Ok(Some((claim, bytes))) = tail.take_staged() {
                let _reported = self.write_out(claim, &bytes);
            }
            let published = tail.active().region.await_published();
            let _ended = published.map_err(|_| self.abandoned());
        }
        // Whoever prepares a segment or removes one has begun before; afterwards the folder may be
        // another process's, whose segments have the same names.
        drop(
            self.preparing
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        drop(self.removing.lock().unwrap_or_else(PoisonError::into_inner));
        self.drop_spare();
        let closed = self.settle_all().and_then(|()| self.close_clean());
        // Without the last sync, whoever waits for it has to be told.
        if let Err(error) = &closed {
            self.commit.end(error.duplicate());
        }
        self.watermark.close();
        closed
    }

    fn close_clean(&self) -> Result<()> {
        let last = self.last_seq();
        self.wait_durable(last)?;
        self.check_alive()?;
        let mut tail = self.tail();
        let marked = tail.write_mark(last, self.boot_id, true);
        marked.map_err(|_| self.abandoned())?;
        self.sync_region(&tail.active().region)
    }

    #[inline]
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        if let Ok(tail) = self.tail.try_lock() {
            return tail;
        }
        self.tail_in_turns()
    }

    /// The tail's lock, which another thread holds.
    ///
    /// The lock is not fair, and that is what makes two threads as quick as one: all that an append
    /// touches lies in the cache of whoever had the lock last, and takes longer to move to another
    /// processor than some appends. So a thread that finds it taken stays away for a while before it
    /// looks again, and the holder goes on meanwhile.
    #[cold]
    fn tail_in_turns(&self) -> MutexGuard<'_, Tail> {
        for look in 0..LOOKS {
            for _ in 0..PAUSES << look {
                hint::spin_loop();
            }
            if let Ok(tail) = self.tail.try_lock() {
                return tail;
            }
        }
        self.tail.lock().unwrap_or_else(|poisoned| {
            // A thread died halfway through a change: what was staged since may be no frame.
            self.abandoned();
            poisoned.into_inner()
        })
    }
}
