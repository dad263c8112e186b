//! Clocks that run backwards, jump or stand still (row 37).

use std::sync::Arc;
use std::time::Duration;

use forelog::{EventSystem, ManualClock, Timestamp};

use crate::load::{self, Tag};

#[test]
fn order_never_depends_on_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
    let hour = Duration::from_secs(3600);
    let times = [
        now,
        now.plus(hour),
        now,
        "2020-01-01T00:00:00Z".parse().unwrap(),
        Timestamp(0),
        Timestamp(-1),
        Timestamp(i64::MIN),
        now.plus(hour),
        Timestamp(i64::MAX),
        now,
    ];
    let clock = Arc::new(ManualClock::new(now));
    let mut number = 0;
    for time in times {
        clock.set(time);
        let builder = EventSystem::builder().persistence_path(dir.path());
        let system = builder
            .segment_size(64 << 10)
            .clock(clock.clone())
            .open()
            .unwrap();
        for _ in 0..10 {
            let receipt = system.emit(Tag::alone(1, number).event_of(2000)).unwrap();
            number += 1;
            assert_eq!(receipt.seq.0, u64::from(number), "at {time}");
        }
        let mut seen = (0, Timestamp(i64::MIN));
        let replayed = system.replay().run(|event| {
            assert_eq!(load::check(event).number, seen.0, "at {time}");
            assert!(
                event.appended_at() >= seen.1,
                "at {time}: appended_at never decreases"
            );
            seen = (seen.0 + 1, event.appended_at());
            Ok(())
        });
        assert_eq!(replayed.unwrap(), u64::from(number));
        system.close().unwrap();
    }
}

#[test]
fn ids_of_the_system_differ_and_increase_whatever_the_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(now));
    let mut ids = Vec::new();
    for time in [now, Timestamp(now.0 - 3_600_000_000_000), Timestamp(0)] {
        clock.set(time);
        let builder = EventSystem::builder().persistence_path(dir.path());
        let system = builder.clock(clock.clone()).open().unwrap();
        for _ in 0..1000 {
            let event = forelog::Event::new("clock.tick", "test", &()).unwrap();
            let receipt = system.emit_with(event, forelog::Durability::Os).unwrap();
            ids.push(receipt.event_id);
        }
        system.close().unwrap();
        let opening = &ids[ids.len() - 1000..];
        assert!(opening.is_sorted_by(|a, b| a < b), "at {time}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3000);
}
