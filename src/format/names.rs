//! All names of files and folders in a Forelog directory: built and parsed here, and nowhere else.
//!
//! ```text
//! DIR/LOCK                          held by the one writer; contains its process id
//! DIR/log/000000000001-000.seg      segments: id, generation
//! DIR/log/000000000001-001.seg.tmp  a segment that recovery is building; renamed when complete
//! DIR/log/000000000001-001.seg.packs.tmp  its compressed frames, until they are all there
//! DIR/log/000000000001-000.seg.again.tmp  the file of a removed segment, until it is the next one's
//! DIR/log/aside/                    torn tails that recovery set aside
//! DIR/log/poisoned                  a sync failed in this boot: recovery must not trust the cache
//! DIR/control/…                     the control log, laid out like log/
//! DIR/control/salvaged              what was readable of a damaged control log, until a new one has it
//! DIR/control/NAME.N.damaged        files of a damaged control log, set aside the Nth time
//! DIR/index/                        the lookup index (derived: may be deleted)
//! DIR/snapshots/NAME.1.000…42.snapshot  state of a projection: version, position
//! DIR/snapshots/….snapshot.damaged  a snapshot that was set aside; ….N.damaged: the Nth of its name
//! DIR/PARTITIONS, DIR/partition-000/  in place of all these: the layout, and such a directory each
//! DIR/schedule/ID.scheduled         an event to be emitted later; ….damaged: set aside
//! DIR/aside/                        damaged derived files that were set aside
//! DIR/aside/repair-1/               what the first repair replaced, and its plan.json
//! DIR/log.salvaging/                a log that a salvage is building here
//! ```

use std::fmt::Write;

use crate::event::EventId;
use crate::position::{SegmentId, Seq};

/// The lock file.
pub(crate) const LOCK: &str = "LOCK";
/// The folder of the main log.
pub(crate) const LOG: &str = "log";
/// The folder of the control log.
pub(crate) const CONTROL: &str = "control";
/// The folder of the lookup index.
pub(crate) const INDEX: &str = "index";
/// The folder of the projections' snapshots.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// The folder of events that are to be emitted later; made when there is one.
pub(crate) const SCHEDULE: &str = "schedule";
/// The folder of what was set aside.
pub(crate) const ASIDE: &str = "aside";
/// What was read out of a damaged control log.
pub(crate) const SALVAGED: &str = "salvaged";
/// In the index's folder: which log it belongs to.
pub(crate) const INDEX_META: &str = "META";
/// In the index's folder: the folder of the store.
pub(crate) const INDEX_STORE: &str = "sled";
/// The folder of the index's runs of ids, in its folder.
pub(crate) const INDEX_IDS: &str = "ids";
/// In a directory of partitions: how they are laid out.
pub(crate) const PARTITIONS: &str = "PARTITIONS";
/// Left behind by a failed sync.
pub(crate) const POISONED: &str = "poisoned";

const PARTITION_PREFIX: &str = "partition-";
const SEGMENT_SUFFIX: &str = ".seg";
const SNAPSHOT_SUFFIX: &str = ".snapshot";
const SCHEDULED_SUFFIX: &str = ".scheduled";
const DAMAGED_SUFFIX: &str = ".damaged";
const INDEX_BAD_PREFIX: &str = "index.bad-";
const TMP_SUFFIX: &str = ".tmp";

/// Whether a file or folder of this name may stand in a Forelog directory.
pub(crate) fn is_top_level(name: &str) -> bool {
    [LOCK, LOG, CONTROL, INDEX, SNAPSHOTS, SCHEDULE, ASIDE].contains(&name)
        || name
            .strip_prefix(INDEX)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// The folder of a partition, counted from 0.
pub(crate) fn partition(number: usize) -> String {
    format!("{PARTITION_PREFIX}{number:03}")
}

/// Whether a name was made by [`partition`].
pub(crate) fn is_partition(name: &str) -> bool {
    let number = name.strip_prefix(PARTITION_PREFIX);
    let number = number.and_then(|number| number.parse().ok());
    number.is_some_and(|number| partition(number) == name)
}

/// What to name in place of a directory of partitions, if these files and folders are of one.
pub(crate) fn instead_of_partitioned<'a>(all: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut is_partitioned = false;
    let partitions = all.filter(|&name| {
        is_partitioned |= name == PARTITIONS;
        is_partition(name)
    });
    let count = partitions.count();
    is_partitioned.then(|| {
        let (first, last) = (partition(0), partition(count.saturating_sub(1)));
        format!(
            "a partitioned directory, of which each partition has a log of its own: name one of \
             {first} to {last} in it"
        )
    })
}

/// The name of a segment file.
pub(crate) fn segment(id: SegmentId, generation: u32) -> String {
    format!("{:012}-{generation:03}{SEGMENT_SUFFIX}", id.0)
}

/// Id and generation of a segment file's name; `None` if it is no such name.
pub(crate) fn parse_segment(name: &str) -> Option<(SegmentId, u32)> {
    let (id, generation) = name.strip_suffix(SEGMENT_SUFFIX)?.split_once('-')?;
    let parsed = (SegmentId(id.parse().ok()?), generation.parse().ok()?);
    (segment(parsed.0, parsed.1) == name).then_some(parsed)
}

/// Whether a name was meant for a segment file, although it may not be one that [`segment`] makes.
pub(crate) fn is_segment_like(name: &str) -> bool {
    name.ends_with(SEGMENT_SUFFIX)
}

/// The name of a run of ids: of the windows from `first` up to before `end`.
pub(crate) fn index_ids(first: u64, end: u64) -> String {
    format!("{first:012}-{end:012}.ids")
}

/// The name under which the packs of a segment are built that is to be compressed.
pub(crate) fn packs_tmp(segment: &str) -> String {
    tmp(&format!("{segment}.packs"))
}

/// The name of a removed segment's file while it is kept to become another segment's.
pub(crate) fn again_tmp(segment: &str) -> String {
    tmp(&format!("{segment}.again"))
}

/// The name under which a file is built before it is renamed to `name`.
pub(crate) fn tmp(name: &str) -> String {
    format!("{name}{TMP_SUFFIX}")
}

/// The name for which [`tmp`] made this one.
pub(crate) fn parse_tmp(name: &str) -> Option<&str> {
    name.strip_suffix(TMP_SUFFIX)
}

/// Whether a name was made by [`tmp`].
pub(crate) fn is_tmp(name: &str) -> bool {
    name.ends_with(TMP_SUFFIX)
}

/// A projection's name as file names begin with it; any byte but letters, digits, `-` and `_` is
/// written as `%XX`, so that every projection's name is a file's name and no two share one.
fn plain(projection: &str) -> String {
    let mut name = String::with_capacity(projection.len());
    for byte in projection.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// The name of a snapshot of this version of a projection, at this position.
pub(crate) fn snapshot(projection: &str, version: u64, position: Seq) -> String {
    let projection = plain(projection);
    format!("{projection}.{version}.{:020}{SNAPSHOT_SUFFIX}", position.0)
}

/// The version and position in a name made by [`snapshot`] for this projection.
pub(crate) fn parse_snapshot(projection: &str, name: &str) -> Option<(u64, Seq)> {
    let rest = name.strip_prefix(&plain(projection))?.strip_prefix('.')?;
    let (version, position) = rest.strip_suffix(SNAPSHOT_SUFFIX)?.split_once('.')?;
    let (version, position) = (version.parse().ok()?, Seq(position.parse().ok()?));
    (snapshot(projection, version, position) == name).then_some((version, position))
}

/// Projection, version and position in a name made by [`snapshot`].
pub(crate) fn parse_any_snapshot(name: &str) -> Option<(String, u64, Seq)> {
    let rest = name.strip_suffix(SNAPSHOT_SUFFIX)?;
    let (projection, _) = rest.rsplit_once('.')?.0.rsplit_once('.')?;
    let mut bytes = Vec::with_capacity(projection.len());
    let mut left = projection.as_bytes();
    while let Some((&byte, after)) = left.split_first() {
        let (byte, after) = match byte {
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, after.get(2..)?)
            }
            _ => (byte, after),
        };
        bytes.push(byte);
        left = after;
    }
    let projection = String::from_utf8(bytes).ok()?;
    let (version, position) = parse_snapshot(&projection, name)?;
    Some((projection, version, position))
}

/// The name of the folder of what the `nth` repair set aside.
pub(crate) fn repair(nth: u32) -> String {
    format!("repair-{nth}")
}

/// The folder in which a salvaged log is built before it is renamed to [`LOG`].
pub(crate) const SALVAGING: &str = "log.salvaging";
/// In the folder of what a repair set aside: what was planned.
pub(crate) const REPAIR_PLAN: &str = "plan.json";

/// The name of the file of an event that is to be emitted later.
pub(crate) fn scheduled(id: EventId) -> String {
    format!("{id}{SCHEDULED_SUFFIX}")
}

/// Whether a name was meant for the file of a scheduled event.
pub(crate) fn is_scheduled(name: &str) -> bool {
    name.ends_with(SCHEDULED_SUFFIX)
}

/// The name under which a damaged file is set aside in its own folder.
pub(crate) fn damaged(name: &str) -> String {
    format!("{name}{DAMAGED_SUFFIX}")
}

/// The name of what was set aside under a name made by [`damaged`] or [`damaged_again`].
pub(crate) fn parse_damaged(name: &str) -> Option<&str> {
    let name = name.strip_suffix(DAMAGED_SUFFIX)?;
    let is_count = |nth: &str| !nth.is_empty() && nth.bytes().all(|byte| byte.is_ascii_digit());
    let again = name.rsplit_once('.').filter(|(_, nth)| is_count(nth));
    Some(again.map_or(name, |(name, _)| name))
}

/// The name under which a damaged file is set aside for the `nth` time.
pub(crate) fn damaged_again(name: &str, nth: u32) -> String {
    format!("{name}.{nth}{DAMAGED_SUFFIX}")
}

/// Whether a name was made by [`damaged`] or [`damaged_again`].
pub(crate) fn is_damaged(name: &str) -> bool {
    name.ends_with(DAMAGED_SUFFIX)
}

/// The name under which an index that failed is set aside.
pub(crate) fn index_bad(number: u64) -> String {
    format!("{INDEX_BAD_PREFIX}{number}")
}

/// The number in a name made by [`index_bad`].
pub(crate) fn parse_index_bad(name: &str) -> Option<u64> {
    name.strip_prefix(INDEX_BAD_PREFIX)?.parse().ok()
}

/// The name under which recovery sets aside the bytes of a segment from `offset` on.
pub(crate) fn torn_tail(segment_name: &str, offset: usize) -> String {
    format!("{segment_name}.{offset}.torn")
}
