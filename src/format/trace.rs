//! [`TraceContext`]: which trace an event belongs to, carried in a header as W3C Trace Context has it, so that
//! spans of the emitter and of the handler can be linked.

use std::fmt;
use std::str::FromStr;

use super::record::EventRef;
use crate::error::{Error, ErrorKind};
use crate::event::Event;

/// The header with the trace that an event belongs to.
pub const TRACE_HEADER: &str = "traceparent";

/// The bit of the flags that says that spans are recorded.
const SAMPLED: u8 = 1;

/// A place in a trace: the trace, and the span in which an event was emitted.
///
/// Its text is the `traceparent` of W3C Trace Context, version 00. Ids come from whoever makes the spans, such as
/// OpenTelemetry.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Delivery, Event, EventSystem, Subscription, TraceContext};
/// let system = EventSystem::builder().open()?;
/// system.register_handler(Subscription::named("billing"), |delivery: &Delivery<'_>| {
///     let context = delivery.trace_context().expect("it was emitted with one");
///     assert_eq!(context.span_id, 7); // the parent of the handler's own span
/// })?;
/// system.start()?;
/// let context = TraceContext { trace_id: 42, span_id: 7, is_sampled: true };
/// system.emit(Event::new("order.placed", "web", &10)?.with_trace(context))?;
/// system.drain(None)?;
/// assert_eq!(system.subscriptions()[0].delivered, 1);
/// # system.close() }
/// ```
///
/// What a handler emits belongs to the same trace, unless it says otherwise; see
/// [`Builder::correlation`](crate::Builder::correlation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span; not 0.
    pub span_id: u64,
    /// Whether spans of the trace are recorded.
    pub is_sampled: bool,
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }
}

impl FromStr for TraceContext {
    type Err = Error;

    /// Reads a `traceparent`; of a later version than 00, what is known of it.
    fn from_str(text: &str) -> Result<Self, Error> {
        parsed(text).ok_or_else(|| {
            let message =
                format!("{text:?} is no traceparent; give 00-TRACE-SPAN-FLAGS in lower-case hex");
            Error::new(ErrorKind::Decode, message)
        })
    }
}

fn parsed(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let has_more = parts.next().is_some();
    if version == 0xff || (version == 0 && has_more) || trace_id == 0 || span_id == 0 {
        return None;
    }
    Some(TraceContext {
        trace_id,
        span_id: u64::try_from(span_id).ok()?,
        is_sampled: u8::try_from(flags).ok()? & SAMPLED != 0,
    })
}

/// So many digits, in lower case, as the standard wants them.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_whole = text.len() == digits && text.bytes().all(is_hex);
    is_whole.then(|| u128::from_str_radix(text, 16).ok())?
}

impl Event {
    /// The same event, as one that was emitted at this place of a trace.
    #[must_use]
    pub fn with_trace(mut self, context: TraceContext) -> Self {
        self.headers.retain(|(name, _)| name != TRACE_HEADER);
        self.headers
            .push((TRACE_HEADER.to_owned(), context.to_string()));
        self
    }
}

impl EventRef<'_> {
    /// The place in a trace at which this event was emitted; `None` without one that can be read.
    pub fn trace_context(&self) -> Option<TraceContext> {
        parsed(self.header(TRACE_HEADER)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let context: TraceContext = TEXT.parse().unwrap();
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(
            (context.span_id, context.is_sampled),
            (0x00f0_67aa_0ba9_02b7, true)
        );
        assert_eq!(context.to_string(), TEXT);
        let later = format!("cc{}-what-the-future-will-be-like", &TEXT[2..]);
        assert_eq!(later.parse::<TraceContext>().unwrap(), context);
    }

    #[test]
    fn what_is_none_is_refused() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for text in [
            "",
            "00",
            &TEXT[..54],
            &TEXT.to_uppercase(),
            &format!("{TEXT}-more"),
            &format!("ff{}", &TEXT[2..]),
            &zero_trace,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(text.parse::<TraceContext>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_has_one_at_most() {
        let context: TraceContext = TEXT.parse().unwrap();
        let other = TraceContext {
            span_id: 1,
            ..context
        };
        let event = Event::new("a", "b", &1)
            .unwrap()
            .with_trace(other)
            .with_trace(context);
        assert_eq!(event.headers, [(TRACE_HEADER.to_owned(), TEXT.to_owned())]);
    }
}
