//! Retention and its ledger over crashes, in the two logs of a directory on a simulated disk.

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::control::Place;
use crate::durability::Durability;
use crate::format::record::Record;
use crate::log::limits::{Limit, Retention, WhenPinned};
use crate::log::reader::Step;
use crate::position::{SegmentId, Seq};
use crate::storage::sim::{Choice, CrashKind, OpKind, SimDisk, Times};

const KEPT: u64 = 20;
const LEN: usize = 8 << 10;

/// A directory that is open, without threads.
struct Dir {
    control: Arc<Control>,
    log: Log,
}

impl Dir {
    fn open(disk: &SimDisk) -> Result<Dir> {
        Dir::open_with(disk, WhenPinned::Gap)
    }

    fn open_with(disk: &SimDisk, when_pinned: WhenPinned) -> Result<Dir> {
        let config = LogConfig {
            segment_len: LEN,
            retention: Retention {
                max_events: Some(KEPT),
                ..Retention::default()
            },
            when_pinned,
            background: false,
            ..LogConfig::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
        let (control, log) = Directory::within(disk.storage()).open_logs(config, &clock)?;
        Ok(Dir { control, log })
    }

    fn append(&self, durability: Durability) -> Result<Seq> {
        let record = Record::new("test", "unit", Timestamp(1), &[7; 900])?;
        let seq = self.log.append(&[record], durability)?.last;
        if durability == Durability::Sync {
            self.log.wait_durable(seq)?;
        }
        Ok(seq)
    }

    fn append_all(&self, count: u64, durability: Durability) -> Result<Seq> {
        (0..count).try_fold(Seq::ZERO, |_, _| self.append(durability))
    }

    fn close(&self) -> Result<()> {
        self.log.close()?;
        self.control.close(self.log.watermark().durable())
    }
}

/// Appends and removes, with a subscription that stays behind; returns the last Seq that was synced.
fn work(disk: &SimDisk) -> Seq {
    let mut synced = Seq::ZERO;
    // Every step fails once the crash has come.
    let _crashed = || -> Result<()> {
        let dir = Dir::open(disk)?;
        dir.control.begin("slow", Seq::ZERO, Seq::ZERO)?;
        for round in 0..4 {
            dir.append_all(9, Durability::Os)?;
            let seq = dir.append(Durability::Sync)?;
            if !disk.is_stopped() {
                synced = seq;
            }
            let place = Place {
                cursor: Seq(round),
                ..Place::default()
            };
            dir.control.advance("slow", place)?;
        }
        dir.close()
    }();
    synced
}

fn segments_of(disk: &SimDisk) -> Vec<SegmentId> {
    let files = disk.files().into_iter();
    let ids = files.filter_map(|(path, _)| {
        let name = path.strip_prefix("log/")?;
        names::parse_segment(name).map(|(id, _)| id)
    });
    ids.collect()
}

/// Opens what a crash left: nothing that was removed is there, and nothing else is gone.
fn check(disk: &SimDisk, synced: Seq) -> std::result::Result<Dir, String> {
    let dir = Dir::open(disk).map_err(|error| format!("{error:?}"))?;
    let removed = dir.control.removed().ok_or("no ledger is kept")?;
    let first = dir.log.segments().first().map(|first| first.id());
    if first != Some(removed.upto_segment.next()) {
        return Err(format!("the log begins with {first:?} after {removed:?}"));
    }
    if let Some(back) = segments_of(disk)
        .iter()
        .find(|id| **id <= removed.upto_segment)
    {
        return Err(format!("{back} is still there after {removed:?}"));
    }
    let last = dir.log.watermark().appended();
    if last < synced {
        return Err(format!(
            "the log ends at {last} and {synced} was acknowledged"
        ));
    }
    // A segment holds 8 at most, and up to 10 were appended since the last sync.
    if removed.upto_seq.plus(KEPT - 8) > synced.plus(10) && removed.segments > 0 {
        return Err(format!("{removed:?}, and {synced} was synced"));
    }
    let mut reader = dir.log.reader(removed.upto_seq.next());
    let mut next = removed.upto_seq.next();
    loop {
        match reader.step().map_err(|error| format!("{error:?}"))? {
            Some(Step::Event(event)) if event.seq() == next => next = next.next(),
            // Declared above what was there, after a crash of the system.
            Some(Step::Gap(gap)) if dir.log.gaps().contains(&gap) => next = gap.to.next(),
            Some(step) => return Err(format!("{step:?} at {next}")),
            None => return Ok(dir),
        }
    }
}

/// Fault row 6: cut while segments begin, are sealed, and go.
#[test]
fn a_cut_while_segments_roll_and_go_leaves_no_gap_and_what_comes_back_goes_again() {
    let whole = SimDisk::new();
    assert_eq!(work(&whole), Seq(40));
    let (mut states, mut came_back) = (0, 0);
    for nth in 1..=whole.op_count() + 1 {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let synced = work(&disk);
        for kind in [CrashKind::Process, CrashKind::System] {
            for (index, image) in (0_u64..).zip(disk.images(kind, 2, 4, nth)) {
                let told =
                    |wrong: String| format!("operation {nth}, {kind:?}, image {index}: {wrong}");
                let again = image.clone();
                let explain = |wrong| told(format!("{wrong}\nafter {}", again.describe()));
                let before = image.crash(CrashKind::Process, Choice::AllKept);
                let dir = check(&image, synced).map_err(explain).unwrap();
                let upto = dir.control.removed().unwrap().upto_segment;
                let back = segments_of(&before).iter().any(|id| *id <= upto);
                came_back += u64::from(back);
                dir.append_all(3, Durability::Sync).unwrap();
                let last = dir.log.watermark().appended();
                drop(dir);
                // The removal that the opening has finished does not come undone.
                let later = image.crash(CrashKind::System, Choice::Seed(nth));
                check(&later, last).map_err(explain).unwrap();
                states += 2;
                if back && came_back % 8 == 1 {
                    states += crash_opening(&before, synced, nth)
                        .map_err(explain)
                        .unwrap();
                }
            }
        }
    }
    println!("{states} crash states, in {came_back} of them a segment was back");
    assert!(states > 500 && came_back > 10, "{states}, {came_back}");
}

/// Crashes an opening that has a removal to finish at each of its operations.
fn crash_opening(disk: &SimDisk, synced: Seq, seed: u64) -> std::result::Result<u64, String> {
    let copy = || disk.crash(CrashKind::Process, Choice::AllKept);
    let whole = copy();
    Dir::open(&whole)
        .map(drop)
        .map_err(|error| error.to_string())?;
    let mut states = 0;
    for nth in 1..=whole.op_count() {
        let cut = copy();
        cut.crash_at(nth);
        drop(Dir::open(&cut));
        for choice in [Choice::AllLost, Choice::AllKept, Choice::Seed(seed)] {
            check(&cut.crash(CrashKind::System, choice), synced)?;
            states += 1;
        }
    }
    Ok(states)
}

#[test]
fn what_the_ledger_does_not_cover_is_missing_and_named() {
    let disk = SimDisk::new();
    assert_eq!(work(&disk), Seq(40));
    let held = segments_of(&disk);
    assert!(held[0] > SegmentId::FIRST && held.len() > 2, "{held:?}");
    let path = |id| format!("log/{}", names::segment(id, 0));
    disk.remove_file(&path(held[0])).unwrap();
    let before = disk.files();
    let error = Dir::open(&disk).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingSegment, "{error}");
    assert_eq!(error.segment(), Some(held[0]));
    assert!(error.to_string().contains("forelog-recovery"), "{error}");
    assert!(
        disk.files() == before,
        "a directory that is refused is left as it was"
    );
    // All of it gone, down to the active one, is no removal either.
    for id in &held[1..] {
        disk.remove_file(&path(*id)).unwrap();
    }
    let error = Dir::open(&disk).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingSegment, "{error}");
}

/// Without a ledger, as before there were any, and with one that damage may have cut short.
#[test]
fn a_directory_without_a_ledger_opens_and_gets_one() {
    let disk = SimDisk::new();
    assert_eq!(work(&disk), Seq(40));
    let held = segments_of(&disk);
    disk.remove_file(&format!("log/{}", names::segment(held[0], 0)))
        .unwrap();
    let control: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
    let control = control.iter().filter(|path| path.starts_with("control/"));
    let is_segment = |path: &&String| names::parse_segment(&path["control/".len()..]).is_some();
    let segments: Vec<_> = control.filter(is_segment).collect();
    let damaged = disk.crash(CrashKind::Process, Choice::AllKept);
    damaged
        .corrupt(segments[0], 5_000..5_001, |bytes| bytes[0] ^= 1)
        .unwrap();
    for path in &segments {
        disk.remove_file(path).unwrap();
    }
    for disk in [disk, damaged] {
        let dir = Dir::open(&disk).unwrap();
        let removed = dir.control.removed().unwrap();
        assert_eq!(removed.upto_segment, held[0]);
        assert_eq!((removed.segments, removed.last.clone()), (0, None));
        dir.append_all(10, Durability::Sync).unwrap();
        let now = dir.control.removed().unwrap();
        assert!(now.upto_segment > held[0] && now.segments > 0, "{now:?}");
        assert_eq!(now.last.unwrap().limit, Limit::MaxEvents);
        dir.close().unwrap();
        drop(dir);
        assert!(
            Dir::open(&disk)
                .unwrap()
                .control
                .removed()
                .unwrap()
                .segments
                > 0
        );
    }
}

#[test]
fn nothing_goes_that_cannot_be_noted_and_what_fails_is_finished_first() {
    let disk = SimDisk::new();
    let dir = Dir::open_with(&disk, WhenPinned::Keep).unwrap();
    dir.log.pins().set("slow", Seq::FIRST);
    dir.append_all(40, Durability::Sync).unwrap();
    assert_eq!(dir.log.first_seq(), Seq::FIRST);
    dir.log.pins().set("slow", Seq(25));
    // Nor can its file be kept to be used again.
    for op in [OpKind::Rename, OpKind::Remove] {
        disk.fail(op, 1, std::io::ErrorKind::PermissionDenied, Times::Once);
    }
    let error = dir.log.retire_before(Seq(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let noted = dir.control.removed().unwrap();
    assert!(
        noted.upto_seq >= Seq(10) && noted.upto_seq < Seq(20),
        "{noted:?}"
    );
    assert_eq!(dir.log.first_seq(), Seq::FIRST, "it is still there");
    // Whoever comes now and wants all finds what the ledger says.
    dir.log.pins().set("late", Seq::FIRST);
    dir.log.retire_before(Seq(20)).unwrap();
    assert_eq!(dir.log.first_seq(), noted.upto_seq.next());
    assert_eq!(dir.control.removed().unwrap(), noted, "it is noted once");
    dir.close().unwrap();
    let disk = SimDisk::new();
    let dir = Dir::open(&disk).unwrap();
    dir.append_all(8, Durability::Sync).unwrap();
    dir.control.close(Seq(8)).unwrap();
    let _not_its_own = dir.append_all(40, Durability::Os);
    dir.log.retire_before(Seq(8)).unwrap_err();
    assert_eq!(dir.log.first_seq(), Seq::FIRST);
}

/// A log of 5 events, with the control log of one of 12, all of which "slow" has seen.
fn with_a_strangers_control_log() -> Result<SimDisk> {
    let (theirs, ours) = (SimDisk::new(), SimDisk::new());
    for (disk, count) in [(&theirs, 12), (&ours, 5)] {
        let dir = Dir::open(disk)?;
        let last = dir.append_all(count, Durability::Sync)?;
        dir.control.begin("slow", Seq::ZERO, Seq::ZERO)?;
        if count == 12 {
            let place = Place {
                cursor: last,
                durable_upto: last,
                ..Place::default()
            };
            dir.control.advance("slow", place)?;
        }
        dir.close()?;
    }
    let theirs = theirs.storage().folder(names::CONTROL)?;
    let control = ours.storage().folder(names::CONTROL)?;
    for entry in control.list()? {
        control.remove(&entry.name)?;
    }
    for entry in theirs.list()? {
        let bytes = theirs.read(&entry.name)?;
        control.write(&entry.name, &bytes.unwrap_or_default())?;
    }
    control.sync_dir()?;
    Ok(ours)
}

#[test]
fn no_crash_has_a_cursor_of_another_logs_control_log_taken() {
    let base = with_a_strangers_control_log().unwrap();
    let copy = || base.crash(CrashKind::Process, Choice::AllKept);
    let whole = copy();
    let dir = Dir::open(&whole).unwrap();
    let recovery = dir.control.recovery().unwrap();
    assert!(recovery.damage.contains("another log"), "{recovery:?}");
    assert_eq!(dir.control.cursor("slow"), None);
    drop(dir);
    let dir = Dir::open(&whole).unwrap();
    assert!(dir.control.recovery().is_none(), "it is this log's now");
    drop(dir);

    let mut states = 0;
    for nth in 1..=whole.op_count() {
        let disk = copy();
        disk.crash_at(nth);
        drop(Dir::open(&disk));
        for image in disk.images(CrashKind::System, 6, 12, 7) {
            let dir = Dir::open(&image).unwrap();
            assert_eq!(dir.control.cursor("slow"), None, "operation {nth}");
            assert!(dir.control.is_incomplete(), "operation {nth}");
            assert!(dir.log.watermark().appended() >= Seq(5));
            states += 1;
        }
    }
    assert!(states > 20, "{states} states");
}

#[test]
fn a_relative_path_means_what_it_meant_when_it_was_opened() {
    let here = std::env::current_dir().unwrap();
    let dir = tempfile::tempdir_in(&here).unwrap();
    let relative = dir.path().strip_prefix(&here).unwrap();
    let opened = Directory::on_disk(relative).unwrap();
    let log = opened.storage.folder(names::LOG).unwrap();
    for path in [
        opened.storage.path("x"),
        log.path("x"),
        opened.index.clone().unwrap(),
    ] {
        assert!(path.starts_with(dir.path()), "{}", path.display());
    }
}
