//! A name that was deleted and made again, in a control log that is damaged.

use super::*;

/// Damages records of these types, each the nth that there is.
fn damage(disk: &SimDisk, records: &[(&str, usize)]) {
    let paths = (1..).map(segment_path);
    let segments = paths.map_while(|path| Some((disk.read_file(&path).ok()?, path)));
    let segments: Vec<_> = segments.collect();
    for &(event_type, nth) in records {
        let mut found = segments.iter().flat_map(|(bytes, path)| {
            let windows = bytes.windows(event_type.len()).enumerate();
            let places = windows.filter(|(_, part)| *part == event_type.as_bytes());
            places.map(move |(at, _)| (path, at))
        });
        let (path, at) = found.nth(nth).unwrap();
        disk.corrupt(path, at..at + 1, |byte| byte[0] ^= 1).unwrap();
    }
}

/// "a" parks 50 and comes to 100, is deleted, begins anew, and comes to 10; what is parked then.
fn two_lives(parks: bool) -> SimDisk {
    let disk = SimDisk::new();
    let control = open(&disk);
    control.begin("a", Seq::ZERO, Seq::ZERO).unwrap();
    control
        .park("a", parked(50, 1), at(Seq(50), Seq(50)))
        .unwrap();
    control.set_paused("a", Some("of old".into())).unwrap();
    control.advance("a", at(Seq(100), Seq(100))).unwrap();
    control.delete("a").unwrap();
    control.begin("a", Seq::ZERO, Seq(100)).unwrap();
    if parks {
        control
            .park("a", parked(5, 1), at(Seq(5), Seq(100)))
            .unwrap();
    }
    control.advance("a", at(Seq(10), Seq(100))).unwrap();
    drop(control);
    copy(&disk)
}

const DELETED: (&str, usize) = ("forelog.deleted", 0);
/// The record with which the second life begins.
const BEGUN: (&str, usize) = ("forelog.cursor", 2);

#[test]
fn a_name_that_was_made_again_skips_nothing_of_its_new_life() {
    let lost: [&[_]; 3] = [&[DELETED], &[DELETED, BEGUN], &[BEGUN]];
    for records in lost {
        let disk = two_lives(false);
        damage(&disk, records);
        let control = open(&disk);
        assert!(control.recovery().is_some(), "{records:?}");
        assert_eq!(control.cursor("a"), Some(Seq(10)), "{records:?}");
        assert_eq!(control.parked_count("a"), 0, "{records:?}");
        assert_eq!(control.paused("a"), None, "{records:?}");
        // It goes on, also over a checkpoint.
        control.advance("a", at(Seq(12), Seq(100))).unwrap();
        control.checkpoint().unwrap();
        control.seek("a", Seq(3), Seq(100)).unwrap();
        drop(control);
        assert_eq!(open(&copy(&disk)).cursor("a"), Some(Seq(3)), "{records:?}");
    }
}

#[test]
fn a_parked_copy_of_the_new_life_that_is_lost_is_missed() {
    let copy_of_5 = ("forelog.parked", 1);
    let lost: [&[_]; 3] = [
        &[DELETED, copy_of_5],
        &[DELETED, BEGUN, copy_of_5],
        &[copy_of_5],
    ];
    for records in lost {
        let disk = two_lives(true);
        damage(&disk, records);
        let control = open(&disk);
        let cursor = control.cursor("a").unwrap();
        assert!(cursor < Seq(5), "{records:?}: {cursor}");
        assert_eq!(control.parked_count("a"), 0, "{records:?}");
    }
    let disk = two_lives(true);
    damage(&disk, &[DELETED, BEGUN]);
    let control = open(&disk);
    let is_kept = control.parked_event("a", Seq(5)).is_some();
    assert!(is_kept || control.cursor("a") < Some(Seq(5)));
}

#[test]
fn each_life_of_a_name_is_newer_than_those_before() {
    let disk = SimDisk::new();
    for life in 0..4_u64 {
        let control = open(&disk);
        let first = 100 - 20 * life;
        control.begin("a", Seq(first), Seq::ZERO).unwrap();
        control.seek("a", Seq(first - 5), Seq::ZERO).unwrap();
        control.advance("a", at(Seq(first + 5), Seq::ZERO)).unwrap();
        if life == 1 {
            control.checkpoint().unwrap();
        }
        if life < 3 {
            control.delete("a").unwrap();
        }
        control.close(Seq::ZERO).unwrap();
    }
    for nth in 0..3 {
        let damaged = copy(&disk);
        damage(&damaged, &[("forelog.deleted", nth)]);
        let control = open(&damaged);
        assert!(control.recovery().is_some(), "deleted {nth}");
        assert_eq!(control.cursor("a"), Some(Seq(45)), "deleted {nth}");
    }
}

#[test]
fn no_flipped_byte_makes_the_new_life_skip() {
    let disk = two_lives(true);
    let path = segment_path(1);
    let bytes = disk.read_file(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 8;
    let mut salvaged = 0;
    for at in (4096..end).step_by(3) {
        let damaged = copy(&disk);
        damaged
            .corrupt(&path, at..at + 1, |byte| byte[0] ^= 1 << (at % 8))
            .unwrap();
        let control = open(&damaged);
        let cursor = control.cursor("a");
        assert!(
            cursor.map_or(control.is_incomplete(), |cursor| cursor <= Seq(10)),
            "byte {at}: {cursor:?}"
        );
        let is_kept = control.parked_event("a", Seq(5)).is_some();
        assert!(is_kept || cursor < Some(Seq(5)), "byte {at}: {cursor:?}");
        salvaged += u32::from(control.recovery().is_some());
    }
    assert!(salvaged > 50, "{salvaged} salvaged");
}
