//! The bytes of a file on a simulated disk, by sectors, with what is not durable yet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The unit in which a disk writes: a crash leaves the old or the new bytes of each.
pub(super) const SECTOR: usize = 512;

/// The bytes of a file, and the older bytes of each sector whose present ones are not durable.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) live: Arc<Vec<u8>>,
    /// Whether the length outlives a crash; it does since the first sync.
    pub(super) is_len_durable: bool,
    pub(super) dirty: BTreeMap<usize, Dirty>,
}

/// A sector whose live bytes are not durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty {
    /// What it held before, from the durable bytes on.
    pub(super) older: Vec<Arc<[u8]>>,
    /// A sync failed, so the system takes the sector for clean and writes it no more.
    pub(super) is_forgotten: bool,
}

impl File {
    /// A new file, none of it durable.
    pub(super) fn zeros(len: usize) -> Self {
        File {
            live: Arc::new(vec![0; len]),
            is_len_durable: false,
            dirty: BTreeMap::new(),
        }
    }

    /// A file that is durable as it is.
    pub(super) fn settled(bytes: Arc<Vec<u8>>) -> Self {
        File {
            live: bytes,
            is_len_durable: true,
            dirty: BTreeMap::new(),
        }
    }

    /// The live bytes of a sector; fewer at the end of the file.
    pub(super) fn sector(&self, sector: usize) -> &[u8] {
        self.live.chunks(SECTOR).nth(sector).unwrap_or_default()
    }

    /// What a sector may hold after a crash: the durable bytes first, the live ones last. Empty if
    /// it never held anything else than it does.
    pub(super) fn versions(&self, sector: usize, dirty: &Dirty) -> Vec<Arc<[u8]>> {
        let live = self.sector(sector);
        if dirty.older.iter().all(|older| **older == *live) {
            return Vec::new();
        }
        let mut versions: Vec<Arc<[u8]>> = Vec::new();
        for older in &dirty.older {
            let is_durable = versions.is_empty();
            if is_durable || **older != *live && !versions.contains(older) {
                versions.push(Arc::clone(older));
            }
        }
        versions.push(Arc::from(live));
        versions
    }

    /// Changes live bytes; what lies beyond the end of the file is lost.
    pub(super) fn store(&mut self, mut start: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = SECTOR - start % SECTOR;
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.store_in_sector(start, piece);
            start += piece.len();
            bytes = rest;
        }
    }

    fn store_in_sector(&mut self, start: usize, piece: &[u8]) {
        let range = start..start + piece.len();
        if self.live.get(range.clone()).is_none_or(|old| old == piece) {
            return;
        }
        let sector = start / SECTOR;
        let before = Arc::from(self.sector(sector));
        let dirty = self.dirty.entry(sector).or_default();
        dirty.older.push(before);
        dirty.is_forgotten = false;
        if let Some(target) = Arc::make_mut(&mut self.live).get_mut(range) {
            target.copy_from_slice(piece);
        }
    }

    /// Changes bytes, and makes the sectors that they touch durable.
    pub(super) fn settle(&mut self, bytes: Range<usize>, change: impl FnOnce(&mut [u8])) {
        let end = bytes.end.min(self.live.len());
        let start = bytes.start.min(end);
        if let Some(bytes) = Arc::make_mut(&mut self.live).get_mut(start..end) {
            change(bytes);
        }
        let touched = start / SECTOR..end.div_ceil(SECTOR);
        self.dirty.retain(|sector, _| !touched.contains(sector));
    }

    /// Makes the length and the sectors of these bytes durable.
    pub(super) fn sync(&mut self, bytes: &Range<usize>) {
        self.is_len_durable = true;
        let synced = bytes.start / SECTOR..bytes.end.div_ceil(SECTOR);
        self.dirty
            .retain(|sector, dirty| dirty.is_forgotten || !synced.contains(sector));
    }

    /// After a failed sync the system forgets what it had to write.
    pub(super) fn forget_dirty(&mut self) {
        for dirty in self.dirty.values_mut() {
            dirty.is_forgotten = true;
        }
    }
}
