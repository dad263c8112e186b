//! [`Tracer`]: what joins the spans of emitter and handler, where an event belongs to a trace.

use std::fmt;

use tracing::{Level, Span};

use super::delivery::Delivery;
use super::outcome::Outcome;
use crate::format::trace::TraceContext;

/// Where the spans of handlers are told.
const TARGET: &str = "forelog::dispatch";

/// Knows the ids of the spans that [`tracing`] makes, such as those of OpenTelemetry
/// (`forelog_monitor::otlp::OpenTelemetry`); see [`Builder::tracer`](crate::Builder::tracer).
///
/// An event that is emitted within a span carries that span's place in its header
/// [`traceparent`](crate::TRACE_HEADER). Its handler is called within a span `handle` of the target
/// `forelog::dispatch`, whose parent is that place; a batch of events within a span `handle_batch` that is linked
/// to the place of each.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// The place in a trace where this thread is; it goes into the header of an event that has none.
    fn current(&self) -> Option<TraceContext>;

    /// This span is a child of what happened at that place.
    fn set_parent(&self, span: &Span, parent: TraceContext);

    /// This span has to do with what happened at that place.
    fn link(&self, span: &Span, other: TraceContext);
}

/// The span for the handling of an event; none if the event belongs to no trace, or nobody listens.
#[inline]
pub(super) fn handling(tracer: Option<&dyn Tracer>, delivery: &Delivery<'_>) -> Span {
    if tracing::span_enabled!(target: TARGET, Level::INFO) {
        begun(tracer, delivery)
    } else {
        Span::none()
    }
}

#[cold]
fn begun(tracer: Option<&dyn Tracer>, delivery: &Delivery<'_>) -> Span {
    let Some(context) = delivery.trace_context() else {
        return Span::none();
    };
    let span = tracing::info_span!(
        target: TARGET, "handle", otel.kind = "consumer", otel.status_code = tracing::field::Empty,
        subscription = %delivery.subscription(), seq = delivery.seq().0, event_type = delivery.event_type(),
        attempt = delivery.attempt(), trace_id = %format_args!("{:032x}", context.trace_id)
    );
    if let Some(tracer) = tracer {
        tracer.set_parent(&span, context);
    }
    span
}

/// The span for the handling of a batch; none if none of its events belongs to a trace.
pub(super) fn handling_batch(tracer: Option<&dyn Tracer>, deliveries: &[Delivery<'_>]) -> Span {
    if !tracing::span_enabled!(target: TARGET, Level::INFO) {
        return Span::none();
    }
    let contexts = deliveries.iter().filter_map(|one| one.trace_context());
    let mut contexts = contexts.peekable();
    let (Some(first), true) = (deliveries.first(), contexts.peek().is_some()) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        target: TARGET, "handle_batch", otel.kind = "consumer", subscription = %first.subscription(),
        seq = first.seq().0, count = deliveries.len()
    );
    if let Some(tracer) = tracer {
        contexts.for_each(|context| tracer.link(&span, context));
    }
    span
}

/// Says in the span that a handler did not take its event.
#[inline]
pub(super) fn note_outcome(span: &Span, outcome: &Outcome) {
    if !span.is_none() && *outcome != Outcome::Ack {
        span.record("otel.status_code", "ERROR");
    }
}
