//! Batches that wait for their own sync, in a log that goes on: beside raw calls that keep what they write
//! as well.
//!
//! A batch beside raw calls on blocks that were written before shows what the engine adds to it. A log that
//! keeps its events has to have such blocks made for it all the time, by the same disk; so here both go through
//! several files, and of both a second thread writes the next file's blocks meanwhile.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use forelog::{Durability, Error, Result};

use crate::bench::Bench;
use crate::floor::write_at;
use crate::num::{float, index, rate};
use crate::row::Row;

/// The length of a file, as long as the engine's segments are.
const FILE_LEN: u64 = 32 << 20;
/// How many files' worth of bytes a run writes.
const FILES: u64 = 6;
const FILE_LEN_SHORT: u64 = 1 << 20;
/// After which part of a file the next one is made.
const ASK_AFTER: u64 = 4;
/// How much is written ahead at a time, and between two syncs.
const PIECE: u64 = 64 << 10;
const PIECES_A_SYNC: u64 = 64;

/// `emit_batch` in one thread, through several segments; the first of them, which no other had been written
/// ahead of, is full before the clock starts.
pub(crate) fn batches(bench: &Bench, batch: u64) -> Result<Row> {
    let len = bench.frame_len()? * batch;
    let usual = if bench.options.short {
        FILE_LEN_SHORT
    } else {
        FILE_LEN
    };
    // A batch takes half a segment at most.
    let file_len = usual.max(4 * len);
    let asked = bench.options.events.unwrap_or_default().div_ceil(batch);
    let batches = asked.max((FILES * file_len).div_ceil(len));
    let ready = vec![bench.event()?; index(batch)];
    let what = format!("emit_batch of {batch}, sync, 1 thread, through several segments");
    let pair = bench.pairs(
        &what,
        || {
            let builder = bench.builder("kept", Durability::Sync);
            let system = builder.segment_size(index(file_len)).open()?;
            while system.stats().segments < 2 {
                system.emit_batch(&ready)?;
            }
            let started = Instant::now();
            for _ in 0..batches {
                system.emit_batch(&ready)?;
            }
            let per_second = rate(batches * batch, started.elapsed());
            system.close()?;
            bench.clear("kept")?;
            Ok(per_second)
        },
        || {
            let files = Files::new(bench.path("files"), file_len)?;
            let writes = files.synced_writes(batches, len)?;
            bench.clear("files")?;
            Ok(writes * float(batch))
        },
    )?;
    Ok(Row::new(format!("batch_{batch}_kept"), what, "events/s")
        .rates(
            pair,
            "one pwrite of as many bytes and fdatasync; a second thread writes the blocks of the next file, \
             and all files are kept",
        )
        .events(batches * batch)
        .threads(1))
}

/// Files that are filled one after the other and kept.
struct Files {
    folder: PathBuf,
    len: u64,
}

impl Files {
    fn new(folder: PathBuf, len: u64) -> Result<Files> {
        std::fs::create_dir(&folder)
            .map_err(|source| Error::io("make a folder", &folder, source))?;
        Ok(Files { folder, len })
    }

    /// Writes and syncs `len` bytes so many times once the first file is full; writes a second.
    fn synced_writes(&self, writes: u64, len: u64) -> Result<f64> {
        let bytes = vec![7; index(len)];
        let (ask, asked) = sync_channel(1);
        let (hand_over, made) = sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0_u64.. {
                    let file = self.make(number);
                    if hand_over.send(file).is_err() || asked.recv().is_err() {
                        return;
                    }
                }
            });
            let mut file = next(&made)?;
            let (mut at, mut is_asked) = (0, false);
            let in_first = self.len / len;
            let mut started = Instant::now();
            for number in 0..in_first + writes {
                if number == in_first {
                    started = Instant::now();
                }
                if at + len > self.len {
                    file = next(&made)?;
                    (at, is_asked) = (0, false);
                }
                self.write(&file, &bytes, at)?;
                self.sync(&file)?;
                at += len;
                if !is_asked && at >= self.len / ASK_AFTER {
                    is_asked = ask.send(()).is_ok();
                }
            }
            let took = started.elapsed();
            drop((ask, made));
            Ok(rate(writes, took))
        })
    }

    /// A file whose blocks are written.
    fn make(&self, number: u64) -> Result<File> {
        let path = self.folder.join(number.to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|source| Error::io("make a file", &path, source))?;
        let zeros = vec![0; index(PIECE)];
        for piece in 0..self.len.div_ceil(PIECE) {
            self.write(&file, &zeros, piece * PIECE)?;
            if piece % PIECES_A_SYNC == PIECES_A_SYNC - 1 {
                self.sync(&file)?;
            }
        }
        self.sync(&file)?;
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8], at: u64) -> Result<()> {
        write_at(file, bytes, at).map_err(|source| Error::io("write", self.path(), source))
    }

    fn sync(&self, file: &File) -> Result<()> {
        let synced = file.sync_data();
        synced.map_err(|source| Error::io("sync", self.path(), source))
    }

    fn path(&self) -> &Path {
        &self.folder
    }
}

/// The next file, once it is there.
fn next(made: &Receiver<Result<File>>) -> Result<File> {
    made.recv().unwrap_or_else(|_| {
        let ended = std::io::Error::other("the thread that makes files has ended");
        Err(Error::io("make a file", "(no file)", ended))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_written_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("files");
        let files = Files::new(folder.clone(), 10_000).unwrap();
        assert!(files.synced_writes(5, 4_000).unwrap() > 0.0);
        let mut sevens = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            sevens += bytes
                .split(|&byte| byte != 7)
                .map(<[u8]>::len)
                .sum::<usize>();
        }
        assert_eq!(sevens, 7 * 4_000);
    }
}
