//! Handlers that drain while volatile events wait for them.

use std::sync::Barrier;

use super::*;

#[test]
fn handlers_that_drain_do_not_wait_for_each_others_volatile_events() -> Result<()> {
    let system = ticking().open()?;
    let both = Arc::new(Barrier::new(2));
    let mut all = Vec::new();
    for name in ["a", "b"] {
        let (seen, mut note) = recorder();
        let (inside, both) = (system.clone(), both.clone());
        let handler = move |delivery: &Delivery<'_>| {
            if !delivery.is_volatile() {
                // It waits for handlers that are both busy until they have drained.
                inside.emit(number("tick", 1)).unwrap();
                both.wait();
                inside.drain(Some(soon())).unwrap();
            }
            note(delivery);
        };
        system.register_handler(Subscription::named(name), handler)?;
        all.push(seen);
    }
    system.start()?;
    system.emit(number("order", 0))?;
    system.drain(Some(soon()))?;
    for seen in all {
        // A volatile event of the other's may come before the event in the log: each has an order of its own.
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 1]);
    }
    system.close()
}
