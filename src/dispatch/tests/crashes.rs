use super::*;

#[test]
fn a_clean_close_delivers_nothing_twice() {
    let disk = SimDisk::new();
    let mut all = Vec::new();
    for round in 0..4 {
        let rig = Rig::on(&disk);
        rig.emit(round * 30..(round + 1) * 30);
        let (seen, handler) = recorder();
        let mut worker = rig.attach(Subscription::named("a"), handler);
        for _ in 0..25 {
            worker.step();
        }
        worker.finish();
        all.extend(numbers(&seen));
        assert!(
            seen.lock()
                .unwrap()
                .iter()
                .all(|one| one.2 == Phase::CatchUp)
        );
        rig.close();
    }
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_killed_process_delivers_a_few_again_and_skips_none() {
    for steps in [0, 1, 63, 64, 65, 200, 300] {
        let disk = SimDisk::new();
        let rig = Rig::on(&disk);
        rig.emit(0..300);
        let (seen, handler) = recorder();
        let mut worker = rig.attach(Subscription::named("a"), handler);
        for _ in 0..steps {
            worker.step();
        }
        assert_eq!(numbers(&seen).len(), steps);
        let rig = Rig::on(&killed(&disk));
        let (seen, handler) = recorder();
        run(&mut rig.attach(Subscription::named("a"), handler));
        let first = numbers(&seen).first().copied().unwrap_or(300);
        let done = steps as u64;
        assert!(first <= done && first + 64 > done, "{first} after {done}");
        assert_eq!(numbers(&seen), (first..300).collect::<Vec<_>>());
        assert!(
            seen.lock()
                .unwrap()
                .iter()
                .all(|one| one.2 == Phase::Redelivery)
        );
    }
}

#[test]
fn a_power_cut_at_any_moment_skips_nothing() {
    /// Emits and handles; how many events were acknowledged to the emitter, how many by the handler.
    fn script(disk: &SimDisk) -> (u64, u64) {
        // A crash point turns into errors, after which nothing more is acknowledged.
        let rig = Rig::on(disk);
        let mut acknowledged = 0;
        let (seen, handler) = recorder();
        let mut worker = rig.attach(Subscription::named("a"), handler);
        for number in 0..150 {
            let Ok(seq) = append(&rig.log, "test.number", number, Durability::Sync) else {
                break;
            };
            if rig.log.wait_durable(seq).is_err() {
                break;
            }
            acknowledged += 1;
            run(&mut worker);
        }
        worker.rest();
        (acknowledged, numbers(&seen).len() as u64)
    }

    let whole = SimDisk::new();
    drop(Rig::on(&whole));
    let opened = whole.op_count();
    script(&whole);
    let mut states = 0;
    for nth in (opened + 12..whole.op_count()).step_by(13) {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let (acknowledged, done) = script(&disk);
        for image in disk.images(CrashKind::System, 4, 6, 5) {
            let why = format!("operation {nth}, {}", image.describe());
            let rig = Rig::on(&image);
            let cursor = rig.control.cursor("a").unwrap_or(Seq::ZERO);
            let (seen, handler) = recorder();
            run(&mut rig.attach(Subscription::named("a"), handler));
            let last = rig.log.recovery().last.0;
            assert!(last >= acknowledged, "{last} of {acknowledged}: {why}");
            assert!(cursor.0 <= done, "{cursor} after {done}: {why}");
            let rest: Vec<_> = (cursor.0..last).collect();
            assert_eq!(numbers(&seen), rest, "{why}");
            states += 1;
        }
    }
    assert!(states > 40, "{states} states");
}

#[test]
fn an_event_that_kills_the_process_is_parked() {
    let mut disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..5);
    drop(rig);
    let policy = RetryPolicy {
        attempts_max: 3,
        ..RetryPolicy::default()
    };
    let named = || Subscription::named("a").retry(policy);
    let mut attempts = Vec::new();
    loop {
        let rig = Rig::on(&disk);
        let (here, left_behind) = (disk.clone(), Arc::new(Mutex::new(None)));
        let (seen, grave) = (Seen::default(), left_behind.clone());
        let mine = seen.clone();
        let handler = move |delivery: &Delivery<'_>| {
            if note(&mine, delivery) == 2 {
                // As if the process ended here: what is on the disk now is all that is left.
                *grave.lock().unwrap() = Some(killed(&here));
            }
        };
        let mut worker = rig.attach(named(), handler);
        while left_behind.lock().unwrap().is_none() && worker.step() == Progress::Moved {}
        attempts.extend(
            seen.lock()
                .unwrap()
                .iter()
                .filter(|one| one.0 == 2)
                .map(|one| one.1),
        );
        let Some(next) = left_behind.lock().unwrap().take() else {
            assert_eq!(numbers(&seen).last(), Some(&4), "the rest is delivered");
            let parked = rig.dispatcher.parked("a");
            assert_eq!(
                (parked.len(), parked[0].seq, parked[0].attempts),
                (1, Seq(3), 3)
            );
            assert_eq!(
                parked[0].reason,
                "the process ended while it was handled 3 times"
            );
            break;
        };
        assert!(attempts.len() < 10, "it kills for ever: {attempts:?}");
        disk = next;
    }
    // The first time nobody could know; from then on each attempt is on record.
    assert_eq!(attempts, [1, 1, 2, 3]);
}

/// A batch handler that shows its batches, and notes what the disk holds when it is given this number.
fn dying(
    at: u64,
    disk: &SimDisk,
    grave: &Arc<Mutex<Option<SimDisk>>>,
) -> (Arc<Mutex<Vec<Vec<u64>>>>, Handlers) {
    let seen = Arc::<Mutex<Vec<Vec<u64>>>>::default();
    let (mine, disk, grave) = (seen.clone(), disk.clone(), grave.clone());
    let handler = move |deliveries: &[Delivery<'_>]| {
        let numbers: Vec<u64> = deliveries.iter().map(|one| one.data().unwrap()).collect();
        if numbers.contains(&at) {
            // As if the process ended here: what is on the disk now is all that is left.
            *grave.lock().unwrap() = Some(killed(&disk));
        }
        mine.lock().unwrap().push(numbers);
    };
    let size = BatchSize {
        count_max: 10,
        linger: Duration::from_secs(1),
    };
    (seen, Handlers::Batch(Box::new(handler), size))
}

#[test]
fn an_event_that_kills_a_batch_handler_is_parked_and_its_neighbours_are_not() {
    for sources in ["aaaaa", "abcde", "aabba"] {
        let mut disk = SimDisk::new();
        let rig = Rig::on(&disk);
        for (number, source) in (0..).zip(sources.chars()) {
            rig.emit_from(&source.to_string(), number);
        }
        drop(rig);
        let mut lives = Vec::new();
        loop {
            let rig = Rig::on(&disk);
            let grave = Arc::new(Mutex::new(None));
            let (seen, handlers) = dying(2, &disk, &grave);
            let named = Subscription::named("a").retry(quick(3));
            let mut worker = rig.attach_all(named, handlers);
            while grave.lock().unwrap().is_none() {
                match worker.step() {
                    Progress::Moved => {}
                    Progress::Idle { until: Some(_), .. } => {
                        rig.clock.advance(Duration::from_secs(1));
                    }
                    _ => break,
                }
            }
            lives.push(seen.lock().unwrap().clone());
            assert!(lives.len() < 10, "it kills for ever: {lives:?}");
            let Some(next) = grave.lock().unwrap().take() else {
                let parked = rig.dispatcher.parked("a");
                let parked: Vec<_> = parked.iter().map(|one| (one.seq, one.attempts)).collect();
                assert_eq!(parked, [(Seq(3), 3)], "{sources}");
                assert_eq!(worker.desk.seat.position.get(), Seq(5));
                break;
            };
            disk = next;
        }
        // The first time nobody could know; from then on they come one by one, each attempt on record.
        let expected: [&[&[u64]]; 5] = [
            &[&[0, 1, 2, 3, 4]],
            &[&[0], &[1], &[2]],
            &[&[2]],
            &[&[2]],
            &[&[3], &[4]],
        ];
        assert_eq!(lives, expected, "{sources}");
    }
}

#[test]
fn attempts_that_failed_are_counted_on_after_a_reopen() {
    let disk = SimDisk::new();
    for round in 0..2 {
        let rig = Rig::on(&disk);
        if round == 0 {
            rig.emit(0..1);
        }
        let seen = Seen::default();
        let mine = seen.clone();
        let handler = move |delivery: &Delivery<'_>| note(&mine, delivery) == 99;
        let mut worker = rig.attach(Subscription::named("a"), handler);
        worker.step();
        rig.clock.advance(PATIENCE);
        while worker.step() == Progress::Moved {}
        worker.finish();
        rig.close();
        let attempts: Vec<_> = seen.lock().unwrap().iter().map(|one| one.1).collect();
        assert_eq!(attempts, [[1, 2], [3, 4]][round]);
    }
}

#[test]
fn seqs_that_were_lost_are_passed_as_a_gap() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..10);
    rig.log.flush().unwrap();
    rig.emit(10..20);
    let (seen, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("a"), handler);
    run(&mut worker);
    worker.rest();
    rig.control.flush().unwrap();
    assert_eq!(numbers(&seen).len(), 20);
    // A power cut takes back what was seen and not synced; the cursor lies beyond the end.
    let disk = disk.crash(CrashKind::System, Choice::AllLost);
    let rig = Rig::on(&disk);
    assert_eq!(rig.control.cursor("a"), Some(Seq(20)));
    assert_eq!(rig.log.recovery().last, Seq(10));
    let (seen, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("a"), handler);
    run(&mut worker);
    rig.emit(20..23);
    run(&mut worker);
    assert_eq!(numbers(&seen), [20, 21, 22]);
    let state = worker.desk.seat.state(Seq::ZERO);
    assert!(state.skipped > 0 && state.position > Seq(23), "{state:?}");
}

#[test]
fn a_lost_control_log_delivers_again_and_skips_nothing() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..10);
    let (_, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("a").start(Start::Now), handler);
    rig.emit(10..20);
    run(&mut worker);
    worker.finish();
    rig.close();
    for (path, _) in disk.files() {
        if path.starts_with(names::CONTROL) {
            disk.remove_file(&path).unwrap();
        }
    }
    let rig = Rig::on(&disk);
    let (seen, handler) = recorder();
    run(&mut rig.attach(Subscription::named("a").start(Start::Now), handler));
    assert_eq!(numbers(&seen), (0..20).collect::<Vec<_>>());
}
