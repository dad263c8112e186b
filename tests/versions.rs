//! Events of older versions, read as the newest by everyone who reads.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forelog::{
    BatchSize, Data, Delivery, Error, ErrorKind, Event, EventRef, EventSystem, IntoOutcome,
    Outcome, Result, RetryPolicy, Seq, Subscription, TYPE_VERSION_HEADER,
};

/// An order as code of the newest version knows it.
type Order = (u64, String, u32);

/// Version 1 has an amount, version 2 a currency as well, version 3 a priority.
fn orders_system() -> forelog::Builder {
    EventSystem::builder()
        .upcaster("order", 1, |amount: u64| Ok((amount, "EUR".to_owned())))
        .upcaster("order", 2, |(amount, currency): (u64, String)| {
            if amount == 13 {
                return Err(Error::new(ErrorKind::Handler, "not this one"));
            }
            assert!(amount != 14, "on purpose");
            Ok((amount, currency, 1_u32))
        })
}

fn emit_orders(system: &EventSystem) {
    let order = |data: Data| Event::with_data("order", "test", data).with_header("k", "v");
    let first = order(Data::new(&10).unwrap());
    let second = order(Data::new(&(11, "USD")).unwrap()).with_type_version(2);
    let third = order(Data::new(&(12, "CHF", 5)).unwrap()).with_type_version(3);
    let fourth = order(Data::new(&"of the future").unwrap()).with_type_version(4);
    for event in [
        first,
        second,
        third,
        fourth,
        Event::new("other", "test", &1).unwrap(),
    ] {
        system.emit(event).unwrap();
    }
}

#[test]
fn whoever_reads_gets_the_newest_version_of_each_event() -> Result<()> {
    let system = orders_system().open()?;
    emit_orders(&system);
    let wanted: [Order; 3] = [
        (10, "EUR".to_owned(), 1),
        (11, "USD".to_owned(), 1),
        (12, "CHF".to_owned(), 5),
    ];
    let store = system.store();
    let mut seen: Vec<Order> = Vec::new();
    let mut note = |event: &EventRef<'_>| -> Result<()> {
        assert_eq!(event.header("k"), Some("v"));
        assert_eq!(event.type_version()?, 3);
        seen.push(event.data()?);
        Ok(())
    };
    for seq in 1..=3 {
        note(&store.get(Seq(seq))?.unwrap().event())?;
    }
    for stored in store.by_type("order").take(3) {
        let stored = stored?;
        let found = store.get_by_id(stored.event().event_id())?.unwrap();
        assert_eq!(found.event().seq(), stored.event().seq());
        note(&stored.event())?;
    }
    for stored in store.query().header("k", "v").seqs(..=Seq(3)).run()? {
        note(&stored?.event())?;
    }
    system.replay().to(Seq(3)).run(note)?;
    assert_eq!(seen, [wanted.as_slice(); 4].concat());
    // What nobody can make newer is shown as it is.
    let future = store.get(Seq(4))?.unwrap();
    assert_eq!(future.event().data::<String>()?, "of the future");
    assert_eq!(store.get(Seq(5))?.unwrap().event().data::<u64>()?, 1);

    let mut projection = system.projection("sum", 1, 0_u64, |sum, event| {
        if event.event_type() == "order" && event.type_version()? == 3 {
            *sum += event.data::<Order>()?.0;
        }
        Ok(())
    })?;
    projection.catch_up()?;
    assert_eq!(*projection.state(), 33);
    system.close()
}

#[test]
fn handlers_of_all_kinds_get_the_newest_version() -> Result<()> {
    let system = orders_system().open()?;
    let once = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    let orders = |name: &str| {
        let subscription = Subscription::named(name).event_types(["order"]);
        subscription.retry(once)
    };
    let seen: Arc<Mutex<BTreeMap<&str, Vec<u64>>>> = Arc::default();
    let notes = seen.clone();
    let note = move |name: &'static str| {
        let seen = notes.clone();
        move |delivery: &Delivery<'_>| -> Result<()> {
            if delivery.type_version()? == 3 {
                let (amount, ..) = delivery.data::<Order>()?;
                seen.lock().unwrap().entry(name).or_default().push(amount);
            }
            Ok(())
        }
    };
    system.register_handler(orders("one"), note("one"))?;
    let batch = note("batch");
    system.register_handlers(orders("many").concurrency(2), move || note("many"))?;
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let take = move |batched: &[Delivery<'_>]| -> Vec<Outcome> {
        batched
            .iter()
            .map(|one| batch(one).into_outcome())
            .collect()
    };
    system.register_batch_handler(orders("batch"), size, take)?;
    emit_orders(&system);
    let bad = |amount: u64| Event::new("order", "test", &amount).unwrap();
    system.emit_batch(&[bad(13), bad(14), bad(15)])?;
    system.start()?;
    system.drain(Some(Instant::now() + Duration::from_secs(60)))?;
    for name in ["one", "many", "batch"] {
        let mut seen = seen.lock().unwrap().remove(name).unwrap();
        seen.sort_unstable();
        assert_eq!(seen, [10, 11, 12, 15], "{name}");
        let parked = system.parked(name);
        let reasons: Vec<&str> = parked.iter().map(|one| one.reason.as_str()).collect();
        let [first, second] = reasons.as_slice() else {
            panic!("{name}: {reasons:?}");
        };
        assert!(
            first.contains("upcaster of version 2") && first.contains("not this one"),
            "{first}"
        );
        assert!(second.contains("panicked: on purpose"), "{second}");
    }
    let failed = system.store().get(Seq(6)).unwrap_err();
    assert_eq!(
        (failed.kind(), failed.seq()),
        (ErrorKind::Handler, Some(Seq(6)))
    );
    system.close()
}

#[test]
fn upcasters_and_versions_that_make_no_sense_are_refused() {
    let twice = orders_system().upcaster("order", 1, |amount: u64| Ok(amount));
    assert_eq!(twice.open().unwrap_err().kind(), ErrorKind::Invalid);
    let never = EventSystem::builder().upcaster("order", 0, |amount: u64| Ok(amount));
    assert_eq!(never.open().unwrap_err().kind(), ErrorKind::Invalid);
    let system = orders_system().open().unwrap();
    let event = Event::new("order", "test", &1).unwrap();
    let event = event.with_header(TYPE_VERSION_HEADER, "two");
    system.emit(event).unwrap();
    let refused = system.store().get(Seq(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Decode);
    assert!(refused.message().contains("\"two\""), "{refused}");
}

#[test]
fn a_batch_keeps_its_order_where_an_upcaster_fails() -> Result<()> {
    let fails = Arc::new(AtomicU32::new(2));
    let failing = fails.clone();
    let system = EventSystem::builder()
        .upcaster("order", 1, move |amount: u64| {
            let left = |left: u32| (amount == 2).then(|| left.checked_sub(1)).flatten();
            match failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
                Ok(_) => Err(Error::new(ErrorKind::Handler, "not yet")),
                Err(_) => Ok(amount * 10),
            }
        })
        .open()?;
    let batch: Vec<Event> = (1..=4_u64)
        .map(|amount| Event::new("order", "one source", &amount).unwrap())
        .collect();
    system.emit_batch(&batch)?;
    let seen: Arc<Mutex<Vec<(u64, u32)>>> = Arc::default();
    let mine = seen.clone();
    let take = move |batched: &[Delivery<'_>]| {
        let one = |one: &Delivery<'_>| (one.data().unwrap(), one.attempt());
        mine.lock().unwrap().extend(batched.iter().map(one));
    };
    let size = BatchSize {
        count_max: 10,
        linger: Duration::ZERO,
    };
    let quick = RetryPolicy {
        backoff_initial: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    system.register_batch_handler(Subscription::named("all").retry(quick), size, take)?;
    system.start()?;
    system.drain(Some(Instant::now() + Duration::from_secs(60)))?;
    assert_eq!(fails.load(Ordering::SeqCst), 0);
    let seen = seen.lock().unwrap();
    let amounts: Vec<u64> = seen.iter().map(|(amount, _)| *amount).collect();
    assert_eq!(amounts, [10, 20, 30, 40]);
    let untried = seen.iter().filter(|(amount, _)| *amount != 20);
    assert!(
        untried.into_iter().all(|(_, attempt)| *attempt == 1),
        "{seen:?}"
    );
    assert!(system.parked("all").is_empty());
    drop(seen);
    system.close()
}
