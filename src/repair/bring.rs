//! Segments that are in order, copied as they are, several at once: while one thread waits for its disk, or has
//! fresh memory made for what it writes, another goes on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::storage::Storage;
use crate::storage::whole::{Brought, copy_readable};

/// How many segments are copied at once; with more the disk is what is waited for.
const THREADS_MAX: usize = 4;

/// Copies these files from one folder to another, their bytes durable on return, their names once the folder
/// is synced. `told` hears of each that is done: its place in the list, and what was copied.
///
/// # Errors
/// The first thing that cannot be read or written, or that of `told`; what was begun then stays.
pub(super) fn bring_all(
    from: &dyn Storage,
    to: &dyn Storage,
    files: &[&str],
    told: &mut dyn FnMut(usize, &Brought) -> Result<()>,
) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS_MAX).min(files.len());
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut outcome = Ok(());
    let mut done = 0;
    thread::scope(|scope| {
        let (tells, hears) = channel();
        for _ in 0..threads {
            let (tells, next, is_over) = (tells.clone(), &next, &is_over);
            scope.spawn(move || bring_some(from, to, files, next, is_over, &tells));
        }
        drop(tells);
        for (place, brought) in hears {
            done += 1;
            let taken = brought.and_then(|copied| told(place, &copied));
            if outcome.is_ok() && taken.is_err() {
                outcome = taken;
                is_over.store(true, Ordering::Relaxed);
            }
        }
    });
    if outcome.is_ok() && done < files.len() {
        return Err(Error::new(
            ErrorKind::Io,
            "a thread that copies segments has ended",
        ));
    }
    outcome
}

/// Copies one file after the other that no other thread has taken.
fn bring_some(
    from: &dyn Storage,
    to: &dyn Storage,
    files: &[&str],
    next: &AtomicUsize,
    is_over: &AtomicBool,
    tells: &Sender<(usize, Result<Brought>)>,
) {
    while !is_over.load(Ordering::Relaxed) {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(name) = files.get(place) else {
            return;
        };
        if tells.send((place, bring(from, to, name))).is_err() {
            return;
        }
    }
}

fn bring(from: &dyn Storage, to: &dyn Storage, name: &str) -> Result<Brought> {
    let tmp = names::tmp(name);
    let copied = copy_readable(&from.path(name), &to.path(&tmp))?;
    to.rename(&tmp, name)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::file::FileStorage;
    use crate::storage::sys::Sys;

    #[test]
    fn all_files_are_copied_and_the_first_error_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name| FileStorage::create(&dir.path().join(name), Sys::native()).unwrap();
        let (from, to) = (folder("from"), folder("to"));
        let names: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
        for name in &names {
            fs::write(from.path(name), name.repeat(100)).unwrap();
        }
        let files: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut lengths = vec![0; files.len()];
        bring_all(&from, &to, &files, &mut |place, copied| {
            lengths[place] += copied.len;
            Ok(())
        })
        .unwrap();
        assert_eq!(lengths, vec![200; 20]);
        for name in &names {
            assert_eq!(fs::read_to_string(to.path(name)).unwrap(), name.repeat(100));
        }
        let stopped = bring_all(&from, &folder("other"), &files, &mut |_, _| {
            Err(Error::new(ErrorKind::Closed, "enough"))
        });
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Closed);
        let missing = bring_all(&from, &folder("third"), &["none"], &mut |_, _| Ok(()));
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
        bring_all(&from, &to, &[], &mut |_, _| Ok(())).unwrap();
    }
}
