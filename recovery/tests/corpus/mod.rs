//! Damaged directories, each made in the same way each time: what the tools must cope with.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part; a test that panics has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use forelog::inspect::{Inspector, Selector};
use forelog::{Delivery, Event, EventId, EventSystem, Seq, StateKey, Subscription, Timestamp};

/// How many events a directory has before it is damaged.
pub(crate) const COUNT: u64 = 1500;

/// One way to damage a directory.
pub(crate) struct Harm {
    pub(crate) name: &'static str,
    pub(crate) harm: fn(&Path),
}

pub(crate) fn event(number: u64) -> Event {
    let kind = if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let data = ("some words to fill a frame with", number, [number; 12]);
    Event::new(kind, "test", &data)
        .unwrap()
        .with_id(EventId(u128::from(number)))
        .at(Timestamp(1_000_000 * i64::try_from(number).unwrap()))
        .with_header("trace", number.to_string())
        .with_header("third", (number % 3).to_string())
}

pub(crate) fn open(dir: &Path) -> EventSystem {
    let builder = EventSystem::builder().persistence_path(dir);
    builder.segment_size(64 << 10).open().unwrap()
}

/// A directory with events, a cursor, an index and a snapshot, closed in order.
pub(crate) fn whole(dir: &Path) {
    let system = open(dir);
    let billing = Subscription::named("billing").event_types(["even"]);
    system
        .register_handler(billing, |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    fill(&system);
    system.drain(None).unwrap();
    snapshot(&system);
    system.close().unwrap();
}

fn fill(system: &EventSystem) {
    for number in (1..=COUNT).step_by(3) {
        // Batches: a part of one may be lost.
        let batch: Vec<Event> = (number..number + 3).map(event).collect();
        system.emit_batch(&batch).unwrap();
    }
}

fn snapshot(system: &EventSystem) {
    let add = |count: &mut u64, _: &forelog::EventRef<'_>| {
        *count += 1;
        Ok(())
    };
    let mut count = system.projection("count", 1, 0_u64, add).unwrap();
    count.catch_up().unwrap();
    count.save().unwrap();
}

/// What a killed process leaves: a copy of a directory that is open.
pub(crate) fn killed(dir: &Path) {
    let live = tempfile::tempdir().unwrap();
    let system = open(live.path());
    fill(&system);
    system.flush().unwrap();
    copy(live.path(), dir);
    system.close().unwrap();
}

/// A directory in which only the last event of each kind and source counts, and old segments have no other.
pub(crate) fn compacted(dir: &Path) {
    let system = keeping_last(dir);
    fill(&system);
    wait_for_compaction(&system, COUNT / 4);
    system.close().unwrap();
}

pub(crate) fn keeping_last(dir: &Path) -> EventSystem {
    let builder = EventSystem::builder().persistence_path(dir);
    let builder = builder.keep_last("even", StateKey::Header("third".into()));
    builder.segment_size(64 << 10).open().unwrap()
}

/// A directory whose old segments are compressed.
pub(crate) fn compressed(dir: &Path) {
    let builder = EventSystem::builder().persistence_path(dir).compression(3);
    let system = builder.segment_size(64 << 10).open().unwrap();
    fill(&system);
    let is_packed = || {
        let report = system.store().explain_retention();
        let packed = report.segments.iter().filter(|one| one.saved_bytes > 0);
        packed.count() + 2 >= report.segments.len()
    };
    while !is_packed() {
        std::thread::yield_now();
    }
    system.close().unwrap();
}

/// Returns once so many events were dropped.
pub(crate) fn wait_for_compaction(system: &EventSystem, count: u64) {
    while system.store().explain_retention().dropped < count {
        std::thread::yield_now();
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
}

/// All files below a folder with their bytes, but for the lock.
pub(crate) fn bytes_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_below(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// The events that can be read, by their Seqs.
pub(crate) fn events(path: &Path) -> BTreeMap<Seq, Event> {
    let Ok(inspector) = Inspector::open(path) else {
        return BTreeMap::new();
    };
    let records = inspector.records(Selector::all()).unwrap();
    let read = records.filter_map(|record| {
        let record = record.ok()?;
        Some((record.seq(), record.to_event().ok()?))
    });
    read.collect()
}

pub(crate) fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("log/{id:012}-000.seg"))
}

/// The id of the last segment that holds something.
pub(crate) fn newest(dir: &Path) -> u64 {
    let segments = Inspector::open(dir).unwrap().segments().unwrap();
    let held = segments.iter().filter(|at| at.header.is_some());
    held.map(|at| at.segment.0).max().unwrap()
}

pub(crate) fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Bytes that are the same each time and mean nothing.
fn garbage(bytes: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        *byte = state.to_le_bytes()[7];
    }
}

fn headers(bytes: &mut [u8]) {
    garbage(&mut bytes[..512]);
    garbage(&mut bytes[3584..4096]);
}

fn trailer(bytes: &mut [u8]) {
    let start = bytes.len() - 512;
    garbage(&mut bytes[start..]);
}

fn edit_folder(folder: &Path, change: fn(&mut Vec<u8>)) {
    for path in bytes_below(folder).keys() {
        edit(path, change);
    }
}

/// Where the frames of a sealed segment end.
fn frames_end(dir: &Path, id: u64) -> usize {
    let segments = Inspector::open(dir).unwrap().segments().unwrap();
    let at = segments.iter().find(|at| at.segment.0 == id).unwrap();
    usize::try_from(at.footer.as_ref().unwrap().frames_end).unwrap()
}

fn tail_end(dir: &Path) -> (PathBuf, usize) {
    let raw = Inspector::open(dir).unwrap().raw().unwrap();
    let is_event = |kind: &_| matches!(kind, forelog::inspect::RawKind::Event(_));
    let last = raw.map(Result::unwrap).filter(|it| is_event(&it.kind));
    let last = last.last().unwrap();
    let offset = usize::try_from(last.offset).unwrap();
    (dir.join("log").join(last.file), offset)
}

macro_rules! harms {
    ($($name:ident => $harm:expr),* $(,)?) => {
        vec![$(Harm { name: stringify!($name), harm: $harm }),*]
    };
}

/// What is done to a directory that was closed in order.
pub(crate) fn harms() -> Vec<Harm> {
    let mut all = in_the_middle();
    all.extend(at_the_end());
    all.extend(beside_the_log());
    all
}

fn in_the_middle() -> Vec<Harm> {
    harms! {
        frame_flipped => |dir| edit(&segment(dir, 2), |bytes| bytes[5000] ^= 1),
        frames_flipped => |dir| edit(&segment(dir, 2), |bytes| {
            for at in [5000, 9000, 20_000] {
                bytes[at] ^= 1;
            }
        }),
        first_frame_flipped => |dir| edit(&segment(dir, 3), |bytes| bytes[4100] ^= 1),
        last_frame_flipped => |dir| {
            let end = frames_end(dir, 3);
            edit(&segment(dir, 3), |bytes| bytes[end - 20] ^= 1);
        },
        pages_zeroed => |dir| edit(&segment(dir, 2), |bytes| bytes[12_288..24_576].fill(0)),
        all_frames_garbage => |dir| edit(&segment(dir, 2), |bytes| garbage(&mut bytes[4096..])),
        emptied => |dir| edit(&segment(dir, 2), Vec::clear),
        cut_short => |dir| edit(&segment(dir, 2), |bytes| bytes.truncate(9000)),
        longer => |dir| edit(&segment(dir, 2), |bytes| bytes.extend([7; 5000])),
        zeroed => |dir| edit(&segment(dir, 2), |bytes| bytes.fill(0)),
        garbage_instead => |dir| edit(&segment(dir, 2), |bytes| garbage(bytes)),
        missing => |dir| fs::remove_file(segment(dir, 2)).unwrap(),
        two_missing => |dir| {
            fs::remove_file(segment(dir, 2)).unwrap();
            fs::remove_file(segment(dir, 3)).unwrap();
        },
        first_missing => |dir| fs::remove_file(segment(dir, 1)).unwrap(),
        renamed => |dir| fs::rename(segment(dir, 2), segment(dir, 20)).unwrap(),
        doubled => |dir| {
            fs::copy(segment(dir, 2), segment(dir, 20)).unwrap();
        },
        swapped => |dir| {
            let (a, b) = (fs::read(segment(dir, 2)).unwrap(), fs::read(segment(dir, 3)).unwrap());
            fs::write(segment(dir, 2), b).unwrap();
            fs::write(segment(dir, 3), a).unwrap();
        },
        header_copy_damaged => |dir| edit(&segment(dir, 2), |bytes| bytes[100] ^= 1),
        second_copy_damaged => |dir| edit(&segment(dir, 2), |bytes| bytes[3600] ^= 1),
        header_damaged => |dir| edit(&segment(dir, 2), |bytes| headers(bytes)),
        first_header_damaged => |dir| edit(&segment(dir, 1), |bytes| headers(bytes)),
        trailer_damaged => |dir| edit(&segment(dir, 2), |bytes| trailer(bytes)),
        table_damaged => |dir| {
            let end = frames_end(dir, 2);
            edit(&segment(dir, 2), |bytes| bytes[end + 9] ^= 1);
        },
        header_and_trailer_damaged => |dir| edit(&segment(dir, 2), |bytes| {
            headers(bytes);
            trailer(bytes);
        }),
        trailer_and_next_header_damaged => |dir| {
            edit(&segment(dir, 2), |bytes| trailer(bytes));
            edit(&segment(dir, 3), |bytes| headers(bytes));
        },
        foreign_instead => |dir| {
            let other = tempfile::tempdir().unwrap();
            whole(other.path());
            fs::copy(segment(other.path(), 3), segment(dir, 3)).unwrap();
        },
        foreign_beside => |dir| {
            let other = tempfile::tempdir().unwrap();
            whole(other.path());
            fs::copy(segment(other.path(), 3), segment(dir, 33)).unwrap();
        },
        no_segment_beside => |dir| fs::write(dir.join("log/notes.seg"), "no segment").unwrap(),
        garbage_far_behind => |dir| fs::write(segment(dir, 999_999), vec![9; 70_000]).unwrap(),
    }
}

fn at_the_end() -> Vec<Harm> {
    harms! {
        newest_garbage => |dir| edit(&segment(dir, newest(dir)), |bytes| garbage(bytes)),
        newest_zeroed => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes.fill(0)),
        newest_missing => |dir| fs::remove_file(segment(dir, newest(dir))).unwrap(),
        newest_cut_short => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes.truncate(8000)),
        newest_header_damaged => |dir| edit(&segment(dir, newest(dir)), |bytes| headers(bytes)),
        newest_header_copy_damaged => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes[9] ^= 1),
        newest_flipped => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1),
        newest_frames_zeroed => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes[4096..].fill(0)),
        forerunner_flipped => |dir| edit(&segment(dir, newest(dir) - 1), |bytes| bytes[4200] ^= 1),
        forerunner_trailer => |dir| edit(&segment(dir, newest(dir) - 1), |bytes| trailer(bytes)),
        both_flipped => |dir| for id in [newest(dir) - 1, newest(dir)] {
            edit(&segment(dir, id), |bytes| bytes[4200] ^= 1);
        },
        last_event_flipped => |dir| {
            let (path, offset) = tail_end(dir);
            edit(&path, |bytes| bytes[offset + 30] ^= 1);
        },
        segments_missing => |dir| {
            fs::remove_dir_all(dir.join("log")).unwrap();
            fs::create_dir(dir.join("log")).unwrap();
        },
        log_missing => |dir| fs::remove_dir_all(dir.join("log")).unwrap(),
        poisoned => |dir| fs::write(dir.join("log/poisoned"), "").unwrap(),
        poisoned_and_flipped => |dir| {
            fs::write(dir.join("log/poisoned"), "").unwrap();
            edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1);
        },
    }
}

fn beside_the_log() -> Vec<Harm> {
    harms! {
        control_flipped => |dir| edit(&dir.join("control/000000000001-000.seg"), |bytes| bytes[4150] ^= 1),
        control_zeroed => |dir| edit_folder(&dir.join("control"), |bytes| bytes.fill(0)),
        control_garbage => |dir| edit_folder(&dir.join("control"), |bytes| garbage(bytes)),
        control_missing => |dir| fs::remove_dir_all(dir.join("control")).unwrap(),
        index_zeroed => |dir| edit_folder(&dir.join("index"), |bytes| bytes.fill(0)),
        index_missing => |dir| fs::remove_dir_all(dir.join("index")).unwrap(),
        snapshot_flipped => |dir| edit_folder(&dir.join("snapshots"), |bytes| *bytes.last_mut().unwrap() ^= 1),
        unfinished_beside => |dir| fs::write(dir.join("log/000000000002-001.seg.tmp"), "half").unwrap(),
        everything => |dir| {
            edit(&segment(dir, 1), |bytes| headers(bytes));
            edit(&segment(dir, 2), |bytes| bytes[5000] ^= 1);
            fs::remove_file(segment(dir, 3)).unwrap();
            edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1);
            fs::write(dir.join("log/notes.seg"), "no segment").unwrap();
            edit_folder(&dir.join("control"), |bytes| bytes[4150] ^= 1);
            edit_folder(&dir.join("index"), |bytes| bytes.fill(0));
            edit_folder(&dir.join("snapshots"), |bytes| *bytes.last_mut().unwrap() ^= 1);
        },
    }
}

/// Takes table and trailer off a segment: a process may be killed before it has written them.
fn unseal(dir: &Path, id: u64) {
    let segments = Inspector::open(dir).unwrap().segments().unwrap();
    let at = segments.iter().find(|at| at.segment.0 == id).unwrap();
    // Where the copy was made before it was sealed there is nothing to take off.
    if let Some(footer) = &at.footer {
        let end = usize::try_from(footer.frames_end).unwrap();
        edit(&segment(dir, id), |bytes| bytes[end..].fill(0));
    }
}

/// As [`unseal`], of the two segments before the last.
fn unseal_two(dir: &Path) {
    for id in newest(dir) - 2..newest(dir) {
        unseal(dir, id);
    }
}

/// What is done to a directory whose process was killed.
pub(crate) fn harms_of_killed() -> Vec<Harm> {
    harms! {
        killed => |_| {},
        killed_and_torn => |dir| {
            let (path, offset) = tail_end(dir);
            edit(&path, |bytes| bytes[offset + 2000..offset + 3000].fill(0xa5));
        },
        killed_and_flipped => |dir| edit(&segment(dir, 2), |bytes| bytes[5000] ^= 1),
        killed_and_end_flipped => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1),
        killed_before_the_seal => |dir| unseal(dir, newest(dir) - 1),
        killed_before_the_seal_and_end_flipped => |dir| {
            unseal(dir, newest(dir) - 1);
            edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1);
        },
        killed_before_the_seal_and_cut_short => |dir| {
            unseal(dir, newest(dir) - 1);
            edit(&segment(dir, newest(dir)), |bytes| bytes.truncate(8000));
        },
        killed_before_the_seal_and_both_flipped => |dir| {
            unseal(dir, newest(dir) - 1);
            for id in [newest(dir) - 1, newest(dir)] {
                edit(&segment(dir, id), |bytes| bytes[4200] ^= 1);
            }
        },
        killed_before_two_seals => |dir| unseal_two(dir),
        killed_before_two_seals_and_end_flipped => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir)), |bytes| bytes[4200] ^= 1);
        },
        killed_before_two_seals_and_end_cut_short => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir)), |bytes| bytes.truncate(8000));
        },
        killed_before_two_seals_and_end_headers_gone => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir)), |bytes| headers(bytes));
        },
        killed_before_two_seals_and_middle_flipped => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir) - 1), |bytes| bytes[4200] ^= 1);
        },
        killed_before_two_seals_and_middle_headers_gone => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir) - 1), |bytes| headers(bytes));
        },
        killed_before_two_seals_and_middle_missing => |dir| {
            unseal_two(dir);
            fs::remove_file(segment(dir, newest(dir) - 1)).unwrap();
        },
        killed_before_two_seals_and_oldest_flipped => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir) - 2), |bytes| bytes[4200] ^= 1);
        },
        killed_before_two_seals_and_oldest_headers_gone => |dir| {
            unseal_two(dir);
            edit(&segment(dir, newest(dir) - 2), |bytes| headers(bytes));
        },
        killed_before_two_seals_and_all_flipped => |dir| {
            unseal_two(dir);
            for id in newest(dir) - 2..=newest(dir) {
                edit(&segment(dir, id), |bytes| bytes[4200] ^= 1);
            }
        },
        // No crash does this: segments are sealed in order.
        killed_and_unsealed_before_a_sealed_one => |dir| unseal(dir, newest(dir) - 2),
        killed_and_copy_damaged => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes[9] ^= 1),
        killed_and_cut_short => |dir| edit(&segment(dir, newest(dir)), |bytes| bytes.truncate(8000)),
        killed_and_forerunner_flipped => |dir| {
            edit(&segment(dir, newest(dir) - 1), |bytes| bytes[4200] ^= 1);
        },
        killed_and_missing => |dir| fs::remove_file(segment(dir, 2)).unwrap(),
    }
}

fn rewritten(dir: &Path) -> PathBuf {
    dir.join("log/000000000002-001.seg")
}

/// What is done to a directory of which old segments were compacted.
pub(crate) fn harms_of_compacted() -> Vec<Harm> {
    harms! {
        compacted => |_| {},
        compacted_frame => |dir| edit(&rewritten(dir), |bytes| bytes[9000] ^= 1),
        compacted_frames => |dir| edit(&rewritten(dir), |bytes| {
            for at in [5000, 9000, 12_000] {
                bytes[at] ^= 1;
            }
        }),
        compacted_ranges => |dir| edit(&rewritten(dir), |bytes| {
            let footer = bytes.len() - 512;
            let at = bytes[footer + 120..footer + 128].try_into().unwrap();
            bytes[usize::try_from(u64::from_le_bytes(at)).unwrap() + 3] ^= 1;
        }),
        compacted_header => |dir| edit(&rewritten(dir), |bytes| headers(bytes)),
        compacted_trailer => |dir| edit(&rewritten(dir), |bytes| trailer(bytes)),
        compacted_missing => |dir| fs::remove_file(rewritten(dir)).unwrap(),
        compacted_and_old_one_back => |dir| {
            let old = fs::read(rewritten(dir)).unwrap();
            fs::write(segment(dir, 2), &old[..20_000]).unwrap();
        },
    }
}

/// Flips a bit of what a compressed segment's trailer has the place of, in the field at this offset.
fn flip_part(bytes: &mut [u8], field: usize) {
    let footer = bytes.len() - 512 + field;
    let at = u64::from_le_bytes(bytes[footer..footer + 8].try_into().unwrap());
    bytes[usize::try_from(at).unwrap() + 3] ^= 1;
}

/// What is done to a directory of which old segments are compressed.
pub(crate) fn harms_of_compressed() -> Vec<Harm> {
    harms! {
        compressed => |_| {},
        compressed_pack => |dir| edit(&rewritten(dir), |bytes| bytes[4200] ^= 1),
        compressed_table => |dir| edit(&rewritten(dir), |bytes| flip_part(bytes, 160)),
        compressed_list => |dir| edit(&rewritten(dir), |bytes| flip_part(bytes, 136)),
        compressed_header => |dir| edit(&rewritten(dir), |bytes| headers(bytes)),
        compressed_trailer => |dir| edit(&rewritten(dir), |bytes| trailer(bytes)),
        compressed_generations => |dir| {
            fs::write(dir.join("log/000000000002-4294967295.seg"), vec![9; 70_000]).unwrap();
        },
        compressed_missing => |dir| fs::remove_file(rewritten(dir)).unwrap(),
        compressed_cut_short => |dir| edit(&rewritten(dir), |bytes| bytes.truncate(6000)),
    }
}

type Make = fn(&Path);

/// Every damaged directory, made in `within`.
pub(crate) fn each(within: &Path, mut look: impl FnMut(&str, &Path)) {
    let bases: [(Make, Vec<Harm>); 4] = [
        (whole, harms()),
        (killed, harms_of_killed()),
        (compacted, harms_of_compacted()),
        (compressed, harms_of_compressed()),
    ];
    for (base, harms) in bases {
        let fresh = tempfile::tempdir_in(within).unwrap();
        base(fresh.path());
        for harm in harms {
            let dir = within.join(harm.name);
            copy(fresh.path(), &dir);
            (harm.harm)(&dir);
            look(harm.name, &dir);
        }
    }
}
