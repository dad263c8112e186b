//! Where volatile events are: not on disk, and in bounded memory.

use super::*;

fn holds(path: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(path).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn nothing_of_a_volatile_event_is_on_disk() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = ticking()
        .persistence_path(dir.path())
        .segment_size(256 << 10)
        .open()?;
    let failing = RetryPolicy {
        attempts_max: 2,
        backoff_initial: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let billing = Subscription::named("billing").retry(failing);
    system.register_handler(billing, |_: &Delivery<'_>| false)?;
    system.start()?;
    let mut ids = Vec::new();
    for event_type in ["tick.secret", "order.plain"] {
        let event = Event::new(event_type, format!("source of {event_type}"), &"content")?;
        ids.push(system.emit(event)?.event_id);
    }
    system.drain(Some(soon()))?;
    let state = state_of(&system, "billing");
    assert_eq!((state.given_up, state.lag, state.delivered), (1, 0, 0));
    assert!(state.last_error.is_some());
    assert_eq!(system.parked("billing").len(), 1, "only the durable one");
    for is_open in [true, false] {
        assert!(holds(dir.path(), b"order.plain") && holds(dir.path(), &ids[1].0.to_le_bytes()));
        assert!(!holds(dir.path(), b"tick.secret"), "open: {is_open}");
        assert!(
            !holds(dir.path(), &ids[0].0.to_le_bytes()),
            "open: {is_open}"
        );
        system.close()?;
    }
    Ok(())
}

#[test]
fn a_crash_loses_volatile_events_and_no_others() -> Result<()> {
    for crash in [Crash::Process, Crash::PowerCut, Crash::PowerCutBy(7)] {
        let mut system = TestSystem::with(ticking().segment_size(256 << 10))?;
        let (seen, handler) = recorder();
        system.register_handler(Subscription::named("x"), handler)?;
        for n in 0..100 {
            let event_type = if n % 2 == 0 { "tick" } else { "order" };
            system.emit(number(event_type, n))?;
        }
        system.crash(crash)?;
        assert!(seen.lock().unwrap().is_empty(), "it was not started");
        let (seen, handler) = recorder();
        system.register_handler(Subscription::named("x"), handler)?;
        system.start()?;
        system.drain_within(PATIENCE)?;
        let odd: Vec<u64> = (0..100).filter(|n| n % 2 == 1).collect();
        assert_eq!(*seen.lock().unwrap(), odd, "{crash:?}");
        system.emit(number("tick", 1000))?;
        system.drain_within(PATIENCE)?;
        assert_eq!(seen.lock().unwrap().last(), Some(&1000));
        system.restart()?;
        assert_eq!(system.stats().volatile_events, 0);
    }
    Ok(())
}

/// Emits a million volatile events; returns the most bytes that were held.
fn flood(system: &EventSystem) -> u64 {
    let mut most = 0;
    for n in 0..1_000_000_u64 {
        system.emit_value("tick", "test", &n).unwrap();
        if n % 1000 == 0 {
            most = most.max(system.stats().volatile_bytes);
        }
    }
    most.max(system.stats().volatile_bytes)
}

#[test]
fn a_million_events_for_nobody_take_the_memory_of_a_few_segments() -> Result<()> {
    let system = ticking().open()?;
    let most = flood(&system);
    // The active one, a full one, and what becomes full while the housekeeping goes its round.
    assert!(most < 24 << 20, "{most}");
    assert_eq!(system.stats().volatile_events, 1_000_000);
    system.close()
}

#[test]
fn a_million_events_for_a_slow_handler_take_no_more_than_the_queue() -> Result<()> {
    let system = ticking().max_queue_size(1_000).open()?;
    let count = Arc::new(AtomicU64::new(0));
    let mine = count.clone();
    system.register_handler(Subscription::named("slow"), move |_: &Delivery<'_>| {
        if mine.fetch_add(1, Ordering::SeqCst).is_multiple_of(100_000) {
            std::thread::sleep(Duration::from_millis(20));
        }
    })?;
    system.start()?;
    let most = flood(&system);
    // How soon housekeeping gives segments back depends on the machine: all of them are far more.
    assert!(most < 64 << 20, "{most}");
    system.drain(Some(soon()))?;
    assert_eq!(count.load(Ordering::SeqCst), 1_000_000, "lossless");
    assert_eq!(state_of(&system, "slow").skipped, 0);
    system.close()
}

#[test]
fn subscriptions_that_are_not_waited_for_hold_little_and_count_what_they_lose() -> Result<()> {
    let system = ticking().max_queue_size(1_000).open()?;
    let paused = Subscription::named("paused").when_behind(WhenBehind::Pause(100));
    let (seen, handler) = recorder();
    system.register_handler(paused, handler)?;
    let (_, handler) = recorder();
    system.register_handler(Subscription::named("unstarted"), handler)?;
    system.pause("paused", "for a test")?;
    let most = flood(&system);
    assert!(most < 64 << 20, "{most}");
    system.start()?;
    assert!(seen.lock().unwrap().is_empty());
    system.resume("paused")?;
    system.drain(Some(soon()))?;
    for name in ["paused", "unstarted"] {
        let state = state_of(&system, name);
        assert!(state.skipped > 0, "{name}");
        assert_eq!(state.delivered + state.skipped, 1_000_000, "{name}");
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.last(), Some(&999_999), "the newest are kept");
    assert!(seen.is_sorted());
    drop(seen);
    system.close()
}

#[test]
fn what_a_paused_subscription_holds_comes_when_it_is_resumed() -> Result<()> {
    let system = ticking().max_queue_size(10).open()?;
    let (seen, handler) = recorder();
    let id = system.register_handler(Subscription::named("x"), handler)?;
    system.start()?;
    volatile(&system, 0);
    system.drain(Some(soon()))?;
    system.pause("x", "for a test")?;
    for n in 1..1000 {
        volatile(&system, n);
    }
    await_that("the end of what was let in", || {
        state_of(&system, "x").lag > 900
    });
    assert!(seen.lock().unwrap().len() < 100, "it is paused");
    system.resume("x")?;
    system.drain(Some(soon()))?;
    assert_eq!(*seen.lock().unwrap(), (0..1000).collect::<Vec<_>>());
    // Without a handler the name holds nothing, and can be deleted.
    system.unregister_handler(id)?;
    volatile(&system, 1000);
    system.delete_subscription("x")?;
    let (again, handler) = recorder();
    system.register_handler(Subscription::named("x"), handler)?;
    volatile(&system, 1001);
    system.drain(Some(soon()))?;
    assert_eq!(*again.lock().unwrap(), [1001]);
    assert_eq!(seen.lock().unwrap().len(), 1000);
    system.close()
}

#[test]
fn a_full_queue_holds_emitters_up_by_its_policy() -> Result<()> {
    let rejecting = ticking().max_queue_size(5).when_full(WhenFull::Reject);
    let system = rejecting.open()?;
    let (begins, go, handler) = gated();
    system.register_handler(Subscription::named("slow"), handler)?;
    system.start()?;
    volatile(&system, 0);
    assert_eq!(begins.recv_timeout(PATIENCE), Ok(0));
    for n in 1..5 {
        volatile(&system, n);
    }
    assert_eq!(system.stats().volatile_depth, 5);
    let full = system.emit(number("tick", 5)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    // The bound of durable events is another one.
    system.emit(number("order", 100))?;
    drop(go);
    system.drain(Some(soon()))?;
    volatile(&system, 5);
    system.drain(Some(soon()))?;
    let ticks: Vec<u64> = begins.try_iter().filter(|&n| n < 100).collect();
    assert_eq!(
        ticks,
        (1..=5).collect::<Vec<_>>(),
        "what was rejected is nowhere"
    );
    system.close()
}

#[test]
fn an_event_too_large_for_memory_is_refused() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let event = Event::new("tick", "test", &"x".repeat(1 << 20))?;
    let refused = system.emit_with(&event, Durability::Volatile).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert!(refused.to_string().contains("volatile"), "{refused}");
    assert_eq!(system.emit(&event)?.level, Level::Synced);
    system.close()
}

/// Emits until the queue is full; returns how many went in.
fn fill(system: &EventSystem, at_most: u64) -> u64 {
    let goes_in = |n: &u64| {
        let full = system.emit(number("tick", *n)).err();
        assert!(
            full.as_ref()
                .is_none_or(|error| error.kind() == ErrorKind::QueueFull),
            "{full:?}"
        );
        full.is_none()
    };
    (0..at_most).take_while(goes_in).count() as u64
}

#[test]
fn emitters_do_not_run_ahead_of_a_thread_that_has_yet_to_begin() -> Result<()> {
    let system = ticking()
        .max_queue_size(10)
        .when_full(WhenFull::Reject)
        .open()?;
    let (_begins, go, handler) = gated();
    system.register_handler(Subscription::named("slow"), handler)?;
    system.start()?;
    // The thread begins with the first event, and some later than these are emitted.
    assert_eq!(fill(&system, 1_000), 10);
    drop(go);
    system.drain(Some(soon()))?;
    assert_eq!(state_of(&system, "slow").delivered, 10);
    system.close()
}

#[test]
fn emitters_wait_for_one_that_is_resumed_far_behind() -> Result<()> {
    let system = ticking()
        .max_queue_size(10)
        .when_full(WhenFull::Reject)
        .open()?;
    let (begins, go, handler) = gated();
    system.register_handler(Subscription::named("back"), handler)?;
    system.start()?;
    system.pause("back", "for a test")?;
    assert_eq!(fill(&system, 1_000), 1_000, "nobody waits for it");
    system.resume("back")?;
    begins.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fill(&system, 1_000), 0, "memory holds no more for it");
    drop(go);
    system.drain(Some(soon()))?;
    let state = state_of(&system, "back");
    assert_eq!((state.delivered, state.skipped), (1_000, 0));
    system.close()
}
