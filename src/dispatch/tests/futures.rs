//! Futures that end badly.

use super::*;

/// Panics when it is dropped.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("a future that panics when it is dropped");
    }
}

/// Is done at the first poll, with what holds the trap still in it.
struct Trapped {
    _trap: Option<Trap>,
}

impl std::future::Future for Trapped {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::task::Poll::Ready(())
    }
}

#[test]
fn a_future_that_panics_when_it_is_dropped_keeps_no_other_from_being_polled() {
    let rig = Rig::in_memory(100);
    let handler = polling(|delivery: OwnedDelivery| {
        let number: u64 = delivery.event.data().unwrap();
        Trapped {
            _trap: (number == 0).then(|| Trap),
        }
    });
    let id = rig.subscribe(Subscription::named("x").retry(quick(2)), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..3);
    rig.drain();
    assert_eq!(rig.state(id).delivered, 3);
    assert!(rig.dispatcher.parked("x").is_empty());
    rig.close();
}
