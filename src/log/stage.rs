//! [`Stage`]: frames that wait to be synced, laid out in private memory until somebody writes them.
//!
//! They have their Seqs and their places already; what is not there yet are the bytes. The leader of
//! the next sync writes all of them with one `pwrite`, which dirties only the blocks that it touches
//! (a store through the map would dirty a whole folio of the page cache, and the sync write it back).
//! They are always the last frames of the log: whoever appends behind them joins them.

/// What a stage may hold before it is written without a sync, in bytes.
pub(super) const STAGE_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Stage {
    bytes: Vec<u8>,
    /// Memory that was used before, kept for what is staged while the other is being written.
    spare: Vec<u8>,
}

impl Stage {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// `len` more bytes at the end, to be written.
    pub(super) fn extend(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start.saturating_add(len), 0);
        self.bytes.get_mut(start..).unwrap_or_default()
    }

    /// All bytes that wait; none waits afterwards.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.bytes, spare)
    }

    /// Gives the memory back that [`Stage::take`] had taken.
    pub(super) fn give_back(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() <= STAGE_MAX && bytes.capacity() > self.spare.capacity() {
            bytes.clear();
            self.spare = bytes;
        }
    }
}
