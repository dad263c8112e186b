//! Which events are volatile: by call, by type, by system; and what that means for other rules.

use super::*;

#[test]
fn the_call_wins_over_the_type_and_the_type_over_the_system() -> Result<()> {
    let system = EventSystem::builder()
        .durability(Durability::Os)
        .durability_for("a.*", Durability::Volatile)
        .durability_for("a.b.*", Durability::Sync)
        .durability_for("a.b.c", Durability::Interval(Duration::from_secs(1)))
        .open()?;
    let level = |event_type| system.emit(number(event_type, 1)).unwrap().level;
    assert_eq!(level("x"), Level::Published);
    assert_eq!(level("a.x"), Level::Queued);
    assert_eq!(level("a.b.x"), Level::Synced);
    assert_eq!(level("a.b.c"), Level::Published);
    let valued = system.emit_value("a.x", "test", &1)?;
    assert_eq!(valued.level, Level::Queued);
    let asked = |event_type, durability| {
        let one = system.emit_with(number(event_type, 1), durability).unwrap();
        let later = system.emit_async_with(number(event_type, 1), durability);
        assert_eq!(later.unwrap().wait().unwrap().level, one.level);
        one.level
    };
    assert_eq!(asked("a.x", Durability::Sync), Level::Synced);
    assert_eq!(asked("a.b.x", Durability::Volatile), Level::Queued);
    assert_eq!(asked("x", Durability::Volatile), Level::Queued);
    let pending = system.emit_async(number("a.x", 1))?;
    assert_eq!(
        (pending.seq(), pending.wait()?.level),
        (Seq::ZERO, Level::Queued)
    );
    let bad = EventSystem::builder().durability_for("a*b", Durability::Os);
    assert_eq!(bad.open().unwrap_err().kind(), ErrorKind::Invalid);
    system.close()
}

#[test]
fn a_batch_has_the_strongest_durability_of_its_events() -> Result<()> {
    let system = ticking().durability(Durability::Os).open()?;
    let levels = |types: &[&str]| {
        let events: Vec<_> = types.iter().map(|one| number(one, 1)).collect();
        let receipts = system.emit_batch(&events).unwrap();
        assert_eq!(receipts.len(), types.len());
        let levels: BTreeSet<_> = receipts.iter().map(|one| one.level).collect();
        levels.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(levels(&["tick", "tick.bid"]), [Level::Queued]);
    assert_eq!(levels(&["tick", "order"]), [Level::Published]);
    assert_eq!(system.store().len(), 2);
    let events = [number("order", 1), number("order", 2)];
    let receipts = system.emit_batch_with(&events, Durability::Volatile)?;
    assert_eq!(receipts[1].level, Level::Queued);
    assert_ne!(receipts[0].event_id, receipts[1].event_id);
    assert_eq!(
        (system.store().len(), system.stats().volatile_events),
        (2, 4)
    );
    system.close()
}

#[test]
fn a_system_may_be_volatile_as_a_whole() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .durability(Durability::Volatile)
        .durability_for("order", Durability::Sync)
        .open()?;
    assert_eq!(system.emit(number("x", 1))?.level, Level::Queued);
    assert_eq!(system.emit(number("order", 1))?.level, Level::Synced);
    assert_eq!(system.emit_value("x", "test", &1)?.level, Level::Queued);
    assert_eq!(system.store().len(), 1);
    system.close()
}

#[test]
fn positions_refuse_volatile_events_and_duplicates_and_schedules_pass_them_by() -> Result<()> {
    let system = ticking()
        .expected_positions(true)
        .duplicates(DuplicatePolicy::WithinEvents(1000))
        .open()?;
    let (seen, handler) = recorder();
    system.register_handler(Subscription::named("x"), handler)?;
    system.start()?;
    let refused = system.emit_if(number("tick", 1), Seq::ZERO).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let event = number("tick", 2).with_id(forelog::EventId(77));
    for _ in 0..2 {
        assert_eq!(system.emit(&event)?.level, Level::Queued);
    }
    let durable = system.emit_with(&event, Durability::Sync)?;
    assert_eq!((durable.seq, durable.level), (Seq(1), Level::Synced));
    assert_eq!(system.last_seq_of("test")?, Seq(1));
    let id = system.emit_at(number("tick", 3), Timestamp(1))?;
    await_that("the scheduled one", || {
        let _ = system.emit_due();
        system.store().get_by_id(id).unwrap().is_some()
    });
    system.drain(Some(soon()))?;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [2, 2, 2, 3]);
    system.close()
}

#[test]
fn partitions_have_volatile_events_too() -> Result<()> {
    let system = PartitionedEventSystem::builder()
        .partitions(3)
        .each(ticking().max_queue_size(2))
        .open()?;
    let count = Arc::new(AtomicU64::new(0));
    let (mine, inner) = (count.clone(), system.clone());
    system.register_handler(
        Subscription::named("x"),
        move |delivery: &Delivery<'_>| -> Result<()> {
            let n: u64 = delivery.data()?;
            mine.fetch_add(1, Ordering::SeqCst);
            if n > 0 {
                // Into another partition, on queues that are full.
                let source = format!("{}+", delivery.source());
                inner.emit(Event::new("tick", source, &(n - 1))?)?;
            }
            Ok(())
        },
    )?;
    system.start()?;
    for source in 0..20 {
        let tick = Event::new("tick", source.to_string(), &20)?;
        assert_eq!(system.emit(tick)?.receipt.level, Level::Queued);
    }
    let batch = [number("tick", 0), number("tick", 0)];
    assert_eq!(system.emit_batch(&batch)?[1].receipt.seq, Seq::ZERO);
    let split = system.emit_split(&batch);
    assert!(
        split
            .iter()
            .all(|one| one.as_ref().unwrap().receipt.level == Level::Queued)
    );
    let kept = system.emit_with(number("tick", 0), Durability::Os)?;
    assert_eq!(kept.receipt.seq, Seq(1));
    system.close()?;
    assert_eq!(count.load(Ordering::SeqCst), 20 * 21 + 5);
    let stats = system.stats();
    assert_eq!((stats.volatile_events, stats.events), (20 * 21 + 4, 1));
    Ok(())
}
