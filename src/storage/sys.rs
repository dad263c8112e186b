//! What operating systems do differently: allocating blocks, syncing, boot ids, punching holes.
//!
//! [`Sys::native`] uses what the system at hand offers; [`Sys::PORTABLE`] only what the standard
//! library has everywhere. The tests run both, so that the fallback cannot rot.

use std::fs::{File, OpenOptions};
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::io::{self, Seek, Write};
use std::path::Path;

use memmap2::MmapRaw;

/// How often a `fallocate` that a signal has interrupted is begun again, before zeros are written instead: some
/// file systems give all back that they had allocated by then.
#[cfg(target_os = "linux")]
const INTERRUPTIONS_MAX: u32 = 8;

/// Which calls to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sys {
    native: bool,
    /// Whether files and folders are synced at all; see [`Sys::without_syncs`].
    syncs: bool,
}

impl Sys {
    /// Only what every system has.
    pub(crate) const PORTABLE: Sys = Sys {
        native: false,
        syncs: true,
    };

    /// What this system offers.
    pub(crate) const fn native() -> Sys {
        if cfg!(target_os = "linux") {
            Sys {
                native: true,
                syncs: true,
            }
        } else {
            Sys::PORTABLE
        }
    }

    /// The same, but every sync says Ok and does nothing: for the control of a power-cut test, which must
    /// find that events are lost. Nothing else may use it.
    pub(crate) const fn without_syncs(self) -> Sys {
        Sys {
            syncs: false,
            ..self
        }
    }

    /// Gives a new, empty file `len` bytes with real blocks behind them.
    pub(crate) fn allocate(self, file: &File, len: usize) -> io::Result<()> {
        check_file_size_limit(len as u64)?;
        #[cfg(target_os = "linux")]
        if self.native {
            use rustix::fs::FallocateFlags;
            for _ in 0..INTERRUPTIONS_MAX {
                match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len as u64) {
                    Ok(()) => return Ok(()),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        write_zeros(file, len, 1 << 20)
    }

    /// Gives a file that holds something real blocks of its own behind all its bytes, where the system can: a
    /// copy may have holes where there were zeros, or share its blocks with what it was copied from.
    pub(crate) fn reserve(self, file: &File) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.native {
            use rustix::fs::{FallocateFlags, fallocate};
            use rustix::io::Errno;
            let found = file.metadata()?;
            let len = found.len();
            if allocated(&found) < len {
                match fallocate(file, FallocateFlags::empty(), 0, len) {
                    Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            // Only file systems that share blocks know this.
            if let Err(Errno::NOSPC) = fallocate(file, FallocateFlags::UNSHARE_RANGE, 0, len) {
                return Err(Errno::NOSPC.into());
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file;
        Ok(())
    }

    /// Makes the bytes and the length of a file durable; `map` may hold stores to it.
    pub(crate) fn sync(self, file: &File, map: &MmapRaw) -> io::Result<()> {
        if !self.syncs {
            return Ok(());
        }
        if !self.native {
            map.flush()?;
        }
        file.sync_data()
    }

    /// Makes a small file durable.
    pub(crate) fn sync_file(self, file: &File) -> io::Result<()> {
        if self.syncs { file.sync_all() } else { Ok(()) }
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_dir(self, dir: Option<&File>) -> io::Result<()> {
        if self.syncs { sync_dir(dir) } else { Ok(()) }
    }

    /// Has the system begin to write a range of a file, if it can be asked to.
    pub(crate) fn begin_write_back(self, file: &File, offset: usize, len: usize) {
        #[cfg(target_os = "linux")]
        if self.native {
            // Linux begins to write what is dirty, and drops what is clean and not mapped: so only for
            // ranges that were just written. It is the one such call that needs no unsafe code; what goes
            // wrong is told by the sync.
            let advice = rustix::fs::Advice::DontNeed;
            let len = std::num::NonZeroU64::new(len as u64);
            let _ = rustix::fs::fadvise(file, offset as u64, len, advice);
        }
        let _ = (file, offset, len);
    }

    /// Writes bytes into a file that is mapped, where the system keeps map and file in one cache;
    /// `false`, with nothing written, where it may not.
    pub(crate) fn write_through(self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        if self.native {
            use std::os::unix::fs::FileExt;
            // The limit may have been lowered since the file was made; a store is not subject to it.
            let end = offset.saturating_add(bytes.len() as u64);
            if check_file_size_limit(end).is_err() {
                return Ok(false);
            }
            return file.write_all_at(bytes, offset).map(|()| true);
        }
        let _ = (file, offset, bytes);
        Ok(false)
    }

    /// Writes bytes that the file's map holds already, and makes these durable: Linux then syncs their
    /// range and no other. `false` where the system or the file system cannot.
    pub(crate) fn write_synced(self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        if self.native {
            use rustix::io::{Errno, ReadWriteFlags, pwritev2};
            let end = offset.saturating_add(bytes.len() as u64);
            if check_file_size_limit(end).is_err() {
                return Ok(false);
            }
            let how = if self.syncs {
                ReadWriteFlags::DSYNC
            } else {
                ReadWriteFlags::empty()
            };
            let written = pwritev2(file, &[IoSlice::new(bytes)], offset, how);
            return match written {
                Ok(count) => Ok(count == bytes.len()),
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(false),
                Err(errno) => Err(errno.into()),
            };
        }
        let _ = (file, offset, bytes);
        Ok(false)
    }

    /// The boot of the operating system; 0 where it cannot be told.
    pub(crate) fn boot_id(self) -> u128 {
        if !self.native {
            return 0;
        }
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        uuid::Uuid::parse_str(text.trim()).map_or(0, |id| id.as_u128())
    }

    /// Gives blocks back; does nothing where the system cannot.
    pub(crate) fn punch_hole(self, file: &File, offset: usize, len: usize) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.native {
            use rustix::fs::FallocateFlags;
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            return match rustix::fs::fallocate(file, flags, offset as u64, len as u64) {
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
                Err(errno) => Err(errno.into()),
            };
        }
        let _ = (file, offset, len);
        Ok(())
    }
}

/// How many bytes of blocks a file has: its length, where the system does not tell.
pub(crate) fn allocated(found: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // In units of 512 bytes, whatever the blocks of the file system are.
        found.blocks().saturating_mul(512)
    }
    #[cfg(not(unix))]
    found.len()
}

/// A folder, held open so that a later sync of its names needs no descriptor; `None` where there is
/// no such call: Windows' NTFS journals names on its own.
pub(crate) fn open_dir(path: &Path) -> io::Result<Option<File>> {
    if cfg!(windows) {
        Ok(None)
    } else {
        File::open(path).map(Some)
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: Option<&File>) -> io::Result<()> {
    dir.map_or(Ok(()), File::sync_all)
}

/// Whether the process may write files of this length. Unix answers a file beyond the limit with
/// SIGXFSZ, which ends a process that does not ignore it; an error is wanted instead.
fn check_file_size_limit(len: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        if getrlimit(Resource::Fsize)
            .current
            .is_some_and(|max| len > max)
        {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the process's limit on file sizes (ulimit -f) is lower",
            ));
        }
    }
    let _ = len;
    Ok(())
}

/// Options that never follow a symbolic link in the last part of a path, nor wait for a pipe.
pub(crate) fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Opens a file to be read past the page cache.
pub(crate) fn open_direct(path: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECT;
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(flags.bits().cast_signed());
        options.open(path)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Reads at an offset without moving the file's own position; returns how much was read.
pub(crate) fn read_some_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_at(file, out, offset)
    }
    #[cfg(windows)]
    {
        std::os::windows::fs::FileExt::seek_read(file, out, offset)
    }
}

/// Reads at an offset without moving the file's own position; fills `out` or fails.
pub(crate) fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let mut done = 0;
        while done < out.len() {
            match file.seek_read(&mut out[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn write_zeros(mut file: &File, len: usize, piece_len: usize) -> io::Result<()> {
    file.rewind()?;
    let zeros = vec![0_u8; piece_len.min(len)];
    let mut left = len;
    while left > 0 {
        let piece = &zeros[..left.min(zeros.len())];
        file.write_all(piece)?;
        left -= piece.len();
    }
    Ok(())
}
