//! A trace that is followed from an emitter through handlers.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use forelog::{Delivery, Event, EventSystem, Subscription, TraceContext};

#[test]
fn what_a_handler_emits_belongs_to_the_same_trace() {
    let system = EventSystem::builder().open().unwrap();
    let context = TraceContext {
        trace_id: 42,
        span_id: 7,
        is_sampled: true,
    };
    let own = TraceContext {
        span_id: 8,
        ..context
    };
    let inner = system.clone();
    let handler = move |_: &Delivery<'_>| -> forelog::Result<()> {
        inner.emit(Event::new("order.filled", "exchange", &1)?)?;
        inner.emit(Event::new("order.billed", "exchange", &1)?.with_trace(own))?;
        Ok(())
    };
    let orders = Subscription::named("exchange").event_type("order.placed");
    system.register_handler(orders, handler).unwrap();
    system.start().unwrap();
    let placed = Event::new("order.placed", "web", &1).unwrap();
    system.emit(placed.clone().with_trace(context)).unwrap();
    system.drain(None).unwrap();
    let of_type = |event_type: &str| {
        let stored = system.store().by_type(event_type).last().unwrap().unwrap();
        stored.event().trace_context()
    };
    assert_eq!(of_type("order.filled"), Some(context), "passed on");
    assert_eq!(of_type("order.billed"), Some(own), "the handler's own span");

    system.emit(placed).unwrap();
    system.drain(None).unwrap();
    assert_eq!(of_type("order.filled"), None, "there was none to pass on");
    system.close().unwrap();
}
