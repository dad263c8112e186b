//! Handlers that wait for others in a drain.

use std::sync::Barrier;

use super::*;

/// Registers handlers of one event each that drain at the same time; returns whom each left behind.
fn drain_together(rig: &Rig, concurrency: &[usize]) -> Arc<Mutex<Vec<Vec<String>>>> {
    let all = Arc::new(Barrier::new(concurrency.iter().sum()));
    let left = Arc::<Mutex<Vec<Vec<String>>>>::default();
    for (nth, &threads) in concurrency.iter().enumerate() {
        let (dispatcher, all, left) = (Arc::downgrade(&rig.dispatcher), all.clone(), left.clone());
        let handlers = Handlers::Many(Box::new(move || {
            let (dispatcher, all, left) = (dispatcher.clone(), all.clone(), left.clone());
            Box::new(move |_: &Delivery<'_>| {
                all.wait();
                let deadline = Some(Instant::now() + PATIENCE);
                let behind = dispatcher.upgrade().unwrap().drain(deadline).unwrap();
                left.lock().unwrap().push(behind);
            })
        }));
        let subscription = Subscription::named(format!("x{nth}")).concurrency(threads);
        rig.dispatcher.subscribe(subscription, handlers).unwrap();
    }
    left
}

#[test]
fn handlers_that_drain_at_the_same_time_do_not_wait_for_each_other() {
    let rig = Rig::in_memory(100);
    let left = drain_together(&rig, &[1, 1, 1]);
    let (seen, handler) = recorder();
    rig.subscribe(Subscription::named("plain"), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    rig.drain();
    assert_eq!(*left.lock().unwrap(), vec![Vec::<String>::new(); 3]);
    assert_eq!(numbers(&seen), [0]);
    rig.close();
}

#[test]
fn handlers_with_threads_drain_at_the_same_time() {
    let rig = Rig::in_memory(100);
    let left = drain_together(&rig, &[2, 2]);
    rig.dispatcher.start().unwrap();
    // Of two keys, so that both threads have one.
    rig.emit_from("a", 0);
    rig.emit_from("b", 1);
    rig.drain();
    assert_eq!(*left.lock().unwrap(), vec![Vec::<String>::new(); 4]);
    rig.close();
}

/// Who is not a handler gets what was promised: everything is handled, by those who drain too.
#[test]
fn a_drain_from_outside_waits_for_a_handler_that_drains() {
    let rig = Rig::in_memory(100);
    let (begins, go, handler) = gated();
    rig.subscribe(Subscription::named("slow"), handler);
    let dispatcher = Arc::downgrade(&rig.dispatcher);
    let (seen, mut note_it) = recorder();
    let (draining, drains) = channel();
    let handler = move |delivery: &Delivery<'_>| {
        draining.send(()).unwrap();
        dispatcher.upgrade().unwrap().drain(None).unwrap();
        note_it.handle(delivery)
    };
    rig.subscribe(Subscription::named("drains"), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    begins.recv_timeout(PATIENCE).unwrap();
    drains.recv_timeout(PATIENCE).unwrap();
    let behind = rig.dispatcher.drain(Some(Instant::now())).unwrap();
    assert_eq!(behind, ["slow", "drains"]);
    go.send(()).unwrap();
    rig.drain();
    assert_eq!(numbers(&seen), [0]);
    rig.close();
}
