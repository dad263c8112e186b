//! Beside a writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn following_sees_every_event_once_over_many_segments() {
    let fixture = Fixture::new();
    let log = fixture.log();
    Fixture::emit(&log, 1..=10, Durability::Os);
    let writing = AtomicBool::new(true);
    let mut seqs = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Fixture::emit(&log, 11..=3000, Durability::Os);
            let events: Vec<_> = (3001..=3100).map(event).collect();
            let records: Vec<_> = events.iter().map(|e| Record::of(e).unwrap()).collect();
            log.append(&records, Durability::Os).unwrap();
            writing.store(false, Ordering::Release);
        });
        let mut follow = fixture.inspector().follow(Selector::all()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        let wait = || {
            std::thread::yield_now();
            assert!(Instant::now() < deadline, "the writer's events do not come");
            true
        };
        while seqs.len() < 3100 {
            seqs.push(follow.next_or(wait).unwrap().unwrap().seq().0);
        }
        assert!(follow.poll().unwrap().is_none());
    });
    assert!(!writing.load(Ordering::Acquire));
    assert_eq!(seqs, (1..=3100).collect::<Vec<_>>());
}

#[test]
fn following_goes_on_over_a_crash_and_a_recovery() {
    let fixture = Fixture::new();
    let mut follow = None;
    let mut seqs = Vec::new();
    for round in 0..4 {
        let log = fixture.log();
        let follow = follow.get_or_insert_with(|| {
            fixture
                .inspector()
                .follow(Selector::all().filter(types(&["order.*"])))
                .unwrap()
        });
        Fixture::emit(&log, round * 50 + 1..=round * 50 + 50, Durability::Os);
        while let Some(event) = follow.poll().unwrap() {
            seqs.push(event.seq().0);
        }
        // Dropped without closing: the next opening recovers.
    }
    assert_eq!(seqs, (1..=200).filter(|n| n % 3 != 2).collect::<Vec<_>>());
}

#[test]
fn following_ends_at_its_limit_and_at_its_last_seq() {
    let fixture = Fixture::closed(100);
    for selector in [
        Selector::all().limit(5),
        Selector::all().to(Bound::Seq(Seq(5))),
    ] {
        let mut follow = fixture.inspector().follow(selector).unwrap();
        for seq in 1..=5 {
            assert_eq!(follow.poll().unwrap().unwrap().seq(), Seq(seq));
        }
        assert!(
            follow
                .next_or(|| panic!("nothing to wait for"))
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn following_a_directory_that_begins_later() {
    let fixture = Fixture::new();
    let lock = DirLock::acquire(fixture.path()).unwrap();
    let mut follow = fixture.inspector().follow(Selector::all()).unwrap();
    assert!(follow.poll().unwrap().is_none());
    let log = fixture.log();
    Fixture::emit(&log, 1..=3, Durability::Os);
    for seq in 1..=3 {
        assert_eq!(follow.poll().unwrap().unwrap().seq(), Seq(seq));
    }
    drop(lock);
}

#[test]
fn damage_behind_which_the_log_went_on_is_reported_by_a_follower() {
    let fixture = Fixture::closed(2000);
    fixture.edit(3, |bytes| bytes[30_000] ^= 1);
    let mut follow = fixture.inspector().follow(Selector::all()).unwrap();
    let mut count = 0;
    let mut errors = 0;
    loop {
        match follow.poll() {
            Ok(Some(_)) => count += 1,
            Ok(None) => break,
            Err(_) => errors += 1,
        }
    }
    assert_eq!((count, errors), (1999, 1));
}

#[test]
fn a_folder_that_was_away_for_a_while_costs_a_follower_no_event() {
    let fixture = Fixture::new();
    let _lock = DirLock::acquire(fixture.path()).unwrap();
    let log = fixture.log();
    Fixture::emit(&log, 1..=3, Durability::Os);
    let mut follow = fixture.inspector().follow(Selector::all()).unwrap();
    for seq in 1..=3 {
        assert_eq!(follow.poll().unwrap().unwrap().seq(), Seq(seq));
    }
    assert!(follow.poll().unwrap().is_none());
    let (folder, away) = (fixture.path().join("log"), fixture.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    for _ in 0..3 {
        let error = follow.poll().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    Fixture::emit(&log, 4..=6, Durability::Os);
    fs::rename(&away, &folder).unwrap();
    for seq in 4..=6 {
        assert_eq!(follow.poll().unwrap().unwrap().seq(), Seq(seq));
    }
}

#[test]
fn verifying_beside_a_writer_finds_no_damage() {
    let fixture = Fixture::new();
    let _lock = DirLock::acquire(fixture.path()).unwrap();
    let log = fixture.log();
    let writing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Fixture::emit(&log, 1..=4000, Durability::Os);
            writing.store(false, Ordering::Release);
        });
        let mut last = Seq::ZERO;
        while writing.load(Ordering::Acquire) {
            let report = fixture.verify();
            assert_eq!(report.log.damage, vec![]);
            assert_eq!(report.verdict, Verdict::Good);
            assert!(report.log.last >= last);
            last = report.log.last;
        }
    });
    assert_eq!(fixture.verify().log.count, 4000);
}
