//! How the halves open a directory.

use std::path::Path;

use forelog::inspect::Inspector;
use forelog::{Error, ErrorKind, EventSystem, Result};
use forelog_dump::{KeyArgs, Told};

const SEGMENT_LEN: usize = 64 << 20;
const SEGMENT_LEN_MIN: usize = 64 << 10;
const UNSAFE: &str = "--unsafe-no-sync: nothing is synced, so a power cut loses what is acknowledged \
                      here. This is the control that must fail; never use the directory for anything else";

/// The length of new segments: as asked, or that of the ones that are there.
pub(crate) fn segment_len(dir: &Path, asked: Option<usize>) -> usize {
    let there = || {
        let segments = Inspector::open(dir).and_then(|inspector| inspector.segments());
        let mut newest = segments.into_iter().flatten().rev();
        let len = newest.find_map(|one| one.header)?.segment_len;
        // One that recovery has made may be smaller than any that is asked for.
        usize::try_from(len)
            .ok()
            .map(|len| len.max(SEGMENT_LEN_MIN))
    };
    asked.or_else(there).unwrap_or(SEGMENT_LEN)
}

/// Why no log is there, if there is none. Such a directory is not opened, which would make one: perhaps it is
/// another one, or its disk is not mounted.
///
/// # Errors
/// If that cannot be told.
pub(crate) fn absent(dir: &Path) -> Result<Option<Error>> {
    match Inspector::open(dir) {
        Ok(_) => Ok(None),
        Err(error) if is_absence(&error) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ForeignDirectory
    )
}

/// Opens a directory, with its key if it has one, or for the control without syncs.
pub(crate) fn system(
    dir: &Path,
    segment_len: usize,
    no_sync: bool,
    key: &KeyArgs,
    told: &mut Told<'_>,
) -> Result<EventSystem> {
    let builder = EventSystem::builder()
        .persistence_path(dir)
        .segment_size(segment_len);
    let builder = match key.key()? {
        Some(key) => builder.encryption_key(key),
        None => builder,
    };
    if no_sync {
        told.note(UNSAFE);
        return forelog::testing::open_without_syncs(builder);
    }
    builder.open()
}
