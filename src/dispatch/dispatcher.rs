//! [`Dispatcher`]: all subscriptions of a system: attached, started, listed, drained, stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::crew::Handlers;
use super::office::{Office, pin_known, pin_name};
use super::queue::Queue;
use super::seat::Seat;
use super::status::HandlerId;
use super::subscription::{Start, Subscription};
use super::thread::spawn;
use super::watch::Watch;
use super::worker::Worker;
use crate::clock::{Clock, Timestamp};
use crate::control::{Control, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Log;
use crate::log::pins::DetachedLag;
use crate::position::Seq;

/// The settings of a dispatcher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DispatchConfig {
    /// How many events may wait for the slowest subscription that keeps up.
    pub(crate) max_queue_size: u64,
    /// Whether the system was closed in order before. If not, deliveries that may have ended the
    /// process are looked for.
    pub(crate) clean: bool,
    /// How much retention spares for names without a handler.
    pub(crate) detached_lag_max: DetachedLag,
}

/// The subscriptions of one log.
pub(crate) struct Dispatcher {
    pub(super) office: Office,
    /// The names that had a place when the log was opened after an unclean end.
    suspects: BTreeSet<String>,
    registry: Mutex<Registry>,
    watch: Watch,
}

#[derive(Default)]
struct Registry {
    is_started: bool,
    is_stopped: bool,
    last_id: u64,
    members: BTreeMap<HandlerId, Member>,
    /// Unregistered, and their last delivery may still be running.
    leaving: Vec<Arc<Seat>>,
}

pub(super) struct Member {
    seat: Arc<Seat>,
    work: Work,
}

pub(super) enum Work {
    /// Not started yet.
    Waiting(Box<Worker>),
    Running(JoinHandle<()>),
}

impl Dispatcher {
    /// A dispatcher that has delivered nothing yet. Known names hold on to what they have not seen.
    ///
    /// # Errors
    /// If the loss of a control log cannot be noted.
    pub(crate) fn new(
        log: Arc<Log>,
        control: Arc<Control>,
        clock: Arc<dyn Clock>,
        config: DispatchConfig,
    ) -> Result<Self> {
        let appended = log.watermark().appended();
        if control.is_new() && appended > Seq::ZERO {
            // There was a log and no control log: names may have been lost with it.
            control.set_incomplete()?;
        }
        log.pins().limit_detached(config.detached_lag_max);
        pin_known(&control, log.pins());
        let cursors = control.cursors();
        let suspects = cursors.into_iter().filter(|_| !config.clean);
        let queued = log.clone();
        let queue = Queue::new(config.max_queue_size, move || queued.watermark().appended());
        Ok(Dispatcher {
            suspects: suspects.map(|(name, _)| name).collect(),
            watch: Watch::new(clock.clone()),
            office: Office {
                queue: Arc::new(queue),
                log,
                control,
                clock,
                opened_at: appended,
            },
            registry: Mutex::default(),
        })
    }

    /// The bound for emitters: every append to the log reserves its places here.
    pub(crate) fn queue(&self) -> &Queue {
        &self.office.queue
    }

    /// Attaches a handler. Its events are delivered from [`Dispatcher::start`] on.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the name has a handler already, or the description is not
    /// valid; [`Closed`](ErrorKind::Closed) after [`Dispatcher::stop`].
    pub(crate) fn subscribe(
        &self,
        subscription: Subscription,
        handlers: Handlers,
    ) -> Result<HandlerId> {
        let (id, worker) = self.attach(subscription, handlers)?;
        let mut registry = self.registry();
        let seat = worker.desk.seat.clone();
        let work = if registry.is_started && !registry.is_stopped {
            let pin = pin_name(seat.name.as_deref(), id.0);
            let spawned = spawn(worker).inspect_err(|_| {
                // The worker is gone with its handler; a name keeps its place, and its pin.
                seat.end();
                if seat.name.is_none() {
                    self.office.log.pins().remove(&pin);
                }
            });
            Work::Running(spawned?)
        } else {
            Work::Waiting(Box::new(worker))
        };
        registry.leaving.retain(|one| one.id != id);
        registry.members.insert(id, Member { seat, work });
        Ok(id)
    }

    /// Takes a seat and makes the worker for it. Until that is in the registry, its seat stands among
    /// those that are leaving, so that its name is taken.
    pub(super) fn attach(
        &self,
        subscription: Subscription,
        handlers: Handlers,
    ) -> Result<(HandlerId, Worker)> {
        subscription.check()?;
        handlers.check(subscription.concurrency)?;
        let mut registry = self.registry();
        if registry.is_stopped {
            return Err(Error::new(ErrorKind::Closed, "the system is stopped"));
        }
        registry.leaving.retain(|seat| !seat.has_ended());
        if let Some(name) = &subscription.name {
            registry.check_free(name)?;
        }
        registry.last_id += 1;
        let id = HandlerId(registry.last_id);
        // Retention must not pass the place while it is being found.
        let (pins, pin) = (
            self.office.log.pins(),
            pin_name(subscription.name.as_deref(), id.0),
        );
        let is_new = pins.hold(&pin);
        let begun = self.begin(id, subscription, handlers);
        begun
            .map(|worker| {
                registry.leaving.push(worker.desk.seat.clone());
                (id, worker)
            })
            .inspect_err(|_| {
                if is_new {
                    pins.remove(&pin);
                } else {
                    pins.detach(&pin);
                }
            })
    }

    /// Finds the place of a subscription, and makes the worker that goes on there.
    fn begin(
        &self,
        id: HandlerId,
        subscription: Subscription,
        handlers: Handlers,
    ) -> Result<Worker> {
        let place = self.place(&subscription)?;
        let name = subscription.name.clone();
        let seat = Arc::new(Seat::new(id, name.clone(), place.cursor));
        let suspect = |name: &String| self.suspects.contains(name);
        let careful = name.as_ref().is_some_and(suspect);
        let paused = name.and_then(|name| self.office.control.paused(&name));
        seat.notes().paused = paused;
        self.watch.add(&seat, subscription.rules.stall_after);
        let office = self.office.clone();
        let mut worker = Worker::new(office, seat, subscription, &place, careful, handlers);
        worker.hold_keys()?;
        Ok(worker)
    }

    /// Where a subscription goes on; a new name's place is noted durably.
    fn place(&self, subscription: &Subscription) -> Result<Place> {
        let (log, control) = (&self.office.log, &self.office.control);
        let at = |cursor| Place {
            cursor,
            ..Place::default()
        };
        let Some(name) = &subscription.name else {
            return self.behind(subscription.start).map(at);
        };
        if let Some(place) = control.place(name) {
            return Ok(place);
        }
        let start = if control.is_incomplete() {
            log.first_seq().prev()
        } else {
            self.behind(subscription.start)?
        };
        control.begin(name, start, log.watermark().durable())?;
        Ok(at(start))
    }

    /// The last Seq before a start.
    ///
    /// # Errors
    /// If the events cannot be read among which a time is looked for.
    pub(super) fn behind(&self, start: Start) -> Result<Seq> {
        let log = &self.office.log;
        Ok(match start {
            Start::Beginning => log.first_seq().prev(),
            Start::Now => log.watermark().appended(),
            Start::At(seq) => seq.prev(),
            Start::Time(time) => self.first_at(time)?.prev(),
        })
    }

    /// The first Seq that was appended at this time or later; the one after the last if there is none.
    fn first_at(&self, time: Timestamp) -> Result<Seq> {
        let log = &self.office.log;
        let (mut from, mut to) = (log.first_seq().0, log.watermark().appended().next().0);
        // `appended_at` never decreases.
        while from < to {
            let middle = from + (to - from) / 2;
            let mut reader = log.reader(Seq(middle));
            match reader.next_event()? {
                Some(event) if event.appended_at() < time => from = event.seq().next().0,
                _ => to = middle,
            }
        }
        Ok(Seq(from))
    }

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
            registry.leaving.push(member.seat.clone());
            member
        };
        self.end(vec![member], None);
        Ok(())
    }

    /// Starts all deliveries.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) after [`Dispatcher::stop`], and if a thread cannot be started.
    pub(crate) fn start(&self) -> Result<()> {
        let mut registry = self.registry();
        if registry.is_stopped {
            return Err(Error::new(ErrorKind::Closed, "the system is stopped"));
        }
        registry.is_started = true;
        self.watch.start()?;
        let mut failure = None;
        for (id, member) in std::mem::take(&mut registry.members) {
            let Member { seat, work } = member;
            let work = match work {
                Work::Waiting(worker) => match spawn(*worker) {
                    Ok(thread) => Work::Running(thread),
                    Err(error) => {
                        // All others go on; this one's name is free to be registered again.
                        seat.end();
                        failure.get_or_insert(error);
                        continue;
                    }
                },
                running @ Work::Running(_) => running,
            };
            registry.members.insert(id, Member { seat, work });
        }
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(())
    }

    /// Waits until every running subscription has handled all that is appended now, and returns the
    /// names of those that have not by the deadline, or are paused. A handler does not wait for itself.
    ///
    /// # Errors
    /// If the log cannot be synced, so that not everything can be delivered.
    pub(crate) fn drain(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        let target = self.office.log.watermark().appended();
        self.office.log.flush()?;
        let seats = self.registry().running(self.office.queue.inside());
        let is_behind =
            |seat: &Seat| seat.position.get() < target && !seat.has_ended() && !seat.is_paused();
        let done = || !seats.iter().any(|seat| is_behind(seat));
        self.office.queue.watch(target, deadline, done);
        let behind = seats.iter().filter(|seat| seat.position.get() < target);
        Ok(behind.map(|seat| seat.label()).collect())
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

    /// Sends a subscription whose handler was registered, and not started yet; `None` if it runs, or has
    /// no handler.
    pub(super) fn seek_waiting(&self, name: &str, to: Seq) -> Option<Result<()>> {
        let mut registry = self.registry();
        let members = registry.members.values_mut();
        let mut named = members.filter(|member| member.seat.name.as_deref() == Some(name));
        match &mut named.next()?.work {
            Work::Waiting(worker) => Some(worker.seek(to)),
            Work::Running(_) => None,
        }
    }

    /// Does something with a name as long as nobody has it, and nobody can register it meanwhile.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if somebody has it.
    pub(super) fn while_free<T>(&self, name: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut registry = self.registry();
        registry.leaving.retain(|seat| !seat.has_ended());
        registry.check_free(name)?;
        act()
    }

    /// The seats of all that have a handler.
    pub(super) fn attached(&self) -> Vec<Arc<Seat>> {
        let registry = self.registry();
        let seats = registry.members.values().map(|member| member.seat.clone());
        seats.collect()
    }

    /// The seat of a name that has a handler, or is getting or losing one.
    pub(super) fn seat(&self, name: &str) -> Option<Arc<Seat>> {
        let registry = self.registry();
        let attached = registry.members.values().map(|member| &member.seat);
        let mut seats = attached.chain(&registry.leaving);
        seats
            .find(|seat| seat.name.as_deref() == Some(name) && !seat.has_ended())
            .cloned()
    }

    /// The seats of all that run, but for the one whose handler is calling.
    pub(super) fn running(&self) -> Vec<Arc<Seat>> {
        self.registry().running(self.office.queue.inside())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
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
    let seq = seat.busy();
    tracing::error!(
        target: "forelog::dispatch", subscription = %label, %seq,
        "a handler did not end in time; its thread is left to itself"
    );
    match seq {
        Seq::ZERO => label,
        seq => format!("{label} (its handler is at Seq {seq})"),
    }
}

impl Registry {
    /// Whether nobody has this name.
    fn check_free(&self, name: &str) -> Result<()> {
        let seats = self.members.values().map(|member| &member.seat);
        let mut taken = seats.chain(&self.leaving);
        if !taken.any(|seat| seat.name.as_deref() == Some(name)) {
            return Ok(());
        }
        let message = format!(
            "the subscription {name:?} has a handler already, or its last delivery still runs; \
             unregister it first, or choose another name"
        );
        Err(Error::new(ErrorKind::Invalid, message))
    }

    /// The seats of all that run, but for that of the handler that is calling.
    fn running(&self, inside: Option<u64>) -> Vec<Arc<Seat>> {
        let here = thread::current().id();
        let runs = |member: &&Member| match &member.work {
            Work::Running(thread) => {
                thread.thread().id() != here && inside != Some(member.seat.id.0)
            }
            Work::Waiting(_) => false,
        };
        let members = self.members.values().filter(runs);
        members.map(|member| member.seat.clone()).collect()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        // A system that was closed has stopped it before; then nobody is left to wait for.
        self.stop(None);
    }
}
