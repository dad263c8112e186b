//! Raw floors: the work that the hardware does anyway, with no engine around it.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use forelog::{Error, Result};
use memmap2::{MmapMut, MmapOptions};

use crate::bench::{Random, in_threads};
use crate::latency::{Latency, Recorder, merged};
use crate::num::{index, rate};

/// The unit in which blocks are written, and of a single synced write.
const PAGE: u64 = 4096;
/// The pieces of a sequential write.
const PIECE: u64 = 16 << 20;

/// Memory that is mapped and there: each page was touched before.
#[derive(Debug)]
pub(crate) struct Room {
    map: MmapMut,
    frame: Vec<u8>,
    frame_len: usize,
}

impl Room {
    /// Room for so many frames.
    pub(crate) fn new(frames: u64, frame_len: u64) -> Result<Room> {
        let frame_len = index(frame_len).max(1);
        let len = frame_len.saturating_mul(index(frames));
        let mut map = MmapOptions::new()
            .len(len)
            .map_anon()
            .map_err(|source| Error::io("map memory", "(no file)", source))?;
        map.fill(3);
        Ok(Room {
            map,
            frame: vec![5; frame_len],
            frame_len,
        })
    }

    /// Copies a frame to each place and takes its CRC, in so many threads; frames a second.
    pub(crate) fn copy_and_crc(&mut self, threads: u64) -> Result<f64> {
        let source = &self.frame;
        let frames = self.map.len() / self.frame_len;
        let each = frames.div_ceil(index(threads)).max(1);
        let parts: Vec<_> = self
            .map
            .chunks_mut(each * self.frame_len)
            .map(|part| std::sync::Mutex::new(Some(part)))
            .collect();
        let (time, _) = in_threads(threads, |thread| {
            let part = parts.get(index(thread)).and_then(|part| {
                let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
                part.take()
            });
            for place in part
                .into_iter()
                .flat_map(|part| part.chunks_exact_mut(source.len()))
            {
                place.copy_from_slice(black_box(source));
                black_box(libdeflater::crc32(place));
            }
            Ok(())
        })?;
        Ok(rate(crate::num::count(frames), time))
    }

    /// What a log of events in a total order cannot do without, one thread of it: a clock reading, a lock
    /// taken and given back, the copy and its CRC, and a word to readers; frames a second.
    pub(crate) fn bare_log(&mut self) -> f64 {
        let tail = std::sync::Mutex::new(0_u64);
        let published = AtomicU64::new(0);
        let started = Instant::now();
        for place in self.map.chunks_exact_mut(self.frame_len) {
            let now = black_box(SystemTime::now());
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            *tail += 1;
            place.copy_from_slice(black_box(&self.frame));
            black_box((libdeflater::crc32(place), now));
            published.store(*tail, Ordering::Release);
        }
        rate(published.load(Ordering::Acquire), started.elapsed())
    }

    /// Copies one frame to the place of this number, and takes its CRC.
    pub(crate) fn copy_one(&mut self, number: usize) {
        let frames = (self.map.len() / self.frame_len).max(1);
        let at = number % frames * self.frame_len;
        if let Some(place) = self.map.get_mut(at..at + self.frame_len) {
            place.copy_from_slice(black_box(&self.frame));
            black_box(libdeflater::crc32(place));
        }
    }

    /// Encodes a value for each place, copies it there and takes the CRC of the whole frame; frames
    /// a second.
    pub(crate) fn encode_and_crc(&mut self, encode: impl Fn(u64) -> Option<Vec<u8>>) -> f64 {
        let started = Instant::now();
        let mut frames = 0;
        for place in self.map.chunks_exact_mut(self.frame_len) {
            let bytes = encode(black_box(frames)).unwrap_or_default();
            let len = bytes.len().min(place.len());
            if let (Some(to), Some(from)) = (place.get_mut(..len), bytes.get(..len)) {
                to.copy_from_slice(from);
            }
            black_box(libdeflater::crc32(place));
            frames += 1;
        }
        rate(frames, started.elapsed())
    }

    /// Takes the CRC of each frame, every `stride`th first, then those after them; frames a second.
    pub(crate) fn crc_strided(&self, stride: u64) -> f64 {
        let started = Instant::now();
        let mut frames = 0;
        for first in 0..index(stride) {
            let frame = self.map.chunks_exact(self.frame_len).skip(first);
            for frame in frame.step_by(index(stride)) {
                black_box(libdeflater::crc32(black_box(frame)));
                frames += 1;
            }
        }
        rate(frames, started.elapsed())
    }

    /// Takes the CRC of each frame in turn; frames a second.
    pub(crate) fn crc_all(&self) -> f64 {
        let started = Instant::now();
        let mut frames = 0;
        for frame in self.map.chunks_exact(self.frame_len) {
            black_box(libdeflater::crc32(black_box(frame)));
            frames += 1;
        }
        rate(frames, started.elapsed())
    }

    /// Takes the CRC of so many frames at random; nanoseconds each.
    pub(crate) fn crc_random(&self, reads: u64) -> f64 {
        let frames = crate::num::count(self.map.len() / self.frame_len);
        let mut random = Random(11);
        let started = Instant::now();
        for _ in 0..reads {
            let at = index(random.below(frames)) * self.frame_len;
            if let Some(frame) = self.map.get(at..at + self.frame_len) {
                black_box(libdeflater::crc32(black_box(frame)));
            }
        }
        1e9 / rate(reads, started.elapsed())
    }
}

/// A file whose blocks were all written before.
#[derive(Debug)]
pub(crate) struct WrittenFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl WrittenFile {
    /// Makes the file; `len` is rounded up to whole pages.
    pub(crate) fn new(path: &Path, len: u64) -> Result<WrittenFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        let written = WrittenFile {
            file: file.map_err(|source| Error::io("make a file", path, source))?,
            path: path.to_owned(),
            len: len.next_multiple_of(PAGE).max(PAGE),
        };
        let page = [1_u8; 1 << 12];
        for at in (0..written.len).step_by(1 << 12) {
            written.write(&page, at)?;
        }
        written.sync()?;
        Ok(written)
    }

    /// Writes and syncs `len` bytes so many times, one after the other in the file, in so many
    /// threads; writes a second, and the time of each.
    pub(crate) fn synced_writes(
        &self,
        writes: u64,
        len: u64,
        threads: u64,
    ) -> Result<(f64, Latency)> {
        let bytes = vec![7_u8; index(len)];
        let step = len.next_multiple_of(PAGE);
        let each = writes.div_ceil(threads);
        let (time, recorders) = in_threads(threads, |thread| {
            let mut recorder = Recorder::new();
            for number in 0..each {
                let at = (thread * each + number) * step % (self.len.saturating_sub(step) + 1);
                let started = Instant::now();
                self.write(&bytes, at / PAGE * PAGE)?;
                self.sync()?;
                recorder.record(started.elapsed());
            }
            Ok(recorder)
        })?;
        let writes = each * threads;
        Ok((rate(writes, time), merged(&recorders).micros()))
    }

    /// Writes and syncs `len` bytes so many times with a pause before each; the time of each.
    pub(crate) fn paced(&self, writes: u64, len: u64, pause: Duration) -> Result<Latency> {
        let bytes = vec![7_u8; index(len)];
        let mut recorder = Recorder::new();
        for number in 0..writes {
            std::thread::sleep(pause);
            let started = Instant::now();
            self.write(&bytes, number * len % self.len / PAGE * PAGE)?;
            self.sync()?;
            recorder.record(started.elapsed());
        }
        Ok(recorder.micros())
    }

    /// Writes and syncs the page of this number.
    pub(crate) fn synced_write_number(&self, number: u64) -> Result<()> {
        self.write(&[7_u8; 1 << 12], number * PAGE % self.len)?;
        self.sync()
    }

    /// Writes the whole file in large pieces, each synced; bytes a second.
    pub(crate) fn sequential(&self) -> Result<f64> {
        let bytes = vec![9_u8; index(PIECE.min(self.len))];
        let piece = crate::num::count(bytes.len());
        let started = Instant::now();
        let mut done = 0;
        while done + piece <= self.len {
            self.write(&bytes, done)?;
            self.sync()?;
            done += piece;
        }
        Ok(rate(done, started.elapsed()))
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        write_at(&self.file, bytes, at).map_err(|source| Error::io("write", &self.path, source))
    }

    fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|source| Error::io("sync", &self.path, source))
    }
}

impl Drop for WrittenFile {
    fn drop(&mut self) {
        // What is left is removed with its folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes all the bytes at this offset.
#[cfg(unix)]
pub(crate) fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
pub(crate) fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_copied_whatever_the_threads() {
        for threads in [1, 2, 7] {
            let mut room = Room::new(100, 24).unwrap();
            assert!(room.copy_and_crc(threads).unwrap() > 0.0);
            assert!(room.map.iter().all(|&byte| byte == 5), "{threads} threads");
        }
    }

    #[test]
    fn a_bare_log_takes_every_frame() {
        let mut room = Room::new(100, 24).unwrap();
        assert!(room.bare_log() > 0.0);
        assert!(room.map.iter().all(|&byte| byte == 5));
    }

    #[test]
    fn writes_stay_inside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("floor");
        let file = WrittenFile::new(&path, 10_000).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 12_288);
        let (rate, latency) = file.synced_writes(7, 4096, 2).unwrap();
        assert!(rate > 0.0);
        assert_eq!(latency.count, 8);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 12_288);
        assert!(file.sequential().unwrap() > 0.0);
        drop(file);
        assert!(!path.exists());
    }
}
