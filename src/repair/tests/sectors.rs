//! Sectors that the disk cannot read.

use std::fs;
use std::ops::Range;

use super::*;
use crate::error::ErrorKind;
use crate::storage::bad;

const SECTOR: Range<u64> = 20_480..24_576;

/// A directory, and the Seqs that a bad sector of this range of a segment takes from it.
fn with_bad(id: u64, range: Range<u64>) -> (tempfile::TempDir, BTreeSet<u64>) {
    let dir = whole();
    let file = segment(dir.path(), id);
    let lost = within(&file, &range);
    bad::mark(&file, range);
    (dir, lost)
}

fn lost_of(gaps: &[crate::position::Gap]) -> BTreeSet<u64> {
    let each = gaps.iter().flat_map(|gap| gap.from.0..=gap.to.0);
    each.collect()
}

#[test]
fn a_salvage_brings_all_but_what_a_bad_sector_held() {
    let (dir, lost) = with_bad(2, SECTOR);
    assert!(lost.len() > 5, "{lost:?}");
    let target = tempfile::tempdir().unwrap();
    let report = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(lost_of(&report.lost_seqs), lost);
    assert_eq!(report.lost, lost.len() as u64);
    let unread = report.left.join("\n");
    assert!(unread.contains("offset 20480"), "{unread}");
    assert!(
        unread.contains("cannot be read: Input/output error"),
        "{unread}"
    );
    assert!(unread.contains("000000000002-000.seg"), "{unread}");
    check_held(target.path(), &lost, "salvaged");
}

#[test]
fn a_bad_sector_is_told_of_and_what_stands_behind_it_is_read() {
    let (dir, lost) = with_bad(2, SECTOR);
    let (seqs, told) = read(dir.path());
    assert_eq!(seqs.len() as u64, COUNT - lost.len() as u64);
    assert!(seqs.is_disjoint(&lost));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("cannot be read: Input/output error"),
        "{told:?}"
    );
    let inspector = Inspector::open(dir.path()).unwrap();
    let report = inspector.verify(&mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Damaged);
    assert_eq!(report.log.count, COUNT - lost.len() as u64);
    let told: Vec<String> = report.damage().map(ToString::to_string).collect();
    let has = |part: &str| told.iter().any(|told| told.contains(part));
    assert!(has("offset 20480"), "{told:?}");
    assert!(
        has("4096 bytes cannot be read: Input/output error"),
        "{told:?}"
    );
}

#[test]
fn a_repair_replaces_a_segment_with_a_bad_sector() {
    let (dir, lost) = with_bad(2, SECTOR);
    let before = plan(dir.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(before.lost, lost.len() as u64);
    assert_eq!(before.events, COUNT - lost.len() as u64);
    let why = &before.steps[0].why;
    assert!(why.contains("cannot be read: Input/output error"), "{why}");
    let report = apply(dir.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(report.verdict, Verdict::Good, "{report:?}");
    assert!(report.remains.is_empty(), "{report:?}");
    check_held(dir.path(), &lost, "repaired");
    assert!(
        dir.path()
            .join("aside/repair-1/log/000000000002-000.seg")
            .exists()
    );
    open(dir.path()).close().unwrap();
}

#[test]
fn a_bad_header_or_footer_takes_no_event() {
    let len = 64 << 10;
    for (id, range) in [(2, 0..4096), (2, len - 4096..len), (1, 0..4096)] {
        let (dir, lost) = with_bad(id, range.clone());
        let target = tempfile::tempdir().unwrap();
        let what = format!("{range:?} of segment {id}");
        salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
        check_held(target.path(), &lost, &what);
        apply(dir.path(), &mut |_| Ok(())).unwrap();
        check_held(dir.path(), &lost, &what);
    }
}

#[test]
fn a_bad_sector_in_the_newest_segments_ends_no_salvage_and_no_repair() {
    let dir = whole();
    let ids = fs::read_dir(dir.path().join("log")).unwrap().count() as u64;
    let segments: Vec<u64> = (1..=ids)
        .filter(|id| segment(dir.path(), *id).exists())
        .collect();
    for from_the_end in 1..=3 {
        let id = segments[segments.len() - from_the_end];
        for start in [4096, 8192] {
            let (dir, lost) = with_bad(id, start..start + 4096);
            let target = tempfile::tempdir().unwrap();
            let what = format!("{start} of segment {id}");
            let report = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
            check_held(target.path(), &lost, &what);
            assert_eq!(report.lost, lost.len() as u64, "{what}");
            let report = apply(dir.path(), &mut |_| Ok(())).unwrap();
            assert_eq!(report.verdict, Verdict::Good, "{what}: {report:?}");
            check_held(dir.path(), &lost, &what);
        }
    }
}

#[test]
fn a_bad_control_log_ends_no_salvage() {
    let dir = whole();
    let control = fs::read_dir(dir.path().join("control")).unwrap();
    let mut files: Vec<PathBuf> = control.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "seg"));
    files.sort();
    bad::mark(&files[0], 0..u64::MAX);
    let target = tempfile::tempdir().unwrap();
    let report = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
    check_held(target.path(), &BTreeSet::new(), "salvaged");
    let left = report.left.join("\n");
    assert!(left.contains("control/"), "{left}");
    assert!(
        left.contains("cannot be read: Input/output error"),
        "{left}"
    );
    open(target.path()).close().unwrap();
    apply(dir.path(), &mut |_| Ok(())).unwrap();
    check_held(dir.path(), &BTreeSet::new(), "repaired");
    open(dir.path()).close().unwrap();
}

#[test]
fn a_disk_that_is_gone_ends_it() {
    let dir = whole();
    bad::mark(&dir.path().join("log"), 0..u64::MAX);
    let target = tempfile::tempdir().unwrap();
    let error = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let error = plan(dir.path(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let error = apply(dir.path(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[test]
fn a_snapshot_that_cannot_be_read_is_set_aside() {
    let dir = whole();
    let system = open(dir.path());
    let add = |count: &mut u64, _: &crate::EventRef<'_>| {
        *count += 1;
        Ok(())
    };
    let mut count = system.projection("count", 1, 0_u64, add).unwrap();
    count.catch_up().unwrap();
    count.save().unwrap();
    drop(count);
    system.close().unwrap();
    let snapshots = Inspector::open(dir.path()).unwrap().snapshots().unwrap();
    let name = &snapshots[0].file;
    bad::mark(&dir.path().join("snapshots").join(name), 0..4096);
    let snapshots = Inspector::open(dir.path()).unwrap().snapshots().unwrap();
    assert_eq!(snapshots[0].state.to_string(), "unreadable");
    let target = tempfile::tempdir().unwrap();
    let report = salvage(dir.path(), target.path(), &mut |_| Ok(())).unwrap();
    assert!(!target.path().join("snapshots").join(name).exists());
    assert!(
        report
            .left
            .join("\n")
            .contains("the snapshot is unreadable")
    );
    let aside = dir.path().join("snapshots").join(format!("{name}.damaged"));
    fs::write(&aside, "an older one").unwrap();
    apply(dir.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(fs::read(&aside).unwrap(), b"an older one");
    let again = dir
        .path()
        .join("snapshots")
        .join(format!("{name}.1.damaged"));
    assert!(again.exists());
    let snapshots = Inspector::open(dir.path()).unwrap().snapshots().unwrap();
    let aside: Vec<_> = snapshots
        .iter()
        .map(|found| found.state.to_string())
        .collect();
    assert_eq!(aside, ["set aside", "set aside"]);
}
