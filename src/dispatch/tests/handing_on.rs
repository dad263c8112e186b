//! Deliveries that are put off, handled by several threads, or in batches.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::dispatch::crew::Crew;

/// A handler that puts everything off, and where its tokens are.
fn putting_off() -> (Arc<Mutex<Vec<AckToken>>>, impl Handler) {
    let tokens = Arc::<Mutex<Vec<AckToken>>>::default();
    let mine = tokens.clone();
    let handler = move |delivery: &Delivery<'_>| {
        mine.lock().unwrap().push(delivery.defer());
        // What is returned or thrown after that does not count.
        Outcome::Park("no".into())
    };
    (tokens, handler)
}

fn take(tokens: &Mutex<Vec<AckToken>>, seq: u64) -> AckToken {
    let mut tokens = tokens.lock().unwrap();
    let at = tokens.iter().position(|token| token.seq() == Seq(seq));
    tokens.remove(at.unwrap())
}

fn seqs(tokens: &Mutex<Vec<AckToken>>) -> Vec<u64> {
    let tokens = tokens.lock().unwrap();
    tokens.iter().map(|token| token.seq().0).collect()
}

#[test]
fn tokens_are_resolved_in_any_order_and_keys_keep_theirs() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    for (number, source) in (0..).zip(["a", "b", "a", "c"]) {
        rig.emit_from(source, number);
    }
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    assert_eq!(seqs(&tokens), [1, 2, 4], "3 waits behind 1");
    take(&tokens, 4).ack();
    take(&tokens, 2).ack();
    run(&mut worker);
    let position = worker.desk.seat.position.clone();
    assert_eq!((position.get(), position.counted()), (Seq::ZERO, 2));
    take(&tokens, 1).ack();
    run(&mut worker);
    assert_eq!((seqs(&tokens), position.get()), (vec![3], Seq(2)));
    worker.rest();
    // The process ends: only what was not resolved comes again.
    let rig = Rig::on(&killed(&disk));
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    assert_eq!(seqs(&tokens), [3]);
    std::thread::scope(|scope| scope.spawn(|| take(&tokens, 3).ack()).join().unwrap());
    run(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq(4));
    assert_eq!(worker.desk.seat.state(Seq(4)).delivered, 1);
}

#[test]
fn a_dropped_token_asks_for_another_attempt_and_one_counts_once() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..1);
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x").retry(quick(3)), handler);
    run(&mut worker);
    drop(take(&tokens, 1));
    run(&mut worker);
    let second = take(&tokens, 1);
    assert_eq!(second.attempt(), 2);
    second.park("not this one");
    run(&mut worker);
    let parked = rig.dispatcher.parked("x");
    assert_eq!(
        (parked[0].attempts, parked[0].reason.as_str()),
        (2, "not this one")
    );
    assert_eq!(worker.desk.seat.position.get(), Seq(1));
    // A parked event can be put off as well: it stays parked until the token is resolved.
    worker.redeliver(Seq(1)).unwrap();
    worker.redeliver(Seq(1)).unwrap();
    assert_eq!(seqs(&tokens), [1]);
    take(&tokens, 1).retry();
    run(&mut worker);
    assert_eq!(rig.dispatcher.parked("x")[0].attempts, 3);
    worker.redeliver(Seq(1)).unwrap();
    take(&tokens, 1).ack();
    run(&mut worker);
    assert!(rig.dispatcher.parked("x").is_empty());
}

/// The parked event that a token stands for is discarded, and comes again by a seek as any other.
#[test]
fn a_token_of_a_discarded_event_does_not_stand_for_a_later_delivery() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..1);
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x").retry(quick(5)), handler);
    run(&mut worker);
    take(&tokens, 1).park("no");
    run(&mut worker);
    worker.redeliver(Seq(1)).unwrap();
    let of_parked = take(&tokens, 1);
    assert_eq!(of_parked.attempt(), 2);
    rig.dispatcher.discard("x", Seq(1)).unwrap();
    run(&mut worker);
    worker.seek(Seq::ZERO).unwrap();
    run(&mut worker);
    take(&tokens, 1).retry();
    run(&mut worker);
    let second = take(&tokens, 1);
    assert_eq!(second.attempt(), 2);
    second.ack();
    run(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq(1));
    of_parked.ack();
    run(&mut worker);
}

#[test]
fn a_token_from_before_a_seek_no_longer_counts() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..1);
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    let before = take(&tokens, 1);
    worker.seek(Seq::ZERO).unwrap();
    run(&mut worker);
    before.ack();
    run(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq::ZERO);
    take(&tokens, 1).ack();
    run(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq(1));
}

#[test]
fn tokens_wake_a_worker_and_outlive_it() {
    let rig = Rig::in_memory(1000);
    let (tokens, handler) = putting_off();
    let id = rig.subscribe(Subscription::named("x"), handler);
    rig.dispatcher.start().unwrap();
    for number in 0..100 {
        rig.emit_from(&number.to_string(), number);
    }
    await_that("the tokens", || tokens.lock().unwrap().len() == 100);
    let kept = tokens.lock().unwrap().pop().unwrap();
    for token in tokens.lock().unwrap().drain(..).rev() {
        token.ack();
    }
    await_that("the acks", || rig.state(id).delivered == 99);
    assert_eq!(rig.state(id).position, Seq(99));
    kept.ack();
    rig.drain();
    rig.emit_from("late", 100);
    await_that("one more", || tokens.lock().unwrap().len() == 1);
    let late = take(&tokens, 101);
    rig.close();
    late.ack();
}

/// Handlers that note what each gets, and how many there are.
fn parallel(seen: &Seen) -> Handlers {
    let seen = seen.clone();
    Handlers::Many(Box::new(move || {
        let mine = seen.clone();
        Box::new(move |delivery: &Delivery<'_>| {
            note(&mine, delivery);
        })
    }))
}

#[test]
fn lanes_get_one_event_of_a_key_at_a_time() {
    let rig = Rig::on(&SimDisk::new());
    for number in 0..9 {
        rig.emit_from(&(number % 3).to_string(), number);
    }
    let seen = Seen::default();
    let subscription = Subscription::named("x").concurrency(2);
    let mut worker = rig.attach_all(subscription, parallel(&seen));
    for round in 1..=3 {
        run(&mut worker);
        let Crew::Lanes(lanes, _) = &mut worker.crew else {
            panic!("it has lanes");
        };
        assert_eq!(lanes.work_off(), 3);
        run(&mut worker);
        assert_eq!(worker.desk.seat.position.get(), Seq(round * 3));
    }
    assert_eq!(numbers(&seen), (0..9).collect::<Vec<_>>());
}

#[test]
fn threads_keep_the_order_of_each_key_and_work_at_the_same_time() {
    let rig = Rig::in_memory(100_000);
    let (seen, together) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let (mine, both, within) = (seen.clone(), together.clone(), Arc::new(AtomicU64::new(0)));
    let handlers = Handlers::Many(Box::new(move || {
        let (mine, both, within) = (mine.clone(), both.clone(), within.clone());
        Box::new(move |delivery: &Delivery<'_>| {
            if within.fetch_add(1, Ordering::SeqCst) > 0 {
                both.store(true, Ordering::SeqCst);
            }
            let number = note(&mine, delivery);
            let begun = Instant::now();
            while number < 8 && !both.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            within.fetch_sub(1, Ordering::SeqCst);
            // Every seventh fails at first.
            !number.is_multiple_of(7) || delivery.attempt() > 1
        })
    }));
    let subscription = Subscription::named("x").concurrency(3).retry(quick(5));
    let id = rig.dispatcher.subscribe(subscription, handlers).unwrap();
    rig.dispatcher.start().unwrap();
    for number in 0..5000 {
        rig.emit_from(&(number % 10).to_string(), number);
    }
    rig.drain();
    assert!(
        together.load(Ordering::SeqCst),
        "two were never handled at the same time"
    );
    assert_eq!(rig.state(id).delivered, 5000);
    let seen = seen.lock().unwrap();
    for key in 0..10 {
        let of_key = seen.iter().filter(|one| one.0 % 10 == key);
        let tries: Vec<_> = of_key.map(|one| (one.0, one.1)).collect();
        let mut expected = Vec::new();
        for number in (key..5000).step_by(10) {
            expected.extend((1..=1 + u32::from(number % 7 == 0)).map(|nth| (number, nth)));
        }
        assert_eq!(tries, expected, "key {key}");
    }
    drop(seen);
    rig.close();
}

fn batches(size: BatchSize, bad: Option<u64>) -> (Arc<Mutex<Vec<Vec<u64>>>>, Handlers) {
    let seen = Arc::<Mutex<Vec<Vec<u64>>>>::default();
    let mine = seen.clone();
    let handler = move |deliveries: &[Delivery<'_>]| {
        let numbers: Vec<u64> = deliveries.iter().map(|one| one.data().unwrap()).collect();
        let is_bad = bad.is_some_and(|bad| numbers.contains(&bad));
        mine.lock().unwrap().push(numbers);
        !is_bad
    };
    (seen, Handlers::Batch(Box::new(handler), size))
}

#[test]
fn a_batch_is_handed_over_when_it_is_full_or_its_linger_is_over() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..7);
    let size = BatchSize {
        count_max: 3,
        linger: Duration::from_secs(1),
    };
    let (seen, handlers) = batches(size, None);
    let mut worker = rig.attach_all(Subscription::named("x"), handlers);
    let until = Some(rig.clock.now().plus(size.linger));
    assert_eq!(run(&mut worker), Progress::Idle { held: false, until });
    assert_eq!(*seen.lock().unwrap(), [[0, 1, 2], [3, 4, 5]]);
    assert_eq!(worker.desk.seat.position.get(), Seq(6));
    rig.emit(7..8);
    run(&mut worker);
    rig.clock.advance(size.linger);
    run(&mut worker);
    assert_eq!(seen.lock().unwrap()[2], [6, 7]);
    assert_eq!(worker.desk.seat.position.get(), Seq(8));
}

#[test]
fn what_failed_in_a_batch_comes_again_on_its_own() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..4);
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let (seen, handlers) = batches(size, Some(2));
    let mut worker = rig.attach_all(Subscription::named("x").retry(quick(2)), handlers);
    rig.run_fast(&mut worker);
    let expected: [&[u64]; 5] = [&[0, 1, 2, 3], &[0], &[1], &[2], &[3]];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(rig.dispatcher.parked("x")[0].seq, Seq(3));
    assert_eq!(worker.desk.seat.position.get(), Seq(4));
}

#[test]
fn each_delivery_of_a_batch_may_have_an_outcome_of_its_own() {
    let rig = Rig::on(&SimDisk::new());
    for number in 0..4 {
        rig.emit_from(&number.to_string(), number);
    }
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let first = AtomicBool::new(true);
    let handler = move |deliveries: &[Delivery<'_>]| -> Vec<Outcome> {
        if first.swap(false, Ordering::SeqCst) {
            return vec![Outcome::Ack, Outcome::Park("no".into()), Outcome::Ack];
        }
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].data::<u64>().unwrap(), 3, "it had no outcome");
        vec![Outcome::Ack]
    };
    let handlers = Handlers::Batch(Box::new(handler), size);
    let mut worker = rig.attach_all(Subscription::named("x").retry(quick(3)), handlers);
    rig.run_fast(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq(4));
    let parked = rig.dispatcher.parked("x");
    assert_eq!((parked.len(), parked[0].seq), (1, Seq(2)));
}

#[test]
fn a_batch_that_was_not_handed_over_comes_again_after_a_crash() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..5);
    let size = BatchSize {
        count_max: 3,
        linger: Duration::from_secs(1),
    };
    let (_, handlers) = batches(size, None);
    let mut worker = rig.attach_all(Subscription::named("x"), handlers);
    run(&mut worker);
    worker.rest();
    let rig = Rig::on(&killed(&disk));
    let (seen, handlers) = batches(size, None);
    let mut worker = rig.attach_all(Subscription::named("x"), handlers);
    rig.run_fast(&mut worker);
    let all: Vec<u64> = seen.lock().unwrap().concat();
    assert_eq!(all, [3, 4]);
}

#[test]
fn what_is_gathered_for_a_batch_is_put_back_by_a_pause() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..2);
    let size = BatchSize {
        count_max: 3,
        linger: Duration::from_secs(1),
    };
    let (seen, handlers) = batches(size, None);
    let mut worker = rig.attach_all(Subscription::named("x"), handlers);
    run(&mut worker);
    worker
        .desk
        .seat
        .ask(crate::dispatch::seat::Request::Pause("wait".into()));
    run(&mut worker);
    assert_eq!(worker.desk.window.running(), 0, "nothing is under way");
    rig.clock.advance(size.linger);
    assert_eq!(run(&mut worker), Progress::Waiting(None));
    assert!(seen.lock().unwrap().is_empty());
    worker.desk.seat.ask(crate::dispatch::seat::Request::Resume);
    rig.run_fast(&mut worker);
    assert_eq!(seen.lock().unwrap().concat(), [0, 1]);
    assert_eq!(worker.desk.seat.position.get(), Seq(2));
}

#[test]
fn handlers_that_do_not_fit_are_refused() {
    let rig = Rig::in_memory(10);
    let size = BatchSize {
        count_max: 0,
        linger: Duration::ZERO,
    };
    let many = || Subscription::named("x").concurrency(2);
    for (subscription, handlers, says) in [
        (many(), one(|_: &Delivery<'_>| {}), "register_parallel"),
        (many(), batches(size, None).1, "concurrency of 1"),
        (Subscription::named("x"), batches(size, None).1, "count_max"),
    ] {
        let error = rig
            .dispatcher
            .subscribe(subscription, handlers)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A future that is ready once it is told; whoever tells wakes it.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Vec<std::task::Waker>)>>);

impl Gate {
    fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        gate.1.drain(..).for_each(std::task::Waker::wake);
    }
}

impl Future for Gate {
    type Output = ();

    fn poll(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        let mut gate = self.0.lock().unwrap();
        if gate.0 {
            return std::task::Poll::Ready(());
        }
        gate.1.push(context.waker().clone());
        std::task::Poll::Pending
    }
}

#[test]
fn futures_are_under_way_together_and_their_results_are_outcomes() {
    let rig = Rig::in_memory(100);
    let (gate, begun) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let (theirs, count) = (gate.clone(), begun.clone());
    let handler = polling(move |delivery: OwnedDelivery| {
        let gate = theirs.clone();
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.await;
            let number: u64 = delivery.event.data().unwrap();
            assert!(
                number != 2 || delivery.attempt > 1,
                "the second one panics at first"
            );
            if number == 3 { Err("no") } else { Ok(()) }
        }
    });
    let subscription = Subscription::named("x")
        .order_by(OrderBy::Nothing)
        .retry(quick(2));
    let id = rig.subscribe(subscription, handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..5);
    await_that("all futures", || begun.load(Ordering::SeqCst) == 5);
    assert_eq!(rig.state(id).delivered, 0);
    gate.open();
    rig.drain();
    assert_eq!(rig.state(id).delivered, 4);
    let parked = rig.dispatcher.parked("x");
    assert_eq!((parked[0].seq, parked[0].reason.as_str()), (Seq(4), "no"));
    rig.close();
}

#[test]
fn a_future_that_is_dropped_asks_for_another_attempt() {
    let rig = Rig::in_memory(100);
    let spawned = Arc::<Mutex<Vec<BoxFuture>>>::default();
    let mine = spawned.clone();
    let handler = spawning(
        |delivery: OwnedDelivery| async move { delivery.attempt == 3 },
        move |future| mine.lock().unwrap().push(future),
    );
    let mut worker = rig.attach(Subscription::named("x").retry(quick(5)), handler);
    rig.emit(0..1);
    run(&mut worker);
    spawned.lock().unwrap().clear();
    run(&mut worker);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut poll = || {
        let mut future = spawned.lock().unwrap().pop().unwrap();
        assert!(future.as_mut().poll(&mut context).is_ready());
    };
    poll();
    run(&mut worker);
    assert_eq!(
        worker.desk.seat.position.get(),
        Seq::ZERO,
        "the second attempt returned false"
    );
    poll();
    run(&mut worker);
    assert_eq!(worker.desk.seat.position.get(), Seq(1));
}

#[test]
fn a_token_lets_its_work_past_a_full_queue() {
    let rig = Rig::in_memory(1);
    let (tokens, handler) = putting_off();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    rig.emit(0..1);
    run(&mut worker);
    let token = take(&tokens, 1);
    let queue = rig.dispatcher.queue();
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
    token.within(|| {
        queue
            .reserve(1, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
    });
    token.ack();
}

#[test]
fn a_handler_on_a_thread_of_its_own_does_not_wait_for_itself() {
    let rig = Rig::in_memory(100);
    let (dispatcher, drained) = (Arc::downgrade(&rig.dispatcher), Seen::default());
    let mine = drained.clone();
    let handlers = Handlers::Many(Box::new(move || {
        let (dispatcher, mine) = (dispatcher.clone(), mine.clone());
        Box::new(move |delivery: &Delivery<'_>| {
            let deadline = Some(Instant::now() + PATIENCE);
            let behind = dispatcher.upgrade().unwrap().drain(deadline).unwrap();
            assert_eq!(behind, Vec::<String>::new());
            note(&mine, delivery);
        })
    }));
    let subscription = Subscription::named("x").concurrency(2);
    rig.dispatcher.subscribe(subscription, handlers).unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..2);
    rig.drain();
    assert_eq!(numbers(&drained), [0, 1]);
    rig.close();
}
