//! How volatile events are delivered: in order, by handlers that have durable events too.

use super::*;

#[test]
fn volatile_events_come_in_order_to_all_who_want_them_and_show_no_seq() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let (named, handler) = recorder();
    let shows_none = |event: &EventRef<'_>| event.seq() == Seq::ZERO;
    let all = Subscription::named("all")
        .predicate(shows_none)
        .order_by(OrderBy::Key(Arc::new(move |event: &EventRef<'_>| {
            u64::from(!shows_none(event))
        })));
    system.register_handler(all, handler)?;
    let (unnamed, mut note) = recorder();
    system.register_handler(
        Subscription::unnamed().event_type("tick"),
        move |delivery: &Delivery<'_>| {
            assert!(delivery.is_volatile());
            assert_eq!(
                (delivery.seq(), delivery.event().seq()),
                (Seq::ZERO, Seq::ZERO)
            );
            assert_eq!((delivery.phase(), delivery.attempt()), (Phase::Live, 1));
            note(delivery);
        },
    )?;
    let (others, handler) = recorder();
    system.register_handler(Subscription::named("others").event_type("order"), handler)?;
    volatile(&system, 0);
    system.start()?;
    for n in 1..5_000 {
        volatile(&system, n);
    }
    system.drain(Some(soon()))?;
    assert_eq!(*named.lock().unwrap(), (0..5_000).collect::<Vec<_>>());
    assert_eq!(*unnamed.lock().unwrap(), (0..5_000).collect::<Vec<_>>());
    assert!(others.lock().unwrap().is_empty());
    let (late, handler) = recorder();
    system.register_handler(Subscription::named("late"), handler)?;
    let receipt = system.emit_with(number("tick", 5_000), Durability::Volatile)?;
    system.drain(Some(soon()))?;
    assert_eq!(*late.lock().unwrap(), [5_000], "from its registration on");
    assert!(system.store().is_empty());
    assert!(system.store().get_by_id(receipt.event_id)?.is_none());
    assert!(system.store().get(receipt.seq)?.is_none());
    assert_eq!(system.store().by_type("tick").count(), 0);
    assert!(system.wait(&receipt, Level::Queued).is_ok());
    let error = system.wait(&receipt, Level::Published).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let stats = system.stats();
    assert_eq!(
        (stats.volatile_events, stats.events, stats.last_seq),
        (5_001, 0, Seq::ZERO)
    );
    assert_eq!(state_of(&system, "all").delivered, 5_001);
    system.close()
}

#[test]
fn a_handler_is_never_called_by_two_threads_at_once() -> Result<()> {
    let system = ticking().durability(Durability::Os).open()?;
    let busy = Arc::new(AtomicBool::new(false));
    let (mine, counts) = (busy.clone(), Arc::new([const { AtomicU64::new(0) }; 2]));
    let counted = counts.clone();
    system.register_handler(Subscription::named("x"), move |delivery: &Delivery<'_>| {
        assert!(!mine.swap(true, Ordering::SeqCst), "it is running");
        std::hint::spin_loop();
        counted[usize::from(delivery.is_volatile())].fetch_add(1, Ordering::SeqCst);
        assert!(mine.swap(false, Ordering::SeqCst));
    })?;
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let batch_busy = AtomicBool::new(false);
    let batched = Arc::new(AtomicU64::new(0));
    let count = batched.clone();
    let batch = move |rows: &[Delivery<'_>]| {
        assert!(!batch_busy.swap(true, Ordering::SeqCst), "it is running");
        assert!(
            rows.iter()
                .all(|row| row.is_volatile() == (row.seq() == Seq::ZERO))
        );
        count.fetch_add(rows.len() as u64, Ordering::SeqCst);
        assert!(batch_busy.swap(false, Ordering::SeqCst));
    };
    system.register_batch_handler(Subscription::named("rows"), size, batch)?;
    system.start()?;
    std::thread::scope(|scope| {
        for event_type in ["tick", "order"] {
            let system = &system;
            scope.spawn(move || {
                for n in 0..20_000 {
                    system.emit(number(event_type, n)).unwrap();
                }
            });
        }
    });
    system.drain(Some(soon()))?;
    let counts: Vec<u64> = counts
        .iter()
        .map(|one| one.load(Ordering::SeqCst))
        .collect();
    assert_eq!(counts, [20_000, 20_000]);
    assert_eq!(batched.load(Ordering::SeqCst), 40_000);
    assert!(system.parked("x").is_empty() && system.parked("rows").is_empty());
    assert_eq!(state_of(&system, "x").given_up, 0);
    system.close()
}

#[test]
fn handlers_emit_either_kind_on_full_queues_and_nobody_waits_for_himself() -> Result<()> {
    let system = ticking().max_queue_size(2).open()?;
    for (name, wanted) in [("one", "order"), ("two", "tick")] {
        let inner = system.clone();
        let subscription = Subscription::named(name).event_type(wanted);
        system.register_handler(subscription, move |delivery: &Delivery<'_>| -> Result<()> {
            let n: u64 = delivery.data()?;
            for event_type in ["tick", "order"] {
                if n > 0 {
                    inner.emit(number(event_type, n - 1))?;
                }
            }
            Ok(())
        })?;
    }
    let caused = Arc::new(AtomicU64::new(0));
    let count = caused.clone();
    system.register_handler(
        Subscription::named("all"),
        move |delivery: &Delivery<'_>| {
            let is_answer = delivery.header(CAUSATION_HEADER).is_some();
            count.fetch_add(u64::from(is_answer), Ordering::SeqCst);
        },
    )?;
    system.start()?;
    // The first volatile event of all is emitted by a handler.
    system.emit(number("order", 9))?;
    let answers = (1..=9).map(|depth| 1_u64 << depth).sum::<u64>();
    await_that("every answer", || caused.load(Ordering::SeqCst) == answers);
    system.close()
}

#[test]
fn closing_drains_both_and_says_who_is_behind() -> Result<()> {
    let system = ticking().open()?;
    let (seen, handler) = recorder();
    system.register_handler(Subscription::named("x"), handler)?;
    system.start()?;
    for n in 0..20_000 {
        system.emit(number(if n % 7 == 0 { "order" } else { "tick" }, n))?;
    }
    system.close()?;
    let all: BTreeSet<u64> = seen.lock().unwrap().iter().copied().collect();
    assert_eq!(all.len(), 20_000);
    let closed = system.emit(number("tick", 1)).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);

    let system = ticking().drain_timeout(Duration::ZERO).open()?;
    let (begins, go, handler) = gated();
    system.register_handler(Subscription::named("slow"), handler)?;
    system.start()?;
    volatile(&system, 0);
    volatile(&system, 1);
    begins.recv_timeout(PATIENCE).unwrap();
    let other = system.clone();
    let closing = std::thread::spawn(move || other.close());
    await_that("the close", || system.emit(number("order", 0)).is_err());
    drop(go);
    let error = closing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handler);
    assert!(
        error.to_string().contains("slow (volatile events)"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_system_that_is_closed_makes_no_engine() -> Result<()> {
    let system = ticking().open()?;
    system.close()?;
    let closed = system.emit(number("tick", 1)).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    assert_eq!(system.stats().volatile_events, 0);
    Ok(())
}

#[test]
fn a_failing_volatile_event_is_tried_again_before_those_behind_it() -> Result<()> {
    let system = ticking().open()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mine = seen.clone();
    let policy = RetryPolicy {
        attempts_max: 3,
        backoff_initial: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    let fails = Subscription::named("fails").retry(policy);
    system.register_handler(fails, move |delivery: &Delivery<'_>| {
        let n: u64 = delivery.data().unwrap();
        mine.lock().unwrap().push((n, delivery.attempt()));
        match (n, delivery.attempt()) {
            (1, 1) => Outcome::Retry,
            (2, _) => panic!("on purpose"),
            (3, _) => Outcome::Park("no good".into()),
            _ => Outcome::Ack,
        }
    })?;
    let deferring = |delivery: &Delivery<'_>| {
        let token = delivery.defer();
        assert_eq!(token.seq(), Seq::ZERO);
        std::thread::spawn(move || token.ack());
    };
    system.register_handler(Subscription::named("defers"), deferring)?;
    system.start()?;
    for n in 0..5 {
        volatile(&system, n);
    }
    system.drain(Some(soon()))?;
    let wanted = [
        (0, 1),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, 1),
        (4, 1),
    ];
    assert_eq!(*seen.lock().unwrap(), wanted);
    let state = state_of(&system, "fails");
    assert_eq!((state.delivered, state.given_up), (3, 2));
    assert_eq!(state.last_error.as_deref(), Some("no good"));
    assert!(system.parked("fails").is_empty());
    assert_eq!(state_of(&system, "defers").delivered, 5);
    system.close()
}

#[test]
fn parallel_handlers_keep_the_order_of_each_key() -> Result<()> {
    let system = ticking().open()?;
    let seen = Arc::new(Mutex::new(Vec::<(String, u64)>::new()));
    let mine = seen.clone();
    let parallel = Subscription::named("parallel").concurrency(3);
    system.register_parallel(parallel, move |delivery: &Delivery<'_>| {
        let one = (delivery.source().to_owned(), delivery.data().unwrap());
        mine.lock().unwrap().push(one);
    })?;
    system.start()?;
    for n in 0..3_000_u64 {
        system.emit(Event::new("tick", (n % 5).to_string(), &n)?)?;
    }
    system.drain(Some(soon()))?;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3_000);
    for key in 0..5 {
        let of_key = seen.iter().filter(|(source, _)| *source == key.to_string());
        assert!(of_key.map(|(_, n)| n).is_sorted());
    }
    system.close()
}

#[test]
fn threads_that_emit_the_first_volatile_event_together_lose_none() -> Result<()> {
    for round in 0..20 {
        let system = ticking().open()?;
        let (seen, handler) = recorder();
        system.register_handler(Subscription::named("x"), handler)?;
        if round % 2 == 0 {
            system.start()?;
        }
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let system = &system;
                scope.spawn(move || volatile(system, thread));
            }
            let system = &system;
            scope.spawn(move || system.start().unwrap());
        });
        system.drain(Some(soon()))?;
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3], "round {round}");
        system.close()?;
    }
    Ok(())
}
