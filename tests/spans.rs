//! The spans of handlers, whose parents are those of the emitters. A file of its own, because a process has one listener.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forelog::{
    BatchSize, Delivery, Event, EventSystem, Outcome, Subscription, TraceContext, Tracer,
};
use tracing::Span;

thread_local! {
    /// Where this thread is, as a tracer knows it.
    static HERE: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// A span, how another one stands to it, and that one.
type Relation = (u64, &'static str, TraceContext);

/// What the engine asks of a tracer: each span's parent, and what it is linked to.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Vec<Relation>>>);

impl Book {
    fn note(&self, span: &Span, what: &'static str, place: TraceContext) {
        let id = span.id().unwrap().into_u64();
        self.0.lock().unwrap().push((id, what, place));
    }
}

impl Tracer for Book {
    fn current(&self) -> Option<TraceContext> {
        HERE.get()
    }

    fn set_parent(&self, span: &Span, parent: TraceContext) {
        self.note(span, "child of", parent);
    }

    fn link(&self, span: &Span, other: TraceContext) {
        self.note(span, "linked to", other);
    }
}

/// Takes all spans, and keeps which is made, entered and left, in order.
#[derive(Debug, Clone, Default)]
struct Listener(Arc<Mutex<Vec<(u64, String)>>>, Arc<AtomicU64>);

impl Listener {
    fn note(&self, id: u64, what: &str) {
        self.0.lock().unwrap().push((id, what.to_owned()));
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::Id {
        let id = self.1.fetch_add(1, Ordering::SeqCst) + 1;
        self.note(id, span.metadata().name());
        tracing::Id::from_u64(id)
    }

    fn record(&self, id: &tracing::Id, record: &tracing::span::Record<'_>) {
        self.note(id.into_u64(), &format!("{record:?}"));
    }

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, id: &tracing::Id) {
        self.note(id.into_u64(), "enter");
    }

    fn exit(&self, id: &tracing::Id) {
        self.note(id.into_u64(), "exit");
    }
}

#[test]
fn a_handler_is_called_within_a_span_that_belongs_to_the_emitter() {
    let (book, listener) = (Book::default(), Listener::default());
    tracing::subscriber::set_global_default(listener.clone()).unwrap();
    let system = EventSystem::builder().tracer(book.clone()).open().unwrap();
    let heard = listener.clone();
    let handler = move |delivery: &Delivery<'_>| {
        heard.note(0, delivery.event_type());
        if delivery.event_type() == "refused" {
            Outcome::Park("no".to_owned())
        } else {
            Outcome::Ack
        }
    };
    system
        .register_handler(Subscription::named("one"), handler)
        .unwrap();
    system.start().unwrap();
    let told = |listener: &Listener| std::mem::take(&mut *listener.0.lock().unwrap());

    system
        .emit(Event::new("plain", "web", &1).unwrap())
        .unwrap();
    system.drain(None).unwrap();
    assert_eq!(
        told(&listener),
        [(0, "plain".to_owned())],
        "no trace, no span"
    );

    let here = TraceContext {
        trace_id: 42,
        span_id: 7,
        is_sampled: true,
    };
    HERE.set(Some(here));
    for event_type in ["placed", "refused"] {
        let receipt = system
            .emit(Event::new(event_type, "web", &1).unwrap())
            .unwrap();
        system.drain(None).unwrap();
        let stored = system.store().get(receipt.seq).unwrap().unwrap();
        assert_eq!(stored.event().trace_context(), Some(here), "it is carried");
        let (told, noted) = (
            told(&listener),
            std::mem::take(&mut *book.0.lock().unwrap()),
        );
        let id = told[0].0;
        let mut steps: Vec<_> = told.iter().map(|(_, what)| what.as_str()).collect();
        if event_type == "refused" {
            assert!(steps.remove(3).contains("ERROR"), "{told:?}");
        }
        assert_eq!(steps, ["handle", "enter", event_type, "exit"]);
        assert_eq!(noted, [(id, "child of", here)]);
    }
    let own = TraceContext { span_id: 9, ..here };
    let receipt = system.emit(Event::new("own", "web", &1).unwrap().with_trace(own));
    let stored = system.store().get(receipt.unwrap().seq).unwrap().unwrap();
    assert_eq!(
        stored.event().trace_context(),
        Some(own),
        "what it says itself counts"
    );
    system.drain(None).unwrap();
    system
        .unregister_handler(system.subscriptions()[0].id.unwrap())
        .unwrap();
    book.0.lock().unwrap().clear();

    let size = BatchSize {
        count_max: 2,
        linger: Duration::ZERO,
    };
    system
        .register_batch_handler(Subscription::named("many"), size, |_: &[Delivery<'_>]| {})
        .unwrap();
    let other = TraceContext {
        trace_id: 43,
        ..here
    };
    let events = [here, other].map(|place| Event::new("a", "b", &1).unwrap().with_trace(place));
    system.emit_batch(&events).unwrap();
    system.drain(None).unwrap();
    let links: Vec<_> = book
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|one| (one.1, one.2))
        .collect();
    // It has the earlier events as well.
    assert!(
        links.ends_with(&[("linked to", here), ("linked to", other)]),
        "{links:?}"
    );
    system.close().unwrap();
}
