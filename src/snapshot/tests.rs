//! Snapshots on a simulated disk that crashes at each of its operations.

use super::*;
use crate::storage::sim::{CrashKind, SimDisk};

const KEEP: usize = 3;

fn snapshots(disk: &SimDisk) -> Snapshots {
    let folder = disk.storage().folder(names::SNAPSHOTS).unwrap();
    Snapshots::new(folder, 7)
}

/// The state that belongs to a position: long enough for several sectors.
fn state_at(position: u64) -> Vec<u64> {
    (0..200).map(|n| n * 1_000 + position).collect()
}

fn save(snapshots: &Snapshots, position: u64) -> Result<()> {
    snapshots.save("sum", 1, Seq(position), &state_at(position), KEEP)
}

fn load(snapshots: &Snapshots) -> Option<(Seq, Vec<u64>)> {
    snapshots.load("sum", 1, Seq::MAX, Seq::MAX).unwrap()
}

fn file(position: u64) -> String {
    let name = names::snapshot("sum", 1, Seq(position));
    format!("{}/{name}", names::SNAPSHOTS)
}

fn positions(snapshots: &Snapshots) -> Vec<u64> {
    let found = snapshots.newest_first("sum").unwrap();
    found.iter().map(|found| found.position.0).collect()
}

#[test]
fn the_newest_few_are_kept_and_one_of_another_version() {
    let snapshots = snapshots(&SimDisk::new());
    for position in 1..=5 {
        save(&snapshots, position).unwrap();
    }
    assert_eq!(positions(&snapshots), [5, 4, 3]);
    assert_eq!(snapshots.oldest("sum", 1).unwrap(), Some(Seq(3)));
    for position in 4..=8 {
        let saved = snapshots.save("sum", 2, Seq(position), &0, 2);
        saved.unwrap();
    }
    assert_eq!(positions(&snapshots), [8, 7, 5]);
    assert_eq!(load(&snapshots), Some((Seq(5), state_at(5))));
    let early = snapshots.load::<Vec<u64>>("sum", 1, Seq(4), Seq::MAX);
    assert_eq!(early.unwrap(), None, "nothing is left up to there");
}

#[test]
fn damaged_ones_are_set_aside_and_the_one_before_counts() {
    for damaged in 1..=KEEP as u64 {
        let disk = SimDisk::new();
        let snapshots = snapshots(&disk);
        for position in 1..=3 {
            save(&snapshots, position).unwrap();
        }
        for position in (4 - damaged)..=3 {
            let flipped = disk.corrupt(&file(position), 100..101, |byte| byte[0] ^= 1);
            flipped.unwrap();
        }
        let expected = (damaged < 3).then(|| (Seq(3 - damaged), state_at(3 - damaged)));
        assert_eq!(load(&snapshots), expected);
        let aside = names::damaged(&file(3));
        assert!(disk.read_file(&aside).is_ok(), "the evidence is kept");
    }
}

#[test]
fn a_file_under_another_ones_name_is_damaged() {
    let disk = SimDisk::new();
    let snapshots = snapshots(&disk);
    save(&snapshots, 1).unwrap();
    disk.copy_file(&file(1), &file(9)).unwrap();
    assert_eq!(load(&snapshots), Some((Seq(1), state_at(1))));
}

#[test]
fn what_lies_beyond_the_log_never_counts_again() {
    let snapshots = snapshots(&SimDisk::new());
    save(&snapshots, 5).unwrap();
    save(&snapshots, 90).unwrap();
    let found = snapshots.load::<Vec<u64>>("sum", 1, Seq(10), Seq(10));
    assert_eq!(found.unwrap(), Some((Seq(5), state_at(5))));
    assert_eq!(positions(&snapshots), [5]);
}

#[test]
fn a_crash_at_any_operation_leaves_a_whole_snapshot_not_older_than_the_last_saved() {
    const SAVES: u64 = 5;
    let count = {
        let disk = SimDisk::new();
        let snapshots = snapshots(&disk);
        (1..=SAVES).for_each(|position| save(&snapshots, position).unwrap());
        disk.op_count()
    };
    let mut images = 0;
    for nth in 1..=count {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let Ok(folder) = disk.storage().folder(names::SNAPSHOTS) else {
            continue;
        };
        let snapshots = Snapshots::new(folder, 7);
        let saved = (1..=SAVES).take_while(|&position| save(&snapshots, position).is_ok());
        let saved = saved.count() as u64;
        for image in disk.images(CrashKind::System, 8, 24, nth) {
            check(&image, saved);
            images += 1;
        }
    }
    assert!(images > 50, "{images} images are too few to mean anything");
}

/// Holds what a crash left against what was acknowledged, and goes on from there.
fn check(image: &SimDisk, saved: u64) {
    let snapshots = snapshots(image);
    let found = load(&snapshots);
    let position = found.as_ref().map_or(0, |(position, _)| position.0);
    let what = image.describe();
    assert!(
        (saved..=saved + 1).contains(&position),
        "{position} is not {saved} or the one under way\n{what}"
    );
    if let Some((position, state)) = found {
        assert_eq!(state, state_at(position.0), "{what}");
    }
    for position in 10..14 {
        save(&snapshots, position).unwrap();
    }
    assert_eq!(positions(&snapshots), [13, 12, 11], "{what}");
    let entries = snapshots.storage.list().unwrap();
    let left = entries.iter().filter(|entry| names::is_tmp(&entry.name));
    assert_eq!(left.count(), 0, "half a snapshot stays for ever\n{what}");
}
