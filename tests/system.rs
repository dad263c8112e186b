//! What a user sees of a system: settings, emit, batches, look-ups, closing and opening again.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::time::{Duration, Instant};

use forelog::{
    Data, Delivery, Durability, ErrorKind, Event, EventId, EventSystem, Level, Result, Seq,
    Subscription, Timestamp, WhenPinned,
};

fn number(n: u64) -> Event {
    Event::new("test.number", "test", &n).unwrap()
}

fn numbers(system: &EventSystem) -> Vec<u64> {
    let mut numbers = Vec::new();
    let replay = system.replay().run(|event| {
        numbers.push(event.data()?);
        Ok(())
    });
    replay.unwrap();
    numbers
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || EventSystem::builder();
    let minute = Duration::from_secs(60);
    for (builder, says) in [
        (builder().persistence_enabled(true), "persistence_path"),
        (
            builder()
                .persistence_interval(minute)
                .durability(Durability::Os),
            "contradict",
        ),
        (builder().max_queue_size(0), "max_queue_size"),
        (builder().max_events(0), "max_events"),
        (builder().segment_size(1000), "segment_size"),
        (builder().max_bytes(500 << 10), "max_bytes"),
        (builder().max_bytes(1 << 20).segment_size(1 << 19), "four"),
        (builder().max_age(Duration::ZERO), "max_age"),
        (builder().expire("a*b", minute), "pattern"),
    ] {
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
    let both = builder()
        .persistence_path(dir.path().join("x"))
        .persistence_interval(minute)
        .durability(Durability::Sync);
    assert_eq!(both.open().unwrap_err().kind(), ErrorKind::Invalid);
    assert!(
        !dir.path().join("x").exists(),
        "nothing is made before the settings are checked"
    );
}

#[test]
fn a_receipt_names_the_level_and_waits_for_a_higher_one() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder().persistence_path(dir.path()).open()?;
    assert_eq!(system.emit(number(0))?.level, Level::Synced);
    let receipt = system.emit_with(number(1), Durability::Os)?;
    assert_eq!((receipt.seq, receipt.level), (Seq(2), Level::Published));
    system.wait(&receipt, Level::Synced)?;
    system.close()
}

#[test]
fn events_survive_closing_and_dropping() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let system = EventSystem::builder().persistence_path(dir.path()).open()?;
        assert!(
            system.recovery().clean,
            "dropping the last handle closes the system"
        );
        assert_eq!(numbers(&system), (0..round * 10).collect::<Vec<_>>());
        for n in round * 10..round * 10 + 10 {
            system.emit_with(number(n), Durability::Os)?;
        }
        if round % 2 == 0 {
            system.close()?;
            assert_eq!(
                system.emit(number(99)).unwrap_err().kind(),
                ErrorKind::Closed
            );
            let next = EventSystem::builder().persistence_path(dir.path()).open()?;
            assert_eq!(
                next.store().len(),
                system.store().len(),
                "a closed system holds no lock"
            );
        }
    }
    Ok(())
}

#[test]
fn a_batch_has_contiguous_seqs_and_all_or_nothing() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let receipts = system.emit_batch(&[number(0), number(1), number(2)])?;
    let seqs: Vec<_> = receipts.iter().map(|receipt| receipt.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let bad = Event::with_data("", "test", Data::default());
    let error = system.emit_batch(&[number(3), bad]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(numbers(&system), [0, 1, 2]);
    assert!(system.emit_batch(&[])?.is_empty());
    Ok(())
}

#[test]
fn ids_are_made_in_order_and_a_users_own_is_kept() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let system = EventSystem::builder().persistence_path(dir.path()).open()?;
        for n in 0..100 {
            ids.push(system.emit_with(number(n), Durability::Os)?.event_id);
        }
        let own = system.emit(number(7).with_id(EventId(42)))?;
        assert_eq!(own.event_id, EventId(42));
        let stored = system.store().get(own.seq)?.expect("it is there");
        assert_eq!(stored.event().event_id(), EventId(42));
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "also over a restart");
    Ok(())
}

#[test]
fn an_event_comes_back_as_it_was_emitted() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let event = Event::new("größe.geändert", "Zürich", &("ü", 1.5, [0_u8; 3]))?
        .at(Timestamp(-5))
        .with_id(EventId(1))
        .with_header("trace", "abc")
        .with_header("", "");
    let seq = system.emit(&event)?.seq;
    let stored = system.store().get(seq)?.expect("it is there");
    assert_eq!(stored.event().to_event()?, event);
    assert_eq!(stored.event().header("trace"), Some("abc"));
    assert!(system.store().get(Seq(2))?.is_none());
    assert!(system.store().get(Seq::ZERO)?.is_none());
    Ok(())
}

#[test]
fn bad_events_are_refused_with_a_reason() -> Result<()> {
    let system = EventSystem::builder()
        .segment_size(1 << 20)
        .event_size_max(1000)
        .open()?;
    let with =
        |event_type: &str, source: &str| Event::with_data(event_type, source, Data::default());
    let long = "x".repeat(2000);
    for (event, kind, says) in [
        (with("", "s"), ErrorKind::Invalid, "event type is empty"),
        (with("t", ""), ErrorKind::Invalid, "source is empty"),
        (with(&long, "s"), ErrorKind::Invalid, "2000 bytes"),
        (with("t", &long), ErrorKind::Invalid, "at most 1024"),
        (
            Event::new("t", "s", &long)?,
            ErrorKind::TooLarge,
            "at most 1000",
        ),
        (
            with("t", "s").with_header("h", "x".repeat(70_000)),
            ErrorKind::Invalid,
            "headers",
        ),
    ] {
        let error = system.emit(event).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.is_outcome_unknown());
    }
    assert!(system.store().is_empty());
    system.emit(number(1))?;
    Ok(())
}

#[test]
fn max_events_keeps_the_newest_in_whole_segments() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let builder = || EventSystem::builder().max_events(80).segment_size(64 << 10);
    for builder in [builder(), builder().persistence_path(dir.path())] {
        let system = builder.open()?;
        for n in 0..=1000 {
            system.emit_with(number(n), Durability::Os)?;
        }
        // The housekeeping thread removes segments in its own time.
        let deadline = Instant::now() + Duration::from_secs(30);
        while system.store().len() > 80 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let held = numbers(&system);
        assert_eq!(held.last(), Some(&1000));
        assert!(
            (60..=80).contains(&held.len()),
            "{} events are held",
            held.len()
        );
        assert!(held.is_sorted());
    }
    Ok(())
}

/// Waits for what other threads bring about.
fn await_that(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::yield_now();
    }
}

#[test]
fn events_grow_too_old_in_a_log_that_is_quiet() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .segment_size(64 << 10)
        .max_age(Duration::from_millis(200))
        .open()?;
    for n in 0..10 {
        system.emit_with(number(n), Durability::Os)?;
    }
    await_that("an empty store", || system.store().is_empty());
    let removed = system.store().explain_retention().removed.unwrap();
    assert_eq!((removed.events, removed.upto_seq), (10, Seq(10)));
    assert_eq!(system.emit(number(10))?.seq, Seq(11));
    system.close()
}

#[test]
fn a_store_that_rejects_takes_events_again_once_the_laggard_has_come_on() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .max_bytes(512 << 10)
        .max_queue_size(1_000_000)
        .when_pinned(WhenPinned::Reject)
        .open()?;
    system.register_handler(Subscription::named("slow"), |_: &Delivery<'_>| {})?;
    let mut taken = 0;
    let error = loop {
        match system.emit_with(number(taken), Durability::Os) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    assert!(error.to_string().contains("subscription slow"), "{error}");
    system.start()?;
    await_that("a place for one more", || {
        system.emit_with(number(taken), Durability::Os).is_ok()
    });
    await_that("room", || system.store().first_seq() > Seq(1));
    assert_eq!(system.subscriptions()[0].skipped, 0);
    system.close()
}

#[test]
fn a_projection_applies_each_event_once_over_restarts() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=3_u64 {
        let system = EventSystem::builder().persistence_path(dir.path()).open()?;
        let mut sum = system.projection("sum/α", 1, 0_u64, |sum, event| {
            *sum += event.data::<u64>()?;
            Ok(())
        })?;
        assert_eq!(*sum.state(), (round - 1) * 10, "what was saved is there");
        system.emit(number(10))?;
        assert_eq!(sum.catch_up()?, 1);
        assert_eq!(sum.catch_up()?, 0);
        assert_eq!(*sum.state(), round * 10);
        sum.save()?;
        let mut other = system.projection("sum/α", 2, 1_u64, |sum, _| {
            *sum += 1;
            Ok(())
        })?;
        assert_eq!(*other.state(), 1, "another version starts anew");
        other.catch_up()?;
        assert_eq!(*other.state(), 1 + round);
    }
    Ok(())
}

#[test]
fn a_projection_that_fails_goes_back_to_what_was_saved() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let mut sum = system.projection("sum", 1, 0_u64, |sum, event| {
        let n: u64 = event.data()?;
        *sum += n;
        if n == 3 {
            Err(forelog::Error::new(ErrorKind::Handler, "three"))
        } else {
            Ok(())
        }
    })?;
    system.emit(number(1))?;
    sum.catch_up()?;
    sum.save()?;
    system.emit_batch(&[number(2), number(3)])?;
    let error = sum.catch_up().unwrap_err();
    assert_eq!(error.seq(), Some(Seq(3)));
    assert_eq!((*sum.state(), sum.position()), (1, Seq(1)));
    Ok(())
}

#[test]
fn a_replay_takes_ranges_of_seq_and_time_types_and_sources() -> Result<()> {
    let system = EventSystem::builder().open()?;
    for n in 0..10_u64 {
        let source = if n % 2 == 0 { "even" } else { "odd" };
        let event_type = format!("n.{}", n % 3);
        let time = Timestamp(i64::try_from(n).unwrap());
        system.emit(Event::new(event_type, source, &n)?.at(time))?;
    }
    let run = |replay: forelog::Replay| {
        let mut seen = Vec::new();
        replay.run(|event| {
            seen.push(event.data::<u64>()?);
            Ok(())
        })?;
        Ok::<_, forelog::Error>(seen)
    };
    let replay = || system.replay();
    assert_eq!(run(replay().from(Seq(3)).to(Seq(5)))?, [2, 3, 4]);
    assert_eq!(run(replay().since(Timestamp(8)))?, [8, 9]);
    assert_eq!(run(replay().until(Timestamp(2)))?, [0, 1]);
    assert_eq!(run(replay().types(["n.1"]))?, [1, 4, 7]);
    assert_eq!(run(replay().types(["n.*"]).source("odd"))?, [1, 3, 5, 7, 9]);
    assert_eq!(
        run(replay().types(["n*m"])).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    Ok(())
}

#[test]
fn times_beyond_all_bounds_are_no_trouble() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .persistence_interval(Duration::MAX)
        .drain_timeout(Duration::MAX)
        .open()?;
    system.register_handler(Subscription::named("all"), |_: &Delivery<'_>| ())?;
    system.start()?;
    for n in 0..100 {
        system.emit(number(n))?;
    }
    system.close()
}

#[test]
fn a_handler_may_close_the_system_from_inside() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder().persistence_path(dir.path()).open()?;
    let (inner, (told, heard)) = (system.clone(), std::sync::mpsc::channel());
    system.register_handler(Subscription::named("closer"), move |_: &Delivery<'_>| {
        told.send(inner.close().is_ok()).unwrap();
    })?;
    system.start()?;
    system.emit(number(1))?;
    assert!(heard.recv_timeout(Duration::from_secs(60)).unwrap());
    assert_eq!(
        system.emit(number(2)).unwrap_err().kind(),
        ErrorKind::Closed
    );
    system.close()
}

#[test]
fn an_interval_is_synced_without_being_asked() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder()
        .persistence_path(dir.path())
        .persistence_interval(Duration::from_millis(5))
        .open()?;
    let seq = system.emit_batch(&[number(1), number(2)])?[1].seq;
    let deadline = Instant::now() + Duration::from_secs(30);
    while system.stats().durable_seq < seq && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(system.stats().durable_seq, seq);
    system.close()
}

#[test]
fn a_log_that_lost_its_end_is_refused_and_nothing_is_changed() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder().persistence_path(dir.path()).open()?;
    system.emit(number(1))?;
    system.close()?;
    let files = |folder: &str| {
        let entries = std::fs::read_dir(dir.path().join(folder)).unwrap();
        let read = |path: std::path::PathBuf| (std::fs::read(&path).unwrap(), path);
        let mut files: Vec<_> = entries.map(|entry| read(entry.unwrap().path())).collect();
        files.sort();
        files
    };
    for (_, path) in files("log").iter().filter(|(_, path)| path.is_file()) {
        std::fs::remove_file(path).unwrap();
    }
    let before = files("control");
    let error = EventSystem::builder()
        .persistence_path(dir.path())
        .open()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingSegment, "{error}");
    assert!(files("control") == before, "the control log is as it was");
    Ok(())
}

#[test]
fn a_close_leaves_a_paused_subscription_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let open = || EventSystem::builder().persistence_path(dir.path()).open();
    let system = open().unwrap();
    let paused = Subscription::named("paused");
    system
        .register_handler(paused, |_: &Delivery<'_>| ())
        .unwrap();
    system.pause("paused", "the bank is closed").unwrap();
    system.start().unwrap();
    system.emit(number(1)).unwrap();
    let behind = system.drain(Some(Instant::now())).unwrap_err();
    assert!(behind.to_string().contains("paused"), "{behind}");
    system.close().unwrap();
    let system = open().unwrap();
    assert_eq!(system.subscriptions()[0].lag, 1);
    system.close().unwrap();
}

#[test]
fn a_batch_may_have_as_many_events_as_a_frame_can_count() -> forelog::Result<()> {
    let system = EventSystem::builder().open()?;
    let events = vec![Event::new("tick", "exchange", &1)?; 65_535];
    let receipts = system.emit_batch(&events)?;
    assert_eq!(receipts.last().map(|receipt| receipt.seq.0), Some(65_535));
    system.emit(&events[0])?;
    assert_eq!(system.store().len(), 65_536);
    system.close()
}

#[test]
fn where_the_headers_of_an_answer_have_no_room_the_error_says_whose_they_are() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let full = number(2).with_header("own", "v".repeat(65_000));
    let full = full.with_header("more", "v".repeat(520));
    system.emit(&full)?;
    let (inside, (told, heard)) = (system.clone(), std::sync::mpsc::channel());
    let wanted = Subscription::named("answers").event_type("asked");
    system.register_handler(wanted, move |_: &Delivery<'_>| {
        let singly = inside.emit(&full).map(|_| ());
        let all = inside.emit_batch(std::slice::from_ref(&full)).map(|_| ());
        told.send([singly, all]).unwrap();
    })?;
    system.start()?;
    system.emit(Event::new("asked", "test", &1)?)?;
    for result in heard.recv().unwrap() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let told = error.to_string();
        assert!(told.contains("have 65535 bytes"), "{told}");
        assert!(told.contains("Builder::correlation"), "{told}");
    }
    system.close()
}

#[test]
fn a_text_report_has_no_control_characters_of_names() -> Result<()> {
    let system = EventSystem::builder().open()?;
    let wanted = Subscription::named("a\u{1b}[31m\nb");
    system.register_handler(wanted, |_: &Delivery<'_>| ())?;
    let (_monitor, _health, dashboard) =
        forelog::setup_event_monitoring(&system, Duration::from_secs(60), 0.8)?;
    let report = dashboard.generate_text_report()?;
    assert!(report.contains("a\\u{1b}[31m\\nb"), "{report}");
    system.close()
}
