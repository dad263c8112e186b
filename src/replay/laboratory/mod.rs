//! [`Laboratory`]: what other handlers would have done with the past, without doing it.

mod difference;
mod findings;
mod table;
mod answers;
mod states;
mod bench;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use difference::Difference;
pub use findings::{
    Answer, AnswerDifference, AnswerFindings, Findings, HandlerFindings, StateFailure,
    StateFindings, Unacknowledged,
};

use super::projection::{Progress, Projection};
use crate::clock::Timestamp;
use crate::dispatch::{Handler, Subscription, upcast};
use crate::error::Result;
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;
use crate::replay::applying::upcasting;
use crate::upcast::Upcasters;
use answers::Answers;
use bench::Bench;
use states::{Pair, ShadowState};

/// After how many events progress is told.
const STRIDE: u64 = 1024;
/// How much is listed of each kind of finding unless told otherwise.
const LISTED: usize = 1000;
/// How long an outcome that is put off may take unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replays a range of the past into *shadows*, new handlers and projections, and compares what they do with
/// what the live ones did: what would the new handler have done to last week?
///
/// - **Effects are held back.** What a shadow handler emits or schedules, through any [`EventSystem`](
///   crate::EventSystem), is collected and not appended: its receipt has [`Seq::ZERO`]. That holds on the
///   handler's own thread, in [`AckToken::within`](crate::AckToken::within) and in the futures of
///   [`spawning`](crate::spawning) and [`polling`](crate::polling). Other acts on a system are refused there.
///   What a handler does outside of Forelog, or on threads of its own, is not held back: give it a stand-in.
/// - **The live side is left alone.** No event is appended, no cursor moves, no snapshot is written, and no
///   live handler is called.
/// - **Handlers** are called on this thread, in the order of Seq, once for each event that their subscription
///   wants, with [`Phase::Replay`](crate::Phase::Replay). What they emit is not given to others.
/// - **Emitted events** are compared with those that the log holds in answer to the same events, by type,
///   source and data. Which event one is an answer to is said by its [`CAUSATION_HEADER`](
///   crate::CAUSATION_HEADER): it does not say which handler emitted it, so rehearse those together that
///   answer the same events, or choose by [`Laboratory::answers`].
/// - **States** begin where the live one stood before the range, and are compared with it after its last
///   event.
///
/// Memory grows with the events that handlers are given (about 50 bytes each) and with what differs.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Delivery, Event, EventSystem, ManualClock, Subscription, Timestamp};
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
/// use std::time::Duration;
/// # let day = Duration::from_secs(86_400);
/// # let clock = Arc::new(ManualClock::new(Timestamp(0)));
/// # let system = EventSystem::builder().clock(clock.clone()).open()?;
/// // The live handler asks for a fee of 1 %; the projection sums fees up for each customer.
/// let emitter = system.clone();
/// let orders = Subscription::named("fees").event_type("order");
/// system.register_handler(orders.clone(), move |order: &Delivery<'_>| {
///     let amount: i64 = order.data()?;
///     emitter.emit(Event::new("fee", order.source(), &(amount / 100))?).map(|_| ())
/// })?;
/// let mut fees = system.projection("fees", 1, BTreeMap::<String, i64>::new(), |fees, event| {
///     if event.event_type() == "fee" {
///         *fees.entry(event.source().to_owned()).or_default() += event.data::<i64>()?;
///     }
///     Ok(())
/// })?;
/// system.start()?;
/// # clock.advance(day);
/// for amount in [1_000, 50_000] {
///     system.emit(Event::new("order", "ann", &amount)?)?;
///     system.drain(None)?;
/// }
/// # clock.advance(day);
/// # let now = forelog::Clock::now(&*clock);
/// # let last_week = Timestamp(now.0 - 7 * 86_400 * 1_000_000_000);
///
/// // The new one would ask for at least 50. What would it have done to last week?
/// let emitter = system.clone();
/// let findings = system
///     .laboratory()
///     .since(last_week)
///     .handler(orders, move |order: &Delivery<'_>| {
///         let amount: i64 = order.data()?;
///         emitter.emit(Event::new("fee", order.source(), &(amount / 100).max(50))?).map(|_| ())
///     })
///     .projection(&mut fees, |fees, event| {
///         if event.event_type() == "fee" {
///             *fees.entry(event.source().to_owned()).or_default() += event.data::<i64>()?.max(50);
///         }
///         Ok(())
///     })
///     .run()?;
/// assert_eq!((findings.answers.same, findings.answers.changed), (1, 1));
/// assert_eq!(findings.answers.listed[0].data[0].to_string(), "(all): 10 -> 50");
/// assert_eq!(findings.states[0].listed[0].to_string(), "/ann: 510 -> 550");
/// println!("{findings}"); // a table; serialised, it is for scripts
/// # let text = findings.to_string();
/// # assert!(text.contains("1 same, 1 changed, 0 missing, 0 extra"), "{text}");
/// assert_eq!(system.store().len(), 4); // nothing was emitted
/// # drop(fees);
/// # system.close() }
/// ```
#[must_use = "a laboratory does nothing until it is run"]
pub struct Laboratory<'a> {
    log: Arc<Log>,
    upcasters: Arc<Upcasters>,
    from: Seq,
    to: Seq,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    handlers: Vec<(Subscription, Box<dyn Handler>)>,
    states: Vec<Box<dyn ShadowState + 'a>>,
    answers: Filter,
    patience: Duration,
    listed: usize,
}

impl<'a> Laboratory<'a> {
    pub(crate) fn new(log: Arc<Log>, upcasters: Arc<Upcasters>) -> Self {
        Laboratory {
            log,
            upcasters,
            from: Seq::FIRST,
            to: Seq::MAX,
            since: None,
            until: None,
            handlers: Vec::new(),
            states: Vec::new(),
            answers: Filter::all(),
            patience: PATIENCE,
            listed: LISTED,
        }
    }

    /// Starts at this Seq.
    pub fn from(mut self, seq: Seq) -> Self {
        self.from = seq;
        self
    }

    /// Ends with this Seq; without it, with the last event that is there when it is run.
    pub fn to(mut self, seq: Seq) -> Self {
        self.to = seq;
        self
    }

    /// Leaves out what the log took before this time, by its own clock
    /// ([`appended_at`](EventRef::appended_at)): so that a range is one piece of the log, and a state can
    /// be compared at its end.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Leaves out what the log took at this time or later, by its own clock.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Adds a shadow handler for the events that this subscription wants. Of the subscription, name and
    /// filters count; no such subscription has to be registered.
    pub fn handler(mut self, subscription: Subscription, handler: impl Handler) -> Self {
        let handler = upcast(Box::new(handler), &self.upcasters);
        self.handlers.push((subscription, handler));
        self
    }

    /// Adds another apply function for a projection: it goes on from the state in which the live one stood
    /// before the range, with the events that its filter wants. Where it stands now does not matter, and it
    /// stays there. Of one that is [live](Projection::follow), open a second one of the same name.
    pub fn projection<S, F>(self, live: &'a mut Projection<S>, apply: F) -> Self
    where
        S: Serialize + DeserializeOwned + Clone + 'static,
        F: FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send + 'static,
    {
        let filter = live.filter.clone();
        let start = |live: &mut Projection<S>, before| live.state_at(before);
        let apply = upcasting(&self.upcasters, apply);
        self.shadow(Pair::new(live, Box::new(start), filter, apply))
    }

    /// As [`Laboratory::projection`], with a state of another type: `initial` is the one before the range,
    /// and every event of the range is applied. Both are compared as they would be saved, field by field.
    pub fn projection_from<L, S, F>(self, live: &'a mut Projection<L>, initial: S, apply: F) -> Self
    where
        L: Serialize + DeserializeOwned + Clone + 'static,
        S: Serialize + 'static,
        F: FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send + 'static,
    {
        let start = |_: &mut Projection<L>, _| Ok(initial);
        let (filter, apply) = (Filter::all(), upcasting(&self.upcasters, apply));
        self.shadow(Pair::new(live, Box::new(start), filter, apply))
    }

    fn shadow(mut self, state: impl ShadowState + 'a) -> Self {
        self.states.push(Box::new(state));
        self
    }

    /// Compares only emitted events that pass this filter: where live handlers answer the same events that
    /// are not rehearsed. By default all are compared.
    pub fn answers(mut self, filter: Filter) -> Self {
        self.answers = filter;
        self
    }

    /// How long a shadow handler's outcome may be put off ([`Delivery::defer`](crate::Delivery::defer)) until
    /// it counts as unresolved: 60 seconds by default.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// How much is listed of each kind of finding, 1,000 by default; everything is counted.
    pub fn listed_max(mut self, count: usize) -> Self {
        self.listed = count;
        self
    }

    /// Replays the range into the shadows, and says what they did.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a subscription or a filter that is not valid. Those of
    /// [`Projection::state_at`], and of reading the log. What a shadow does wrong is no error: it is found.
    pub fn run(self) -> Result<Findings> {
        self.run_with(|_| ControlFlow::Continue(()))
    }

    /// As [`Laboratory::run`], and tells how far it is every thousand events and at the end of the range,
    /// until that breaks: then what was found so far is returned.
    ///
    /// # Errors
    /// As [`Laboratory::run`].
    pub fn run_with(
        mut self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Findings> {
        let end = self.log.watermark().appended();
        let pin = Pin::new(&self.log);
        let (from, to) = self.range(end)?;
        pin.set(from);
        self.answers.check()?;
        let mut bench = self.set_up(from)?;
        let mut findings = Findings::of(from, to);
        let mut reader = self.log.reader(from);
        let mut at = from.prev();
        let mut told = |events, position: Seq| {
            let one = Progress {
                position,
                target: to,
                applied: events,
            };
            progress(one).is_break()
        };
        while let Some(event) = reader.next_event()?.filter(|event| event.seq() <= to) {
            bench.take(&event)?;
            at = event.seq();
            findings.events += 1;
            if findings.events.is_multiple_of(STRIDE) && told(findings.events, at) {
                findings.is_stopped = true;
                findings.to = at;
                break;
            }
        }
        if !findings.is_stopped {
            told(findings.events, to);
        }
        bench.take_late_answers(&self.log, at, end)?;
        bench.finish(findings)
    }

    /// The first and the last Seq of the range.
    fn range(&self, end: Seq) -> Result<(Seq, Seq)> {
        let before = |time: Timestamp| self.log.last_at(Timestamp(time.0.saturating_sub(1)));
        let mut from = self.from.max(self.log.first_seq());
        let mut to = self.to.min(end);
        if let Some(since) = self.since {
            from = from.max(before(since)?.next());
        }
        if let Some(until) = self.until {
            to = to.min(before(until)?);
        }
        // Of nothing, a range ends before it begins.
        Ok((from, to.max(from.prev())))
    }

    /// The shadows, ready for the event of this Seq.
    fn set_up(&mut self, from: Seq) -> Result<Bench<'a>> {
        let mut states = std::mem::take(&mut self.states);
        for state in &mut states {
            state.begin(from.prev())?;
        }
        let answers = Answers::new(std::mem::take(&mut self.answers), self.listed);
        let mut bench = Bench::new(states, answers, self.patience, self.listed);
        for (subscription, handler) in self.handlers.drain(..) {
            bench.add(subscription, handler)?;
        }
        Ok(bench)
    }
}

/// Keeps retention from removing the range while it is replayed.
struct Pin {
    log: Arc<Log>,
    name: String,
}

impl Pin {
    /// Keeps all that is held by now.
    fn new(log: &Arc<Log>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("laboratory {}", COUNT.fetch_add(1, Ordering::Relaxed));
        // It is over soon, and could not tell what was removed meanwhile from what never was.
        log.pins().set_firm(&name, Seq::FIRST);
        log.await_removal();
        let log = log.clone();
        Pin { log, name }
    }

    /// Keeps no more than what begins here.
    fn set(&self, from: Seq) {
        self.log.pins().set_firm(&self.name, from);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.log.pins().remove(&self.name);
    }
}

impl std::fmt::Debug for Laboratory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Laboratory")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("since", &self.since)
            .field("until", &self.until)
            .field("handlers", &self.handlers.len())
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}
