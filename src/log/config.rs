//! [`LogConfig`]: the settings of a log, and what follows from them for a batch.

use std::sync::Arc;
use std::time::Duration;

use super::ledger::Ledger;
use super::limits::{Retention, WhenPinned};
use super::room::room_max;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Expiry, KeepLast};
use crate::format::frame::padded;
use crate::format::record::Record;
use crate::format::sealed::EXTRA_LEN;
use crate::keys::Access;

/// The settings of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    /// The length of a new segment file in bytes.
    pub(crate) segment_len: usize,
    /// A segment is full at the latest with this many events.
    pub(crate) segment_events_max: u64,
    /// The largest frame in bytes; never above half a segment.
    pub(crate) event_len_max: usize,
    /// How much of the past is kept, in whole segments.
    pub(crate) retention: Retention,
    /// What happens where that meets somebody who needs more.
    pub(crate) when_pinned: WhenPinned,
    /// For how long events of some types are worth anything.
    pub(crate) expiry: Arc<Expiry>,
    /// Of which types only the last event of each key is kept, in old segments.
    pub(crate) keep_last: Arc<KeepLast>,
    /// How many of the newest segments are left alone; two are in any case.
    pub(crate) compaction_leave: usize,
    /// The level with which sealed segments are compressed; `None`: they stay plain.
    pub(crate) compression: Option<i32>,
    /// Whether files of segments that have gone become those of later ones.
    pub(crate) recycle: bool,
    /// Whether events are encrypted, and who reads them.
    pub(crate) access: Access,
    /// How many keys a pass remembers.
    pub(crate) compaction_keys_max: usize,
    /// Where removals are noted before they begin; `None`: nowhere.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    /// How long a log must stand still before it writes a mark that witnesses the last sync.
    pub(crate) mark_after: Duration,
    /// Whether a thread does the housekeeping, or the callers.
    pub(crate) background: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_len: 32 << 20,
            segment_events_max: u64::MAX,
            event_len_max: 16 << 20,
            retention: Retention::default(),
            when_pinned: WhenPinned::Keep,
            expiry: Arc::default(),
            keep_last: Arc::default(),
            compaction_leave: 2,
            compression: None,
            recycle: false,
            access: Access::Plain,
            compaction_keys_max: 1 << 17,
            ledger: None,
            mark_after: Duration::from_millis(100),
            background: true,
        }
    }
}

impl LogConfig {
    /// The room of a whole batch in bytes.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) if an event of it, or the whole, is beyond the limits.
    #[inline]
    pub(super) fn room_of(&self, records: &[Record<'_>]) -> Result<usize> {
        let event_max = self.event_len_max.min(self.room_max(1));
        let extra = match self.access {
            Access::Key(_) => EXTRA_LEN,
            Access::Plain | Access::Moving => 0,
        };
        let mut sum = 0_usize;
        for record in records {
            let len = record.frame_len().saturating_add(extra);
            if len > event_max {
                return Err(event_too_large(len, event_max));
            }
            sum = sum.saturating_add(padded(len));
        }
        if records.len() == 1 {
            return Ok(sum);
        }
        let batch_max = self.room_max(records.len());
        if records.len() > usize::from(u16::MAX) || sum > batch_max {
            let message = format!(
                "the batch has {} events in {sum} bytes; a batch lies in one segment and takes at \
                 most {} events in {batch_max} bytes; split it",
                records.len(),
                u16::MAX
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(sum)
    }

    /// The room that so many events may take: half a segment, and what a new segment has at most, or
    /// else one segment after the other would be found too full for them.
    fn room_max(&self, count: usize) -> usize {
        let half = self.segment_len / 2;
        half.min(room_max(self.segment_len, count))
    }
}

#[cold]
fn event_too_large(len: usize, most: usize) -> Error {
    let message = format!(
        "the event takes {len} bytes in the log, and at most {most} are allowed; split it, or raise the \
         limit or the segment size"
    );
    Error::new(ErrorKind::TooLarge, message)
}
