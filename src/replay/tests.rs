//! Projections over a whole log on a simulated disk.

mod live;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::dispatch::{Delivery, Phase, ReplayEnd, Role, Subscription};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::format::names;
use crate::format::record::Record;
use crate::log::LogConfig;
use crate::log::limits::{Retention, WhenPinned};
use crate::snapshot::Snapshots;
use crate::storage::sim::{CrashKind, SimDisk};

/// A log with projections on it.
struct Bed {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    ground: Ground,
}

impl Bed {
    fn on(disk: SimDisk) -> Result<Bed> {
        Bed::with(disk, LogConfig::default())
    }

    fn with(disk: SimDisk, config: LogConfig) -> Result<Bed> {
        let config = LogConfig {
            segment_len: 8 << 10,
            background: false,
            ..config
        };
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let folder = disk.storage().folder(names::LOG)?;
        let log = Log::open(folder, config, clock.clone(), Seq::ZERO)?;
        let snapshots = Snapshots::new(disk.storage().folder(names::SNAPSHOTS)?, log.log_id());
        let ground = Ground {
            log: Arc::new(log),
            snapshots,
            clock: clock.clone(),
        };
        Ok(Bed {
            disk,
            clock,
            ground,
        })
    }

    fn new() -> Bed {
        Bed::on(SimDisk::new()).unwrap()
    }

    fn emit(&self, number: u64) -> Result<Seq> {
        let data = rmp_serde::to_vec(&number).unwrap();
        let record = Record::new("number", "unit", self.clock.now(), &data)?;
        let log = &self.ground.log;
        let seq = log.append(&[record], Durability::Sync)?.last;
        log.wait_durable(seq)?;
        Ok(seq)
    }

    fn emit_all(&self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.emit(number).unwrap();
        }
    }

    /// How many events there were, and the sum of their numbers.
    fn sums(&self, version: u64) -> Result<Projection<(u64, u64)>> {
        let apply = |state: &mut (u64, u64), event: &EventRef<'_>| {
            state.0 += 1;
            state.1 += event.data::<u64>()?;
            Ok(())
        };
        let ground = self.ground.clone();
        Projection::open("sums", version, (0, 0), ground, Box::new(apply))
    }

    fn saved(&self) -> Vec<String> {
        let files = self.disk.files().into_iter();
        let names = files.filter_map(|(path, _)| Some(path.strip_prefix("snapshots/")?.to_owned()));
        names.collect()
    }
}

fn name(version: u64, position: u64) -> String {
    names::snapshot("sums", version, Seq(position))
}

fn sum_upto(last: u64) -> (u64, u64) {
    (last, last * (last + 1) / 2)
}

#[test]
fn snapshots_come_every_so_many_events_and_the_newest_are_kept() {
    let bed = Bed::new();
    bed.emit_all(1..=95);
    let mut sums = bed.sums(1).unwrap().snapshot_every(10).keep_snapshots(2);
    sums.catch_up().unwrap();
    assert_eq!(*sums.state(), sum_upto(95));
    assert_eq!(sums.saved(), Some(Seq(90)));
    assert_eq!(bed.saved(), [name(1, 80), name(1, 90)]);
}

#[test]
fn snapshots_come_by_the_systems_clock() {
    let bed = Bed::new();
    let mut sums = bed
        .sums(1)
        .unwrap()
        .snapshot_interval(Duration::from_secs(60));
    bed.emit_all(1..=5);
    sums.catch_up().unwrap();
    assert_eq!(sums.saved(), None, "no time has passed");
    bed.clock.advance(Duration::from_secs(60));
    sums.catch_up().unwrap();
    assert_eq!(sums.saved(), Some(Seq(5)));
    bed.clock.advance(Duration::from_secs(600));
    sums.catch_up().unwrap();
    assert_eq!(bed.saved(), [name(1, 5)], "nothing has come since");
}

#[test]
fn another_version_is_made_anew_with_progress_and_the_old_one_can_come_back() {
    let bed = Bed::new();
    bed.emit_all(1..=3_000);
    let mut old = bed.sums(1).unwrap();
    old.catch_up().unwrap();
    old.save().unwrap();
    drop(old);
    let mut new = bed.sums(2).unwrap();
    assert_eq!((new.position(), new.saved()), (Seq::ZERO, None));
    let mut told = Vec::new();
    assert_eq!(new.catch_up_with(|p| told.push(p)).unwrap(), 3_000);
    let positions: Vec<u64> = told.iter().map(|progress| progress.position.0).collect();
    assert_eq!(positions, [1_024, 2_048, 3_000]);
    let rest_fits = |p: &Progress| p.target == Seq(3_000) && p.applied == p.position.0;
    assert!(told.iter().all(rest_fits), "{told:?}");
    new.save().unwrap();
    let again = bed.sums(1).unwrap();
    assert_eq!(again.saved(), Some(Seq(3_000)));
}

#[test]
fn a_rebuild_replaces_what_was_wrong_and_one_that_fails_leaves_it() {
    let bed = Bed::new();
    bed.emit_all(1..=50);
    let mut sums = bed.sums(1).unwrap().snapshot_every(10);
    sums.catch_up().unwrap();
    // A state that no events give, saved as if it were right.
    let snapshots = &bed.ground.snapshots;
    snapshots.save("sums", 1, Seq(50), &(7, 7), 3).unwrap();
    let mut wrong = bed.sums(1).unwrap();
    assert_eq!(*wrong.state(), (7, 7));
    assert_eq!(wrong.rebuild(|_| {}).unwrap(), 50);
    assert_eq!(*wrong.state(), sum_upto(50));
    assert_eq!(bed.saved(), [name(1, 50)], "the older ones are as doubtful");
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let ground = bed.ground.clone();
    let apply = move |state: &mut (u64, u64), _: &EventRef<'_>| {
        *state = (1, 1);
        assert!(!breaks.load(Ordering::SeqCst), "broken");
        Ok(())
    };
    let mut panics = Projection::open("sums", 1, (0, 0), ground, Box::new(apply)).unwrap();
    broken.store(true, Ordering::SeqCst);
    let error = panics.rebuild(|_| {}).unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Handler, Some(Seq(1)))
    );
    assert!(error.message().contains("broken"), "{error}");
    assert_eq!(
        (*panics.state(), panics.position()),
        (sum_upto(50), Seq(50))
    );
}

#[test]
fn a_damaged_snapshot_costs_the_events_since_the_one_before() {
    let bed = Bed::new();
    bed.emit_all(1..=30);
    let mut sums = bed.sums(1).unwrap().snapshot_every(10);
    sums.catch_up().unwrap();
    drop(sums);
    let path = format!("snapshots/{}", name(1, 30));
    let flip = bed.disk.corrupt(&path, 65..66, |byte| byte[0] ^= 0x10);
    flip.unwrap();
    let mut sums = bed.sums(1).unwrap();
    assert_eq!(sums.saved(), Some(Seq(20)));
    assert_eq!(sums.catch_up().unwrap(), 10);
    assert_eq!(*sums.state(), sum_upto(30));
}

#[test]
fn any_state_of_the_past_can_be_had_by_seq_and_by_time() {
    let bed = Bed::new();
    for number in 1..=100 {
        bed.clock
            .set(Timestamp(1_000 * i64::try_from(number).unwrap()));
        bed.emit(number).unwrap();
    }
    let mut sums = bed.sums(1).unwrap().snapshot_every(30);
    for catches_up in [false, true] {
        if catches_up {
            sums.catch_up().unwrap();
        }
        for seq in [0, 1, 29, 30, 31, 99, 100] {
            assert_eq!(sums.state_at(Seq(seq)).unwrap(), sum_upto(seq), "{seq}");
        }
        assert_eq!(sums.state_at(Seq(1_000)).unwrap(), sum_upto(100));
        for (time, seq) in [(0, 0), (999, 0), (1_000, 1), (55_999, 55), (1 << 40, 100)] {
            let state = sums.state_at_time(Timestamp(time)).unwrap();
            assert_eq!(state, sum_upto(seq), "at {time}");
        }
    }
    assert_eq!(sums.position(), Seq(100), "it stays where it is");
}

#[test]
fn retention_waits_for_a_projection_and_is_not_passed_over_in_silence() {
    let bed = Bed::new();
    let log = bed.ground.log.clone();
    bed.emit_all(1..=500);
    let mut sums = bed.sums(1).unwrap().snapshot_every(100);
    sums.catch_up().unwrap();
    bed.emit_all(501..=1_000);
    log.retire_before(Seq(900)).unwrap();
    assert!(
        log.removed_upto() <= Seq(300),
        "the oldest snapshot is needed"
    );
    assert!(log.removed_upto() > Seq::ZERO, "and nothing before it");
    let error = sums.state_at(Seq(5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = sums.state_at_time(Timestamp(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(sums.state_at(Seq(450)).unwrap(), sum_upto(450));
    drop(sums);
    log.retire_before(Seq(900)).unwrap();
    assert!(log.removed_upto() > Seq(500));
    let mut late = bed.sums(1).unwrap();
    let error = late.catch_up().unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::NotFound, Some(Seq(501)))
    );
    late.rebuild(|_| {}).unwrap();
    assert_eq!(late.state().0, log.count(), "on request, from what is held");
}

/// Where the policy lets retention pass a projection, that finds out, wherever it stands.
#[test]
fn a_projection_whose_events_were_removed_says_so_and_is_never_wrong() {
    let config = LogConfig {
        retention: Retention {
            max_events: Some(200),
            ..Retention::default()
        },
        when_pinned: WhenPinned::Gap,
        ..LogConfig::default()
    };
    let bed = Bed::with(SimDisk::new(), config).unwrap();
    let mut sums = bed.sums(1).unwrap().snapshot_every(40);
    bed.emit_all(1..=100);
    sums.catch_up().unwrap();
    let live = bed.sums(1).unwrap();
    // Removed between two events of one stretch: the reader stands in a segment that has gone.
    let log = bed.ground.log.clone();
    let emitter = bed.ground.log.clone();
    let apply = move |count: &mut u64, event: &EventRef<'_>| {
        *count += 1;
        if event.seq() == Seq(50) {
            for _ in 0..600 {
                let record = Record::new("number", "unit", Timestamp(1), &[1])?;
                emitter.append(&[record], Durability::Os)?;
            }
        }
        Ok(())
    };
    let ground = bed.ground.clone();
    let mut count = Projection::open("count", 1, 0, ground, Box::new(apply)).unwrap();
    for _ in 0..3 {
        let error = count.catch_up().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    assert!(log.removed_upto() > Seq(300));
    let error = sums.catch_up().unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::NotFound, Some(Seq(101)))
    );
    assert_eq!(*sums.state(), sum_upto(100), "what it knows stays");
    let error = sums.state_at(Seq(150)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let live = live.follow().unwrap();
    let error = live.wait_for(Seq(700), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    sums.rebuild(|_| {}).unwrap();
    assert_eq!(sums.state().0, log.count());
}

/// A state that was never saved starts over after an error, and what retention has removed meanwhile
/// would be missing from it.
#[test]
fn a_state_does_not_start_over_without_what_it_was_begun_with() {
    let bed = Bed::new();
    bed.emit_all(1..=500);
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let apply = move |count: &mut u64, _: &EventRef<'_>| {
        assert!(!breaks.load(Ordering::SeqCst), "broken");
        *count += 1;
        Ok(())
    };
    let ground = bed.ground.clone();
    let mut count = Projection::open("count", 1, 0, ground, Box::new(apply)).unwrap();
    count.catch_up().unwrap();
    bed.ground.log.retire_before(Seq(400)).unwrap();
    assert!(bed.ground.log.removed_upto() > Seq::ZERO);
    bed.emit_all(501..=501);
    broken.store(true, Ordering::SeqCst);
    count.catch_up().unwrap_err();
    broken.store(false, Ordering::SeqCst);
    let error = count.catch_up().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    count.rebuild(|_| {}).unwrap();
    assert_eq!(*count.state(), bed.ground.log.count());
    count.catch_up().unwrap();
}

#[test]
fn a_state_whose_snapshots_are_all_lost_does_not_begin_behind_retention() {
    let bed = Bed::new();
    bed.emit_all(1..=500);
    let mut sums = bed.sums(1).unwrap();
    sums.catch_up().unwrap();
    sums.save().unwrap();
    drop(sums);
    bed.ground.log.retire_before(Seq(400)).unwrap();
    assert!(bed.ground.log.removed_upto() > Seq::ZERO);
    let file = format!("snapshots/{}", bed.saved()[0]);
    bed.disk.write_file(&file, b"damaged").unwrap();
    // Set aside by the first opening, it counts for the second one as well.
    for _ in 0..2 {
        let mut sums = bed.sums(1).unwrap();
        let error = sums.catch_up().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("rebuild"), "{error}");
    }
    let mut sums = bed.sums(1).unwrap();
    sums.rebuild(|_| {}).unwrap();
    assert_eq!(sums.state().0, bed.ground.log.count());
    drop(sums);
    bed.sums(1).unwrap().catch_up().unwrap();
    // Another version begins with what is held, as it is documented.
    bed.sums(2).unwrap().catch_up().unwrap();
}

/// Emits and catches up until the disk stops.
fn work(bed: &Bed) -> Result<()> {
    let mut sums = bed.sums(1)?.snapshot_every(3);
    for number in 1..=12 {
        bed.emit(number)?;
        sums.catch_up()?;
    }
    Ok(())
}

#[test]
fn after_a_crash_at_any_operation_the_state_is_what_the_events_give() {
    let count = {
        let bed = Bed::new();
        work(&bed).unwrap();
        bed.disk.op_count()
    };
    let mut from_snapshots = 0;
    for nth in 1..=count {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let Ok(bed) = Bed::on(disk.clone()) else {
            continue;
        };
        let worked = work(&bed);
        assert!(worked.is_err() || nth == count, "the disk stops at {nth}");
        for image in disk.images(CrashKind::System, 6, 12, nth) {
            let what = image.describe();
            let bed = Bed::on(image).unwrap();
            let mut sums = bed.sums(1).unwrap();
            from_snapshots += u64::from(sums.saved().is_some());
            sums.catch_up().unwrap();
            let mut truth = (0, 0);
            Replay::new(bed.ground.log.clone(), Roster::default(), Arc::default())
                .run(|event| {
                    truth = (truth.0 + 1, truth.1 + event.data::<u64>()?);
                    Ok(())
                })
                .unwrap();
            assert_eq!(*sums.state(), truth, "{what}");
        }
    }
    assert!(from_snapshots > 20, "{from_snapshots} began at a snapshot");
}

#[test]
fn a_replay_into_handlers_says_who_failed_where_and_does_not_wait_for_itself() {
    let system = crate::testing::TestSystem::new().unwrap();
    let outer = crate::system::EventSystem::clone(&system);
    let handler = move |delivery: &Delivery<'_>| match delivery.phase() {
        Phase::Replay if delivery.seq() == Seq(2) => Err("no second time".to_owned()),
        Phase::Replay => Ok(()),
        _ => {
            let replay = outer.replay().into_handlers();
            let waited = replay.run().unwrap_err();
            assert_eq!(waited.kind(), ErrorKind::Invalid);
            Ok(())
        }
    };
    let picky = Subscription::named("picky").role(Role::Projector);
    system.register_handler(picky, handler).unwrap();
    system.start().unwrap();
    for number in 1..=3 {
        let event = crate::event::Event::new("number", "unit", &number).unwrap();
        system.emit(event).unwrap();
    }
    system.drain_within(Duration::from_secs(30)).unwrap();
    let failed = system.replay().into_handlers().run().unwrap_err();
    assert_eq!(
        (failed.kind(), failed.seq()),
        (ErrorKind::Handler, Some(Seq(2)))
    );
    assert!(failed.to_string().contains("picky") && failed.to_string().contains("second time"));
    let running = system
        .replay()
        .into_handlers()
        .keep_going()
        .start()
        .unwrap();
    assert!(
        running
            .wait(Instant::now().checked_add(Duration::from_secs(30)))
            .unwrap()
    );
    let state = &running.progress()[0];
    assert_eq!(
        (state.delivered, state.failed, state.position),
        (2, 1, Seq(3))
    );
    assert_eq!((state.target, state.end), (Seq(3), Some(ReplayEnd::Done)));
    let bad = system.replay().types([""]).into_handlers().start();
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(system.parked("picky").len(), 0);
}
