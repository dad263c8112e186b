//! The log: one total order of events in segments, group commit, readers, recovery.
//!
//! **Life of an event.** [`Log::append`] takes the tail's lock, stamps Seq and time, writes the frame
//! into a claim of the active segment, publishes it, and moves the watermark: readers see it.
//! [`Log::wait_durable`] lets it be synced together with all others that wait.
//!
//! **Life of a segment.** *Prepared* (a file of zeros, its name durable) → *active* (its header pins
//! where the segment before ends) → *unsettled forerunner* (full; waits to be sealed) → *settled*
//! (footer written, synced, spare room given back) → removed by retention. At most the active
//! segment and two forerunners are not yet wholly synced: [`rotation`] waits for the older one to be
//! settled before it makes a third. So recovery reads three segments, however large the log is.
//!
//! **Housekeeping** (preparing, settling, syncs by interval, idle marks, retention) is done by one
//! thread, or, for tests that need each storage operation in order, by the caller of `append`.

pub(crate) mod limits;
pub(crate) mod pins;
mod waiting;
pub(crate) mod watermark;
mod commit;
pub(crate) mod scan;
mod identity;
mod ending;
pub(crate) mod survey;
pub(crate) mod point;
mod ahead;
mod walk;
pub(crate) mod examine;
mod room;
mod guesses;
mod frames;
mod live_table;
pub(crate) mod segment;
pub(crate) mod plain;
mod packs;
pub(crate) mod contents;
pub(crate) mod segments;
mod sums;
mod stage;
mod prefault;
mod tail;
pub(crate) mod judge;
mod aging;
pub(crate) mod ledger;
pub(crate) mod explain;
mod config;
mod opening;
mod plan;
mod copier;
mod aside;
mod shorten;
mod whole;
mod rewrite;
mod recovery;
mod signal;
pub(crate) mod time_blocks;
mod view;
pub(crate) mod opened;
mod lacking;
mod going;
mod spare;
mod shared;
mod alive;
mod prewriting;
mod rotation;
mod recycle;
mod drops;
mod course;
mod packing;
mod rewriting;
pub(crate) mod remains;
mod compaction;
mod compression;
mod append;
pub(crate) mod reader;
pub(crate) mod past;
mod copied;
mod sighting;
pub(crate) mod mirror;
mod retention;
mod keeping;
pub(crate) mod finder;
mod committer;
mod rewriter;
mod job;
mod keeper;

#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

pub(crate) use append::Appended;
pub(crate) use compression::check as check_compression;
pub(crate) use config::LogConfig;
pub use explain::{RetentionReport, SegmentRetention};
pub(crate) use identity::log_identity;
pub use judge::{Fate, RetentionWait};
pub use ledger::{Removal, Removed};
pub(crate) use opening::random;
pub(crate) use recovery::Examined;
use shared::Shared;
pub(crate) use view::View;

use crate::clock::Clock;
#[cfg(test)]
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{Error, Result};
use crate::format::alone::Alone;
use crate::format::record::{EventRef, Record};
use crate::format::sealed::Opened;
use crate::position::{Gap, SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::usage::Space;
use crate::timings::Timings;
use crate::upcast::Upcasters;
use committer::Committer;
use keeper::Keeper;
use packs::Unpacked;
use pins::Pins;
use segment::Segment;

/// What opening a log found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the log had been closed in order (or was new), so that nothing had to be done.
    pub clean: bool,
    /// The first Seq held, or that of the next event if none is.
    pub first: Seq,
    /// The last Seq held; 0 if none ever was.
    pub last: Seq,
    /// How many events were written anew and synced, because no witness proved them durable.
    pub rewritten: u64,
    /// How many bytes of a torn tail were set aside.
    pub torn_bytes: u64,
    /// The Seqs that were skipped because they may have been handed out and lost.
    pub gap: Option<Gap>,
}

/// An event in the log, checked; it holds the segment that it lies in, and copies nothing. One that is
/// [shown as a newer version](crate::Builder::upcaster), [compressed](crate::Builder::compression) or
/// [encrypted](crate::Builder::encryption_key) is a copy.
#[derive(Debug, Clone)]
pub struct StoredEvent(Lying);

/// Where an event lies.
#[derive(Debug, Clone)]
enum Lying {
    InSegment {
        segment: Arc<Segment>,
        offset: usize,
        /// The length of its frame.
        len: usize,
    },
    /// Of a compressed segment; the bytes are a copy that others may have as well.
    Unpacked {
        unpacked: Arc<Unpacked>,
        offset: usize,
        len: usize,
    },
    /// Decrypted.
    Opened(Arc<Opened>),
    Alone(Alone),
}

impl StoredEvent {
    /// The event, borrowed from the log.
    #[inline]
    pub fn event(&self) -> EventRef<'_> {
        match &self.0 {
            Lying::InSegment {
                segment,
                offset,
                len,
            } => segment.located(*offset, *len),
            Lying::Unpacked {
                unpacked,
                offset,
                len,
            } => unpacked.frames().located(*offset, *len),
            Lying::Opened(opened) => opened.event(),
            Lying::Alone(alone) => alone.event(),
        }
    }

    /// The event in its newest version.
    ///
    /// # Errors
    /// As [`Upcasters::newest`].
    #[inline]
    pub(crate) fn newest(self, upcasters: &Upcasters) -> Result<Self> {
        if upcasters.is_empty() {
            return Ok(self);
        }
        let newest = upcasters.newest(&self.event())?;
        Ok(newest.map_or(self, |alone| StoredEvent(Lying::Alone(alone))))
    }
}

/// A log of events in a folder.
#[derive(Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
    view: Arc<View>,
    keeper: Keeper,
    committer: Committer,
    recovery: Recovery,
}

impl Log {
    /// Opens the log in a folder, or makes one; recovers it if it was not closed in order.
    ///
    /// `witness` is a Seq that something outside the log knows to be durable ([`Seq::ZERO`] if there
    /// is nothing): a log that ends before it is damaged.
    ///
    /// # Errors
    /// Damage, a missing or foreign segment, a newer version: the folder is left as it was.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        clock: Arc<dyn Clock>,
        witness: Seq,
    ) -> Result<Log> {
        let examined = Log::examine(storage.as_ref(), witness, None)?;
        Log::open_examined(storage, config, clock, examined, Pins::default())
    }

    /// As [`Log::open`] of a folder that was examined and not changed since, with pins that hold before
    /// the first round of retention.
    pub(crate) fn open_examined(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        clock: Arc<dyn Clock>,
        examined: Examined,
        pins: Pins,
    ) -> Result<Log> {
        let mut opened = recovery::open(&storage, &config, clock.now(), examined)?;
        let recovery = opened.recovery.clone();
        let chores = std::mem::take(&mut opened.chores);
        let shared = Arc::new(Shared::new(storage, config, clock, opened, pins));
        let keeper = Keeper::start(shared.clone(), chores)?;
        Ok(Log {
            view: shared.view.clone(),
            shared,
            keeper,
            committer: Committer::default(),
            recovery,
        })
    }

    /// Finds what [`Log::open`] would refuse, and changes nothing: for whoever changes other things
    /// before it is opened. Nothing is read a second time by then. All up to `removed_upto` was removed,
    /// by the ledger, if one is kept.
    ///
    /// # Errors
    /// As [`Log::open`], and [`MissingSegment`](ErrorKind::MissingSegment) if more is missing than was
    /// removed.
    pub(crate) fn examine(
        storage: &dyn Storage,
        witness: Seq,
        removed_upto: Option<SegmentId>,
    ) -> Result<Examined> {
        recovery::examine(storage, witness, removed_upto)
    }

    /// What opening found and did.
    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The last Seq that was handed out, published or not.
    pub(crate) fn last_seq(&self) -> Seq {
        self.shared.last_seq()
    }

    /// Appends records as one atomic batch and publishes them.
    ///
    /// With [`Durability::Sync`] readers that await syncs see them only once they are synced: call
    /// [`Log::wait_durable`].
    ///
    /// # Errors
    /// [`SyncFailed`](ErrorKind::SyncFailed): the batch may or may not be in the log. On any other
    /// error nothing of it is.
    #[expect(clippy::inline_always, reason = "its result is not copied then")]
    #[inline(always)]
    pub(crate) fn append(
        &self,
        records: &[Record<'_>],
        durability: Durability,
    ) -> Result<Appended> {
        let appended = self.shared.append(records, durability)?;
        if let Durability::Interval(within) = durability {
            self.shared.signal.sync_within(within);
        }
        self.shared.signal.wake_if_idle();
        Ok(appended)
    }

    /// Whether the log would take a batch of these records, as far as their sizes go.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge).
    pub(crate) fn check_room(&self, records: &[Record<'_>]) -> Result<()> {
        self.shared.config.room_of(records).map(drop)
    }

    /// Returns once all up to `seq` is durable.
    ///
    /// # Errors
    /// [`SyncFailed`](ErrorKind::SyncFailed): the log takes nothing more, and must be reopened.
    pub(crate) fn wait_durable(&self, seq: Seq) -> Result<()> {
        self.shared.wait_durable(seq)
    }

    /// Has everything up to `seq` synced soon by another thread, or now where there is none. What
    /// fails is told to whoever waits for it.
    pub(crate) fn sync_soon(&self, seq: Seq) {
        if !self.committer.ask(&self.shared) {
            let _told_to_all = self.wait_durable(seq);
        }
    }

    /// Whether all up to `seq` is durable; if not, the task is woken when it is, or cannot be.
    /// [`Log::sync_soon`] must have been called.
    pub(crate) fn poll_durable(&self, seq: Seq, context: &Context<'_>) -> Poll<Result<()>> {
        self.shared.poll_durable(seq, context)
    }

    /// How long the syncs took that somebody waited for.
    pub(crate) fn sync_timings(&self) -> &Timings {
        self.shared.sync_timings()
    }

    /// The folder that its segments are in.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.storage
    }

    /// Its segments, oldest first, at a moment at which none is being removed or put in the place of another.
    pub(crate) fn segments_at_rest(&self) -> Vec<Arc<Segment>> {
        let removing = &self.shared.removing;
        let _none_goes = removing.lock().unwrap_or_else(PoisonError::into_inner);
        self.view.segments()
    }

    /// What the file system that it lies in has left.
    pub(crate) fn space(&self) -> Option<Space> {
        self.shared.storage.space()
    }

    /// What ended the log's life, if a sync has failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.check_alive().err()
    }

    /// Makes everything that is appended durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.wait_durable(self.shared.last_seq())
    }

    /// Syncs what has to be synced before it is delivered; returns the last Seq that was handed out.
    ///
    /// # Errors
    /// As [`Log::wait_durable`].
    pub(crate) fn make_deliverable(&self) -> Result<Seq> {
        let (last, last_sync) = {
            let tail = self.shared.tail();
            (tail.last_seq, tail.last_sync)
        };
        self.wait_durable(last_sync)?;
        Ok(last)
    }

    /// What reading it needs.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// The Seqs that must be kept.
    pub(crate) fn pins(&self) -> &Pins {
        &self.shared.pins
    }

    /// Compacts and compresses what is due, for logs without a thread that does.
    #[cfg(test)]
    pub(crate) fn rewrite_what_is_due(&self) -> Result<()> {
        self.shared.rewrite_what_is_due()
    }

    /// When the newest event was appended; the zero time if there is none.
    #[cfg(test)]
    pub(crate) fn last_appended_at(&self) -> Timestamp {
        self.shared.last_appended_at()
    }

    /// Syncs everything, writes the mark of a clean end, and takes nothing more.
    ///
    /// # Errors
    /// If a sync fails or failed. The log is closed all the same; opening it will recover.
    pub(crate) fn close(&self) -> Result<()> {
        self.keeper.stop();
        let closed = self.shared.close();
        self.committer.stop();
        self.shared.wake_pending();
        closed
    }
}

/// A log is read through its view.
impl Deref for Log {
    type Target = Arc<View>;

    #[inline]
    fn deref(&self) -> &Arc<View> {
        &self.view
    }
}

impl Drop for Log {
    /// Ends the housekeeping thread. Without [`Log::close`] the end is not clean.
    fn drop(&mut self) {
        self.keeper.stop();
        self.committer.stop();
        self.shared.watermark.close();
    }
}
