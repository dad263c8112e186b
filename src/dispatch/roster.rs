//! [`Roster`]: finds those whom a replay is for, and sends it to them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::course::{Course, Mileage, ReplayEnd, Ticket};
use super::extent::Extent;
use super::inside::Inside;
use super::lineage::is_held_back;
use super::registry::{Member, Registry, Work};
use super::role::Role;
use super::seat::{Request, Seat};
use super::status::HandlerId;
use crate::error::{Error, ErrorKind, Result};

/// How often somebody who waits looks whether the worker is still there.
const LOOK_AFTER: Duration = Duration::from_millis(20);

/// To whom a replay goes.
#[derive(Debug, Clone, Default)]
pub(crate) enum Audience {
    /// All projectors.
    #[default]
    Projectors,
    /// Everybody.
    All,
    /// Those that are named, whatever they are.
    Named(Vec<String>),
}

/// The subscriptions of a system that have a handler. The default is one without any.
#[derive(Clone, Default)]
pub(crate) struct Roster {
    registry: Arc<Mutex<Registry>>,
    queue_id: u64,
}

/// A replay that was sent to one subscription.
#[derive(Debug)]
pub(crate) struct Sent {
    seat: Arc<Seat>,
    course: Arc<Course>,
}

impl Roster {
    pub(super) fn new(registry: Arc<Mutex<Registry>>, queue_id: u64) -> Self {
        Roster { registry, queue_id }
    }

    /// Whether this thread runs a handler of the system.
    pub(crate) fn is_inside(&self) -> bool {
        Inside::handler_of(self.queue_id).is_some()
    }

    /// Sends a replay to everybody whom it is for.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it is for nobody, or for somebody who is not there.
    pub(crate) fn send(
        &self,
        audience: &Audience,
        extent: Extent,
        keeps_going: bool,
    ) -> Result<Vec<Sent>> {
        if is_held_back() {
            let message = "a handler in a laboratory cannot replay into others";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let seats = self.seats(audience)?;
        let extent = Arc::new(extent);
        let send = |seat: Arc<Seat>| {
            let course = Arc::new(Course::new(extent.clone(), keeps_going));
            seat.ask(Request::Replay(Ticket(course.clone())));
            Sent { seat, course }
        };
        Ok(seats.into_iter().map(send).collect())
    }

    fn seats(&self, audience: &Audience) -> Result<Vec<Arc<Seat>>> {
        let registry = self.registry.lock();
        let registry = registry.unwrap_or_else(PoisonError::into_inner);
        let runs =
            |member: &&Member| matches!(member.work, Work::Running(_)) && !member.seat.has_ended();
        let running = registry.members.values().filter(runs);
        let running: Vec<_> = running.map(|member| member.seat.clone()).collect();
        match audience {
            Audience::All if !running.is_empty() => Ok(running),
            Audience::Projectors if running.iter().any(|seat| seat.role == Role::Projector) => {
                let is_projector = |seat: &Arc<Seat>| seat.role == Role::Projector;
                Ok(running.into_iter().filter(is_projector).collect())
            }
            Audience::Named(names) if !names.is_empty() => {
                names.iter().map(|name| named(&running, name)).collect()
            }
            Audience::All | Audience::Projectors | Audience::Named(_) => Err(nobody()),
        }
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roster").finish_non_exhaustive()
    }
}

fn named(running: &[Arc<Seat>], name: &str) -> Result<Arc<Seat>> {
    let mut seats = running.iter();
    let found = seats.find(|seat| seat.name.as_deref() == Some(name));
    found.cloned().ok_or_else(|| {
        let message = format!(
            "the subscription {name:?} has no running handler to replay into; register it and start"
        );
        Error::new(ErrorKind::NotFound, message)
    })
}

fn nobody() -> Error {
    let message = "the replay is for nobody: no projector runs. Register one with Role::Projector and \
                   start the system, or ask for others with including_reactors or only";
    Error::new(ErrorKind::NotFound, message)
}

impl Sent {
    pub(crate) fn id(&self) -> HandlerId {
        self.seat.id
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.seat.name.as_deref()
    }

    /// How messages call the subscription.
    pub(crate) fn label(&self) -> String {
        self.seat.label()
    }

    /// How far it is.
    pub(crate) fn mileage(&self) -> Mileage {
        self.course.mileage().clone()
    }

    /// Asks the worker to deliver no more of it.
    pub(crate) fn stop(&self) {
        self.course.stop();
        self.seat.ask(Request::LookUp);
    }

    /// Waits for its end; says whether it has come by the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            let left = deadline.map(|by| by.saturating_duration_since(Instant::now()));
            if self
                .course
                .wait_for(left.map_or(LOOK_AFTER, |left| left.min(LOOK_AFTER)))
            {
                return true;
            }
            if self.seat.has_ended() {
                // It may have ended before it was asked, with nobody left to say so.
                self.course.end(ReplayEnd::Left);
            } else if left.is_some_and(|left| left <= LOOK_AFTER) {
                return false;
            }
        }
    }
}
