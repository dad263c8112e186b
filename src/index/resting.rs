//! What the follower does where the index had to go into memory, because its folder refused, and has grown to
//! what it may take there: it rests. What is indexed answers, what is behind is scanned, and now and then the
//! folder is tried again: a disk that was full may have room by now.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::backing;
use super::follow::Follower;
use crate::error::Result;
use crate::log::watermark::Wanted;
use crate::position::Seq;

impl Follower<'_> {
    /// Whether the index must not grow. That of a system without a folder is bounded as its events are.
    pub(super) fn must_rest(&self) -> bool {
        if self.core.folder.is_none() {
            return false;
        }
        let state = self.core.read();
        let bytes = state.catalog.bytes().saturating_add(state.ids.bytes());
        state.in_memory && bytes > self.core.config.memory_max
    }

    /// Waits until there is news, and the folder may be tried again; `false` if there will be none.
    pub(super) fn rest(&mut self) -> bool {
        if !self.core.resting.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                target: "forelog::index", indexed_upto = %self.core.indexed_upto(),
                "the index is in memory and takes all that it may: it rests until its folder can be used"
            );
        }
        self.core.rebuilding.store(false, Ordering::Release);
        self.core.notify();
        let watermark = self.core.log.watermark();
        let is_needed = || self.core.is_stopping() || self.core.is_broken();
        let news = watermark.appended().next();
        let has_news = watermark.wait(Wanted::Published(news), None, |mark| {
            mark.appended() >= news || is_needed()
        });
        let again = self.tried_at + self.core.config.retry_after;
        let never = Wanted::Published(Seq::MAX);
        has_news && (watermark.wait(never, Some(again), |_| is_needed()) || !watermark.is_closed())
    }

    /// Moves to the folder if it can be used by now; else drops what retention has made superfluous.
    pub(super) fn wake(&mut self) -> Result<()> {
        if self.core.is_stopping() || self.core.is_broken() {
            return Ok(());
        }
        self.tried_at = Instant::now();
        if let Some(opened) = backing::open_again(self.core) {
            self.core.rebuilding.store(true, Ordering::Release);
            self.core.resting.store(false, Ordering::Release);
            self.stand_on(opened, false);
        } else {
            self.retire()?;
            let rests = self.must_rest();
            self.core.resting.store(rests, Ordering::Release);
        }
        Ok(())
    }
}
