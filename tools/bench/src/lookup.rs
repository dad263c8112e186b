//! [`Lookup`]: the floor of a read by number. A place in a table, a frame at that place, its CRC, and
//! no engine around it.

use std::hint::black_box;
use std::time::Instant;

use forelog::{Error, Result};
use memmap2::{MmapMut, MmapOptions};

use crate::bench::Random;
use crate::num::{count, index, rate};

/// The bytes at the start of each frame that say how long it is.
const LEN_LEN: usize = 4;

/// Frames in memory, and a table that says where each of them lies.
#[derive(Debug)]
pub(crate) struct Lookup {
    map: MmapMut,
    offsets: Vec<u32>,
}

impl Lookup {
    /// So many frames of this length.
    pub(crate) fn new(frames: u64, frame_len: u64) -> Result<Lookup> {
        let frame_len = index(frame_len).max(LEN_LEN);
        let mut map = MmapOptions::new()
            .len(frame_len.saturating_mul(index(frames).max(1)))
            .map_anon()
            .map_err(|source| Error::io("map memory", "(no file)", source))?;
        let mut offsets = Vec::with_capacity(index(frames));
        let len = u32::try_from(frame_len).unwrap_or(u32::MAX).to_le_bytes();
        for (number, frame) in map.chunks_exact_mut(frame_len).enumerate() {
            frame.fill(3);
            if let Some(place) = frame.first_chunk_mut() {
                *place = len;
            }
            // Beyond 4 GiB places repeat: the same memory is read more often.
            let offset = number.saturating_mul(frame_len);
            offsets.push(u32::try_from(offset).unwrap_or(0));
        }
        Ok(Lookup { map, offsets })
    }

    /// Looks so many frames up at random; nanoseconds each. The processor works on the next ones while
    /// it waits for the memory of one.
    pub(crate) fn overlapped(&self, reads: u64) -> f64 {
        self.times(reads, |random, places, _| random.below(places))
    }

    /// As [`Lookup::overlapped`], but which frame is next depends on the bytes of the one before, so
    /// that every look-up waits for all its memory.
    pub(crate) fn in_turn(&self, reads: u64) -> f64 {
        self.times(reads, |random, places, before| {
            random.below(places) ^ u64::from(before == Some(1))
        })
    }

    fn times(&self, reads: u64, next: impl Fn(&mut Random, u64, Option<u32>) -> u64) -> f64 {
        let places = count(self.offsets.len());
        let mut random = Random(11);
        let mut before = None;
        let started = Instant::now();
        for _ in 0..reads {
            before = self.crc_of(index(next(&mut random, places, before)));
            black_box(before);
        }
        1e9 / rate(reads, started.elapsed())
    }

    /// The CRC of the frame of this number, which says itself how long it is.
    fn crc_of(&self, number: usize) -> Option<u32> {
        let frame = self
            .map
            .get(index(u64::from(*self.offsets.get(number)?))..)?;
        let len = u32::from_le_bytes(*frame.first_chunk()?);
        let frame = frame.get(..index(u64::from(len)))?;
        Some(libdeflater::crc32(black_box(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_to_a_frame_of_its_own() {
        let lookup = Lookup::new(5, 24).unwrap();
        let frame = [&24_u32.to_le_bytes()[..], &[3; 20]].concat();
        for number in 0..5 {
            assert_eq!(lookup.crc_of(number), Some(libdeflater::crc32(&frame)));
        }
        assert_eq!(lookup.crc_of(5), None);
        assert!(lookup.overlapped(10) > 0.0 && lookup.in_turn(10) > 0.0);
    }
}
