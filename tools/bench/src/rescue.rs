//! The floor of an opening after a kill: what was not known to be on the disk is read from the page
//! cache, its checksums are taken, and it is written once more and synced.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Instant;

use forelog::{Error, Result};

use crate::num::index;

/// How much is read and written with one call.
const PIECE: usize = 256 << 10;

/// Milliseconds to rescue `frames` frames, from one file in the page cache into another whose blocks
/// were all written before.
pub(crate) fn rescue(folder: &Path, frames: u64, frame_len: u64) -> Result<f64> {
    let (from, to) = (folder.join("rescue-from"), folder.join("rescue-to"));
    let failed = |source| Error::io("rescue bytes", folder, source);
    let frame_len = index(frame_len).max(1);
    let len = index(frames).saturating_mul(frame_len);
    let mut source = filled(&from, len).map_err(failed)?;
    let mut target = filled(&to, len).map_err(failed)?;
    target.sync_all().map_err(failed)?;
    let millis = copied(&mut source, &mut target, len, frame_len).map_err(failed)?;
    for path in [from, to] {
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(millis)
}

/// A file of so many bytes, in the page cache, at its start.
fn filled(path: &Path, len: usize) -> std::io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let piece = vec![3; PIECE];
    for at in (0..len).step_by(PIECE) {
        file.write_all(piece.get(..len - at).unwrap_or(&piece))?;
    }
    file.rewind()?;
    Ok(file)
}

fn copied(from: &mut File, to: &mut File, len: usize, frame_len: usize) -> std::io::Result<f64> {
    let mut piece = vec![0; PIECE];
    let started = Instant::now();
    for at in (0..len).step_by(PIECE) {
        let part = PIECE.min(len - at);
        let bytes = piece.get_mut(..part).unwrap_or_default();
        from.read_exact(bytes)?;
        for frame in bytes.chunks(frame_len) {
            black_box(libdeflater::crc32(black_box(frame)));
        }
        to.write_all(bytes)?;
    }
    to.sync_data()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let len = PIECE + 77;
        let mut from = filled(&dir.path().join("from"), len).unwrap();
        let mut to = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(dir.path().join("to"))
            .unwrap();
        assert!(copied(&mut from, &mut to, len, 320).unwrap() > 0.0);
        let read = std::fs::read(dir.path().join("to")).unwrap();
        assert_eq!(read, vec![3; len]);
        assert!(rescue(dir.path(), 10, 320).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
