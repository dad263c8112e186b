//! Ids that tell no time: runs of them, merged, looked up, retired, read again after an opening, and lost.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::index::ids::block::{BLOCK_LEN, ENTRIES_MAX, HASH_END, hash_of};
use crate::index::ids::run::RunWriter;
use crate::index::ids::{Ids, Upkeep, entry_of, visit};
use crate::index::values::RunNote;

fn random_id(random: &mut u64) -> EventId {
    *random = keys::mix(*random);
    EventId(u128::from(*random) << 64 | u128::from(keys::mix(*random)) & !(3 << 62))
}

/// Entries of a window, which are added to the model of all entries so far.
fn window_of_ids(window: u64, count: u16, random: &mut u64, all: &mut Vec<(u64, Seq)>) -> Vec<u64> {
    let mut entries = Vec::new();
    for offset in 0..count {
        // One id in four has been used before.
        *random = keys::mix(*random);
        let place = usize::try_from(*random >> 8).unwrap() % all.len().max(1);
        let again = all.get(place).filter(|_| random.is_multiple_of(4));
        let hash = again.map_or_else(|| hash_of(random_id(random), 7), |(hash, _)| *hash);
        entries.push(entry_of(hash, offset));
        all.push((hash, keys::first_of(window).plus(offset.into())));
    }
    entries.sort_unstable();
    entries
}

fn assert_finds(ids: &Ids, all: &[(u64, Seq)], from: Seq, context: &str) {
    for (hash, _) in all.iter().step_by(7).chain([&(12_345, Seq(1))]) {
        let same = all
            .iter()
            .filter(|(held, seq)| held == hash && *seq >= from);
        let due = same.map(|(_, seq)| *seq).min();
        let found = ids.first_with(*hash, from).unwrap();
        assert_eq!(found, due, "{context}: {hash} from {from}");
    }
}

#[test]
fn runs_of_all_levels_have_what_was_put_there() {
    let dir = tempfile::tempdir().unwrap();
    for folder in [Some(dir.path()), None] {
        let mut ids = Ids::starting_at(3, folder, 7);
        let mut upkeep = Upkeep::default();
        let (mut random, mut all) = (5, Vec::new());
        let mut window = 3;
        for round in 0..90_u64 {
            // Now and then a stretch without events, or without ids of this kind.
            window += if round % 17 == 0 { 9 } else { 1 };
            let count = if round % 13 == 0 { 0 } else { 40 };
            let entries = window_of_ids(window, count, &mut random, &mut all);
            ids.take(window, entries);
            upkeep.step(&mut ids).unwrap();
            if round % 11 == 0 {
                let middle = keys::first_of(window / 2).plus(9);
                assert_finds(&ids, &all, Seq(1), &format!("round {round}"));
                assert_finds(&ids, &all, middle, &format!("round {round}"));
            }
        }
        // What is due is merged in the end, and there are few.
        while upkeep.is_busy() {
            upkeep.step(&mut ids).unwrap();
        }
        let notes = ids.notes();
        assert!(notes.len() < 30, "{notes:?}");
        assert!(
            notes.iter().any(|note| note.end - note.first == 16),
            "{notes:?}"
        );
        assert_finds(&ids, &all, Seq(1), "merged");
        let retired = ids.retire(40);
        assert!(!retired.is_empty());
        assert_finds(&ids, &all, keys::first_of(40), "retired");
        upkeep.discard(retired);
        ids.sync().unwrap();
        upkeep.after_flush();
        let Some(folder) = folder else {
            continue;
        };
        let files = || fs::read_dir(folder.join("ids")).unwrap().count();
        assert_eq!(files(), ids.notes().len());
        fs::write(folder.join("ids/stray"), "what a crash left").unwrap();
        let notes = ids.notes();
        let loaded = Ids::load((&notes, ids.next()), folder, 7).unwrap();
        loaded.tidy().unwrap();
        assert_eq!(files(), notes.len());
        all.retain(|(_, seq)| *seq < keys::first_of(ids.next()));
        assert_finds(&loaded, &all, keys::first_of(40), "loaded");
    }
}

#[test]
fn one_id_in_very_many_events_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut all: Vec<(u64, u64)> = (0..3000).map(|nth| (HASH_END / 2, nth * 3)).collect();
    all.extend((0..900).map(|nth| (HASH_END / 900 * nth, nth * 3 + 1)));
    all.extend((1..200).map(|nth| (HASH_END / 2 + nth, nth * 3 + 2)));
    // The last hash there may be, so often that the file ends with blocks that are full.
    all.extend((0..630).map(|nth| (HASH_END - 1, 10_000 + nth)));
    let mut entries: Vec<u64> = all.iter().map(|(hash, at)| hash << 28 | at).collect();
    entries.sort_unstable();
    let note = RunNote {
        first: 16,
        end: 32,
        count: entries.len() as u64,
        sum: 0,
    };
    for folder in [Some(dir.path()), None] {
        let mut writer = RunWriter::begin(folder, note, 7).unwrap();
        for entry in &entries {
            writer.push(*entry).unwrap();
        }
        let run = writer.finish().unwrap();
        let base = keys::first_of(16);
        for (hash, at) in &all {
            let found = run.find(*hash, base.plus(*at)).unwrap();
            assert_eq!(found, Some(base.plus(*at)), "{hash} {at}");
        }
        for (hash, from) in [(HASH_END / 2, 8998), (HASH_END - 1, 10_630), (3, 0)] {
            assert_eq!(run.find(hash, base.plus(from)).unwrap(), None);
        }
        let mut found = Vec::new();
        visit(&run, |hash, seq| found.push(hash << 28 | seq.since(base))).unwrap();
        assert_eq!(found, entries);
    }
}

/// Goes on until no run is due.
fn settle(ids: &mut Ids) {
    let mut upkeep = Upkeep::default();
    upkeep.step(ids).unwrap();
    while upkeep.is_busy() {
        upkeep.step(ids).unwrap();
    }
}

/// A run of so many ids that have the last hash there may be, and its file.
fn one_hash(folder: &Path, count: usize) -> (Ids, PathBuf) {
    let count = u16::try_from(count).unwrap();
    let mut ids = Ids::starting_at(0, Some(folder), 7);
    let entries = (0..count).map(|offset| entry_of(HASH_END - 1, offset));
    ids.take(0, entries.collect());
    ids.take(1, Vec::new());
    settle(&mut ids);
    let last = Seq(u64::from(count) - 1);
    assert_eq!(ids.first_with(HASH_END - 1, last).unwrap(), Some(last));
    let path = folder.join("ids/000000000000-000000000002.ids");
    (ids, path)
}

/// A run that lacks blocks is not opened, also where they held no entry: nothing tells those from others.
#[test]
fn a_run_without_its_last_blocks_is_found_to_be_cut() {
    // All of one hash: a block before theirs, full ones, and a last one with one entry, or none.
    for count in [2 * ENTRIES_MAX + 1, ENTRIES_MAX] {
        for cut in [1, 2, 3] {
            let dir = tempfile::tempdir().unwrap();
            let (ids, path) = one_hash(dir.path(), count);
            let bytes = fs::read(&path).unwrap();
            let loaded = Ids::load((&ids.notes(), ids.next()), dir.path(), 7);
            assert_eq!(loaded.unwrap().notes(), ids.notes());
            fs::write(&path, &bytes[..bytes.len() - cut * BLOCK_LEN]).unwrap();
            let loaded = Ids::load((&ids.notes(), ids.next()), dir.path(), 7);
            let error = loaded.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Index, "{count} {cut}: {error}");
        }
    }
}

/// A file that is cut while it is open: what reads on in it fails.
#[test]
fn a_run_that_is_cut_under_an_open_index_is_noticed() {
    let count = 2 * ENTRIES_MAX + 1;
    let last = Seq(count as u64 - 1);
    for cut in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let (mut ids, path) = one_hash(dir.path(), count);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - cut * BLOCK_LEN]).unwrap();
        let error = ids.first_with(HASH_END - 1, last).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{cut}: {error}");
        ids.take(2, vec![entry_of(1, 0)]);
        ids.take(3, Vec::new());
        let mut upkeep = Upkeep::default();
        upkeep.step(&mut ids).unwrap();
        let merged = loop {
            let stepped = upkeep.step(&mut ids);
            if stepped.is_err() || !upkeep.is_busy() {
                break stepped;
            }
        };
        assert_eq!(merged.unwrap_err().kind(), ErrorKind::Truncated, "{cut}");
    }
}

/// Look-ups of an index whose log has all kinds of ids, over runs that were merged and cut by retention.
#[test]
fn an_index_with_runs_finds_what_a_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("index");
    let log = memory_log();
    let mut source = Source::new(31, 40, 5);
    let mut index = open(&log, &folder);
    for round in 0..6 {
        source.emit_many(&log, 20_000);
        index.catch_up();
        assert_equals_scan(&index, &log, &format!("round {round}"));
        if round == 3 {
            log.retire_before(Seq(50_000)).unwrap();
            assert_equals_scan(&index, &log, "retired");
        }
        if round % 2 == 1 {
            index.close();
            let mismatches = against_log(&log, &folder, &IndexConfig::default()).unwrap();
            assert_eq!(mismatches, []);
            index = open(&log, &folder);
            assert_equals_scan(&index, &log, "reopened");
        }
    }
    let files = fs::read_dir(folder.join("ids")).unwrap().count();
    assert!(files >= 2, "{files}");
    assert_eq!(index.state().rebuilds, 0);
}

/// What happens to the bytes of a file.
type Harm = fn(&mut Vec<u8>);

/// Each file of a run, gone or damaged, is noticed, and answers stay what they were.
#[test]
fn a_run_that_is_damaged_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("index");
    let log = memory_log();
    Source::new(32, 50, 3).emit_many(&log, 42_000);
    Index::rebuild(log.clone(), &folder, IndexConfig::default()).unwrap();
    let names = fs::read_dir(folder.join("ids")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() >= 2, "{names:?}");
    let harms: [(&str, Harm); 5] = [
        ("empty", Vec::clear),
        ("a bit of the header", |bytes| bytes[9] ^= 4),
        ("a bit of an entry", |bytes| bytes[5 * 512 + 77] ^= 1),
        ("cut by a block", |bytes| bytes.truncate(bytes.len() - 512)),
        ("two blocks changed places", |bytes| {
            let (a, b) = bytes.split_at_mut(6 * 512);
            a[5 * 512..].swap_with_slice(&mut b[..512]);
        }),
    ];
    for name in names.iter().take(2) {
        for (what, harm) in &harms {
            let copied = dir.path().join("copy/index");
            damage::copy(&folder, &copied);
            let path = copied.join("ids").join(name);
            let mut bytes = fs::read(&path).unwrap();
            harm(&mut bytes);
            fs::write(&path, bytes).unwrap();
            let context = format!("{}: {what}", name.display());
            let found = against_log(&log, &copied, &IndexConfig::default()).unwrap();
            assert!(!found.is_empty(), "{context}");
            let state = damage::assert_mends(&log, &copied, &context);
            assert_eq!(state.rebuilds, 1, "{context}");
            fs::remove_dir_all(dir.path().join("copy")).unwrap();
        }
    }
}
