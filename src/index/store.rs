//! [`Store`]: a sorted map on disk that may fail, lie or forget. The only file that names sled.
//!
//! ```text
//! DIR/index/META   schema and log id, with a checksum of its own; written before sled's files
//! DIR/index/sled/  sled's files
//! DIR/aside/index.bad-N/  what was set aside; the two newest are kept
//! ```
//! sled is never trusted. A call that returns an error or panics gives an [`Index`](ErrorKind::Index)
//! error here, and the caller gives the store up; what sled silently forgot is found by the checks
//! of [`catalog`](super::catalog) and [`lookup`](super::lookup).

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::IndexConfig;
use super::keys::{SCHEMA, seal, unseal};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::storage::plain::check_plain;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// A sorted map from bytes to bytes. Any error ends its use.
pub(super) trait Store: Debug + Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The pairs with `from <= key < to` in order, until `visit` says that it has enough.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()>;
    /// The last pair with `from <= key < to`.
    fn last_in(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>>;
    /// The last pair with `from <= key < to` among those that are at hand: for whoever can tell by the
    /// pair whether it is the one that [`Store::last_in`] would find.
    fn last_at_hand(&self, _from: &[u8], _to: &[u8]) -> Option<Pair> {
        None
    }
    /// Puts and removes as one atomic step.
    fn apply(&self, puts: &[Pair], removals: &[Vec<u8>]) -> Result<()>;
    /// Hands everything to the operating system.
    fn flush(&self) -> Result<()>;
    /// Its size in bytes.
    #[cfg(test)]
    fn size(&self) -> Result<u64>;
}

/// The first pair with `from <= key < to`.
pub(super) fn first_in(store: &dyn Store, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
    let mut found = None;
    store.scan(from, to, &mut |key, value| {
        found = Some((key.to_vec(), value.to_vec()));
        false
    })?;
    Ok(found)
}

/// How long a lock that a closed sled has not yet given up is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// How many folders that were set aside are kept.
const ASIDE_MAX: usize = 2;

/// A store in sled's files.
#[derive(Debug)]
struct SledStore {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
}

impl SledStore {
    fn open(folder: &Path, cache_bytes: u64) -> Result<SledStore> {
        let deadline = Instant::now() + LOCK_WAIT;
        let mut pause = Duration::from_millis(2);
        loop {
            let opened = sled::Config::new()
                .path(folder)
                .flush_every_ms(None)
                .cache_capacity(cache_bytes)
                .open();
            match opened {
                Ok(db) => return Ok(SledStore { db: Some(db) }),
                // The kind does not tell this error from others, so its text has to.
                Err(error)
                    if error.to_string().contains("could not acquire lock")
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(error) => return Err(failed("open", &error)),
            }
        }
    }

    /// Runs a call of sled, whose panic is an error like any other.
    fn call<T>(&self, what: &str, run: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T> {
        let Some(db) = &self.db else {
            return Err(Error::new(ErrorKind::Index, "the index store is closed"));
        };
        guarded(what, || run(db).map_err(|error| failed(what, &error)))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let db = self.db.take();
        // A panic of a store that is given up anyway tells nothing.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.call("read", |db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.call("read", |db| {
            for pair in db.range(from..to) {
                let (key, value) = pair?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn last_in(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.call("read", |db| {
            let last = db.get_lt(to)?.filter(|(key, _)| **key >= *from);
            Ok(last.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    fn apply(&self, puts: &[Pair], removals: &[Vec<u8>]) -> Result<()> {
        self.call("write", |db| {
            let mut batch = sled::Batch::default();
            for (key, value) in puts {
                batch.insert(key.as_slice(), value.as_slice());
            }
            for key in removals {
                batch.remove(key.as_slice());
            }
            db.apply_batch(batch)
        })
    }

    fn flush(&self) -> Result<()> {
        self.call("flush", |db| db.flush().map(drop))
    }

    #[cfg(test)]
    fn size(&self) -> Result<u64> {
        self.call("size", sled::Db::size_on_disk)
    }
}

fn failed(what: &str, source: &sled::Error) -> Error {
    let message = format!("the index store cannot {what}: {source}; it is rebuilt from the log");
    Error::new(ErrorKind::Index, message).caused_by(source.clone())
}

/// What a call comes to whose panic is an error like any other.
pub(super) fn guarded<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let message = format!("the index store panicked at {what}; it is rebuilt from the log");
        Err(Error::new(ErrorKind::Index, message))
    })
}

/// Opens the store of this log in a folder, made if there is none, and looks into it with `probe`,
/// all of it on a thread of its own, which is left to itself if it takes too long.
///
/// # Errors
/// [`Index`](ErrorKind::Index) or an operating-system error: set the folder aside and try again.
pub(super) fn open<T: Send + 'static>(
    folder: &Path,
    log_id: u128,
    config: &IndexConfig,
    probe: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
) -> Result<(Arc<dyn Store>, T)> {
    claim(folder, log_id)?;
    open_unclaimed(folder, config, probe)
}

/// Like [`open`], for a folder whose `META` the caller has checked.
pub(super) fn open_unclaimed<T: Send + 'static>(
    folder: &Path,
    config: &IndexConfig,
    probe: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
) -> Result<(Arc<dyn Store>, T)> {
    check_plain(folder)?;
    let (sender, receiver) = mpsc::channel();
    let (path, cache_bytes) = (folder.join(names::INDEX_STORE), config.cache_bytes());
    let run = move || {
        let opened = guarded("open", || {
            let store: Arc<dyn Store> = Arc::new(SledStore::open(&path, cache_bytes)?);
            let probed = probe(store.as_ref())?;
            Ok((store, probed))
        });
        // Nobody waits any more if the deadline has passed.
        let _ = sender.send(opened);
    };
    std::thread::Builder::new()
        .name("forelog-index-open".to_owned())
        .spawn(run)
        .map_err(|error| Error::io("start a thread to open the index", folder, error))?;
    let opened = receiver.recv_timeout(config.open_deadline);
    let opened = opened.unwrap_or_else(|_| {
        let message = format!(
            "the index store did not open within {:?}; it is rebuilt from the log",
            config.open_deadline
        );
        Err(Error::new(ErrorKind::Index, message))
    });
    opened.map_err(|error| error.at_path(folder))
}

/// The bytes of a `META` file.
fn meta(log_id: u128) -> Vec<u8> {
    let mut body = SCHEMA.to_le_bytes().to_vec();
    body.extend(log_id.to_le_bytes());
    seal(names::INDEX_META.as_bytes(), &[], &body)
}

/// Checks that a folder was made by this schema for this log, or makes it.
fn claim(folder: &Path, log_id: u128) -> Result<()> {
    let failed = |error| Error::io("prepare the index folder", folder, error);
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if fs::symlink_metadata(folder).is_ok() && !is_empty() {
        return check_meta(folder, log_id);
    }
    fs::create_dir_all(folder).map_err(failed)?;
    let tmp = folder.join(names::tmp(names::INDEX_META));
    let mut file = File::create(&tmp).map_err(failed)?;
    file.write_all(&meta(log_id)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&tmp, folder.join(names::INDEX_META)).map_err(failed)?;
    sync_folder(folder).map_err(failed)
}

/// Checks that a folder was made by this schema for this log.
///
/// # Errors
/// [`Index`](ErrorKind::Index) if not.
pub(super) fn check_meta(folder: &Path, log_id: u128) -> Result<()> {
    let path = folder.join(names::INDEX_META);
    // A pipe would be waited on for ever.
    let read = path.is_file().then(|| fs::read(&path).ok());
    let found = read.flatten().unwrap_or_default();
    if found == meta(log_id) {
        return Ok(());
    }
    let whole = unseal(names::INDEX_META.as_bytes(), &[], &found).is_some();
    let message = if whole {
        "the index belongs to another log or another version; it is rebuilt from the log"
    } else {
        "the index has no readable META file; it is rebuilt from the log"
    };
    Err(Error::new(ErrorKind::Index, message).at_path(folder))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(windows) {
        Ok(())
    } else {
        File::open(folder)?.sync_all()
    }
}

/// Moves a folder out of the way; the oldest of those that were moved before go.
pub(super) fn set_aside(folder: &Path) -> Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    let aside = folder.parent().unwrap_or(folder).join(names::ASIDE);
    let failed = |error| Error::io("set the index aside", folder, error);
    fs::create_dir_all(&aside).map_err(failed)?;
    let mut numbers = aside_numbers(&aside).map_err(failed)?;
    let number = numbers.last().map_or(1, |last| last + 1);
    fs::rename(folder, aside.join(names::index_bad(number))).map_err(failed)?;
    numbers.push(number);
    let surplus = numbers.len().saturating_sub(ASIDE_MAX);
    for number in numbers.into_iter().take(surplus) {
        fs::remove_dir_all(aside.join(names::index_bad(number))).map_err(failed)?;
    }
    Ok(())
}

fn aside_numbers(aside: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(aside)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(names::parse_index_bad));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
