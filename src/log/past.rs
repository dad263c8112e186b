//! What of the past is held, and where a time lies in it.

use super::Log;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::{Gap, Seq};

impl Log {
    /// The last Seq that lay before the first segment that is held: retention may have removed events
    /// up to there. [`Seq::ZERO`] if everything that ever was is held.
    pub(crate) fn removed_upto(&self) -> Seq {
        let segments = self.segments();
        segments
            .first()
            .map_or(Seq::ZERO, |first| first.header.prev_last_seq)
    }

    /// The Seqs that were skipped after crashes, as far as what lies behind them is held; oldest first.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let segments = self.segments().into_iter();
        segments
            .filter_map(|segment| segment.header.gap())
            .collect()
    }

    /// The last Seq whose event had been appended at this time, the time included; the one before the
    /// first event that is held if none of these had.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if an event that has to be looked at cannot be read.
    pub(crate) fn last_at(&self, time: Timestamp) -> Result<Seq> {
        // What is known: all up to `low` was appended by then, all from `high` on was not.
        let mut low = self.first_seq().prev();
        let mut high = self.watermark().appended().next();
        let mut reader = self.reader(low.next());
        while low.next() < high {
            let middle = Seq(u64::midpoint(low.0, high.0));
            reader.seek(middle);
            // Behind a gap, the event at its end decides for all of it.
            match reader.next_event()? {
                Some(event) if event.seq() < high && event.appended_at() <= time => {
                    low = event.seq();
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
