//! [`HandlerReplay`]: a range of past events, replayed into handlers that are registered.

use std::time::Instant;

use super::Replay;
use crate::dispatch::{Audience, HandlerId, ReplayEnd, ReplayFailure, Roster, Sent};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

/// A replay into the handlers of a system; see [`Replay::into_handlers`].
#[derive(Debug, Clone)]
#[must_use = "a replay does nothing until it is run"]
pub struct HandlerReplay {
    replay: Replay,
    audience: Audience,
    keeps_going: bool,
}

impl Replay {
    /// Replays into the handlers that are registered, in place of a closure: into those of projectors
    /// ([`Role`](crate::Role)), with [`Phase::Replay`](crate::Phase::Replay). Reactors get nothing of it
    /// unless they are asked for.
    ///
    /// Each subscription gets what its filter wants of the range and what it has handled before, one event
    /// at a time in the order of Seq, on its own thread: what is under way is finished first, then comes
    /// the range, and then what is new. Events that are open or parked, or that it has not come to yet, are
    /// passed by: they come without it. It works while a subscription is paused. Emitters wait for nobody
    /// who replays.
    ///
    /// No cursor moves, and nothing is parked or tried again: what is not acknowledged is a failure. A
    /// crash ends the replay for good.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Event, EventSystem, Phase, Role, Subscription};
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// let system = EventSystem::builder().open()?;
    /// let (table, mails) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    /// let (rows, sent) = (table.clone(), mails.clone());
    /// system.register_handler(
    ///     Subscription::named("table").role(Role::Projector),
    ///     move |_: &Delivery<'_>| { rows.fetch_add(1, Ordering::SeqCst); },
    /// )?;
    /// system.register_handler(Subscription::named("mails"), move |delivery: &Delivery<'_>| {
    ///     assert_ne!(delivery.phase(), Phase::Replay);
    ///     sent.fetch_add(1, Ordering::SeqCst);
    /// })?;
    /// system.start()?;
    /// system.emit(Event::new("order.placed", "web", &10)?)?;
    /// system.drain(None)?;
    ///
    /// table.store(0, Ordering::SeqCst); // the table is lost: make it anew
    /// let replayed = system.replay().into_handlers().run()?;
    /// assert_eq!(replayed[0].delivered, 1);
    /// assert_eq!((table.load(Ordering::SeqCst), mails.load(Ordering::SeqCst)), (1, 1));
    /// # system.close() }
    /// ```
    pub fn into_handlers(self) -> HandlerReplay {
        HandlerReplay {
            replay: self,
            audience: Audience::default(),
            keeps_going: false,
        }
    }
}

impl HandlerReplay {
    /// Replays into reactors as well: their effects happen once more.
    pub fn including_reactors(mut self) -> Self {
        self.audience = Audience::All;
        self
    }

    /// Replays into the subscriptions of these names and no others, be they projectors or reactors.
    pub fn only<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.audience = Audience::Named(names.into_iter().map(Into::into).collect());
        self
    }

    /// Goes on behind an event that fails, in place of ending there; the failures are listed.
    pub fn keep_going(mut self) -> Self {
        self.keeps_going = true;
        self
    }

    /// Begins, and returns at once.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no projector runs, or a name that was asked for does not;
    /// [`Invalid`](ErrorKind::Invalid) if a pattern is none.
    pub fn start(self) -> Result<RunningReplay> {
        let Replay { roster, extent, .. } = self.replay;
        extent.filter.check()?;
        let sent = roster.send(&self.audience, extent, self.keeps_going)?;
        Ok(RunningReplay { sent, roster })
    }

    /// Begins, waits for the end, and says how it was for each subscription.
    ///
    /// # Errors
    /// As [`HandlerReplay::start`] and [`RunningReplay::wait`].
    pub fn run(self) -> Result<Vec<ReplayState>> {
        if self.replay.roster.is_inside() {
            return Err(inside());
        }
        let running = self.start()?;
        running.wait(None)?;
        Ok(running.progress())
    }
}

/// A replay into handlers that is under way. Dropped, it is stopped.
#[derive(Debug)]
#[must_use = "dropped, the replay is stopped"]
pub struct RunningReplay {
    sent: Vec<Sent>,
    roster: Roster,
}

/// How far a replay has come in one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayState {
    /// The registration.
    pub id: HandlerId,
    /// The name; `None` for an unnamed subscription.
    pub name: Option<String>,
    /// The last event that was delivered or passed by; [`Seq::ZERO`] before the first.
    pub position: Seq,
    /// The last event that it is about; [`Seq::ZERO`] until the subscription has begun with it.
    pub target: Seq,
    /// How many deliveries were acknowledged.
    pub delivered: u64,
    /// How many were not.
    pub failed: u64,
    /// Those: the first 999, and the newest.
    pub failures: Vec<ReplayFailure>,
    /// How it has ended; `None` if it has not.
    pub end: Option<ReplayEnd>,
}

impl RunningReplay {
    /// How far it is in each subscription.
    pub fn progress(&self) -> Vec<ReplayState> {
        self.sent.iter().map(state).collect()
    }

    /// Ends it before the next delivery; what was delivered stays delivered.
    pub fn stop(&self) {
        for sent in &self.sent {
            sent.stop();
        }
    }

    /// Waits for its end in all subscriptions; says whether that has come by the deadline. How each has
    /// ended is told by [`RunningReplay::progress`].
    ///
    /// # Errors
    /// [`Handler`](ErrorKind::Handler) if a subscription has ended it with a failure, or has itself
    /// ended before, naming it and the event. [`Invalid`](ErrorKind::Invalid) if it is called by a handler
    /// of the system, which might wait for itself.
    pub fn wait(&self, deadline: Option<Instant>) -> Result<bool> {
        if self.roster.is_inside() {
            return Err(inside());
        }
        if !self.sent.iter().all(|sent| sent.wait(deadline)) {
            return Ok(false);
        }
        self.sent.iter().try_for_each(check)?;
        Ok(true)
    }
}

impl Drop for RunningReplay {
    fn drop(&mut self) {
        self.stop();
    }
}

fn state(sent: &Sent) -> ReplayState {
    let mileage = sent.mileage();
    ReplayState {
        id: sent.id(),
        name: sent.name().map(str::to_owned),
        position: mileage.position,
        target: mileage.target,
        delivered: mileage.delivered,
        failed: mileage.failed,
        failures: mileage.failures,
        end: mileage.end,
    }
}

/// An error if the replay has ended here before its time.
fn check(sent: &Sent) -> Result<()> {
    let mileage = sent.mileage();
    let label = sent.label();
    match (mileage.end, mileage.failures.last()) {
        (Some(ReplayEnd::Failed), Some(failure)) => {
            let message = format!(
                "the replay into {label} has ended: {}. Mend the handler and replay from there",
                failure.reason
            );
            Err(Error::new(ErrorKind::Handler, message).at_seq(failure.seq))
        }
        (Some(ReplayEnd::Left), _) => {
            let message = format!("{label} has ended before its replay was done");
            Err(Error::new(ErrorKind::Handler, message).at_seq(mileage.position.next()))
        }
        _ => Ok(()),
    }
}

fn inside() -> Error {
    let message = "a handler cannot wait for a replay into handlers, perhaps its own: call start";
    Error::new(ErrorKind::Invalid, message)
}
