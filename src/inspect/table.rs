//! [`TableCheck`]: holds the offset table of a sealed segment against its frames, piece by piece.

use std::sync::Arc;

use crate::error::Result;
use crate::format::crc::crc32_append;
use crate::format::footer::{ENTRY_LEN, Footer, table_entry};
use crate::position::Seq;
use crate::storage::Region;

/// How many bytes of the table are in memory at once.
const PIECE: usize = 64 << 10;

/// A look at an offset table from its start to its end.
#[derive(Debug)]
pub(super) struct TableCheck {
    region: Arc<Region>,
    footer: Footer,
    start: usize,
    len: usize,
    /// How much of the table was read.
    done: usize,
    piece: Vec<u8>,
    /// Of what was read.
    checksum: u32,
}

impl TableCheck {
    pub(super) fn new(region: Arc<Region>, footer: Footer) -> Self {
        TableCheck {
            region,
            start: footer.table_at(),
            len: footer.table_len().unwrap_or(0),
            footer,
            done: 0,
            piece: Vec::new(),
            checksum: 0,
        }
    }

    /// Whether the table has this offset for a Seq; Seqs must come in order.
    pub(super) fn has(&mut self, seq: Seq, offset: usize) -> Result<bool> {
        let index = usize::try_from(seq.since(self.footer.first_seq)).unwrap_or(usize::MAX);
        let at = index.saturating_mul(ENTRY_LEN);
        if seq < self.footer.first_seq || at >= self.len {
            return Ok(false);
        }
        while at >= self.done {
            self.read_piece()?;
        }
        let piece_at = self.done.saturating_sub(self.piece.len());
        let in_piece = at.saturating_sub(piece_at) / ENTRY_LEN;
        Ok(table_entry(&self.piece, in_piece) == Some(offset))
    }

    /// Reads to the end; whether the whole table has the checksum that the footer says.
    pub(super) fn finish(mut self) -> Result<bool> {
        while self.done < self.len {
            self.read_piece()?;
        }
        Ok(self.checksum == self.footer.table_checksum)
    }

    /// Where the table starts.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    fn read_piece(&mut self) -> Result<()> {
        self.piece
            .resize(self.len.saturating_sub(self.done).min(PIECE), 0);
        let at = self.start.saturating_add(self.done);
        self.region.read_at(at, &mut self.piece)?;
        self.checksum = crc32_append(self.checksum, &self.piece);
        self.done = self.done.saturating_add(self.piece.len());
        Ok(())
    }
}
