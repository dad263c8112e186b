//! How deliveries end: drained, unregistered, stopped, or left behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::dispatcher::Dispatcher;
use super::registry::{Member, Work};
use super::seat::Seat;
use super::status::HandlerId;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

impl Dispatcher {
    /// Detaches a handler and waits until its running delivery has ended; called from inside a
    /// handler of this system it does not wait. A name keeps its place.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such registration.
    pub(crate) fn unsubscribe(&self, id: HandlerId) -> Result<()> {
        let member = {
            let mut registry = self.registry();
            let member = registry.members.remove(&id).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("there is no handler {id}"))
            })?;
            registry.departed.add(&member.seat.types);
            registry.leaving.push(member.seat.clone());
            member
        };
        self.end(vec![member], None);
        Ok(())
    }

    /// Waits until every running subscription has handled all that is appended now, and returns the
    /// names of those that have not by the deadline, or are paused. A handler does not wait for itself, nor
    /// for a handler that drains as well: each would wait for the other's event.
    ///
    /// # Errors
    /// If the log cannot be synced, so that not everything can be delivered.
    pub(crate) fn drain(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        let behind = self.drained(deadline)?;
        Ok(behind.iter().map(|seat| seat.label()).collect())
    }

    /// As [`Dispatcher::drain`], for the end: who is paused is left as it is, and not named.
    ///
    /// # Errors
    /// As [`Dispatcher::drain`].
    pub(crate) fn drain_unpaused(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        let behind = self.drained(deadline)?.into_iter();
        let unpaused = behind.filter(|seat| !seat.is_paused());
        Ok(unpaused.map(|seat| seat.label()).collect())
    }

    /// Waits as [`Dispatcher::drain`] does, and returns who is behind.
    fn drained(&self, deadline: Option<Instant>) -> Result<Vec<Arc<Seat>>> {
        let target = self.office.log.make_deliverable()?;
        let inside = self.office.queue.inside();
        let _draining = inside.map(|id| self.office.draining.enter(id));
        let seats = self.registry().running(inside);
        let mut behind = Vec::new();
        let done = || {
            let drains = inside.map_or_else(BTreeSet::new, |_| self.office.draining.all());
            let is_behind =
                |seat: &&Arc<Seat>| seat.position.get() < target && !drains.contains(&seat.id.0);
            behind = seats.iter().filter(is_behind).cloned().collect();
            behind
                .iter()
                .all(|seat| seat.has_ended() || seat.is_paused())
        };
        self.office.queue.watch(target, deadline, done);
        behind.retain(|seat| seat.position.get() < target);
        Ok(behind)
    }

    /// Ends all deliveries and joins all threads, and returns the names of those that had not ended by
    /// the deadline: their threads are left to themselves. Called from inside a handler it does not wait
    /// for them. Events that are not acknowledged come again. Emitters that wait get an error.
    pub(crate) fn stop(&self, deadline: Option<Instant>) -> Vec<String> {
        let members = {
            let mut registry = self.registry();
            registry.is_stopped = true;
            let members = std::mem::take(&mut registry.members);
            let seats = members.values().map(|member| member.seat.clone());
            let seats: Vec<_> = seats.collect();
            registry.leaving.extend(seats);
            members
        };
        self.office.queue.close();
        self.watch.stop();
        self.end(members.into_values().collect(), deadline)
    }

    /// Ends these; says who had not ended by the deadline.
    fn end(&self, members: Vec<Member>, deadline: Option<Instant>) -> Vec<String> {
        for member in &members {
            member.seat.ask_to_stop();
            self.office.queue.leave(&member.seat.position);
        }
        self.office.log.watermark().notify();
        let is_inside = self.office.queue.is_inside();
        let mut left = Vec::new();
        for member in members {
            let seat = member.seat;
            match member.work {
                Work::Waiting(worker) => worker.finish(),
                // Two handlers that end each other would wait for ever.
                Work::Running(_) if is_inside => {}
                // A handler that owned the last handle of its system is dropped on its own thread.
                Work::Running(thread) if thread.thread().id() == thread::current().id() => {}
                Work::Running(thread) => {
                    if !seat.signal.wait_until(deadline, || seat.has_ended()) {
                        left.push(left_behind(&seat));
                    } else if thread.join().is_err() {
                        let subscription = seat.label();
                        tracing::error!(
                            target: "forelog::dispatch", %subscription, "a worker panicked"
                        );
                    }
                }
            }
        }
        left
    }
}

/// How a subscription is called that did not end in time.
fn left_behind(seat: &Seat) -> String {
    let label = seat.label();
    let seq = seat.shown(seat.busy());
    tracing::error!(
        target: "forelog::dispatch", subscription = %label, %seq,
        "a handler did not end in time; its thread is left to itself"
    );
    match seq {
        Seq::ZERO => label,
        seq => format!("{label} (its handler is at Seq {seq})"),
    }
}
