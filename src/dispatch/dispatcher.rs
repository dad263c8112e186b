//! [`Dispatcher`]: all subscriptions of a system: attached, started, listed, drained, stopped.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::crew::{Handlers, Kind, Team};
use super::draining::Draining;
use super::office::{Office, pin_known, pin_name};
use super::queue::Queue;
use super::registry::{Member, Registry, Work};
use super::roster::Roster;
use super::seat::Seat;
use super::status::HandlerId;
use super::subscription::Subscription;
use super::thread::spawn;
use super::tracer::Tracer;
use super::watch::Watch;
use super::worker::Worker;
use crate::clock::Clock;
use crate::control::Control;
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
    pub(super) suspects: BTreeSet<String>,
    pub(super) registry: Arc<Mutex<Registry>>,
    pub(super) watch: Watch,
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
                is_volatile: false,
                draining: Draining::default(),
                tracer: None,
            },
            registry: Arc::default(),
        })
    }

    /// The same, whose handlers are called within the spans of this tracer. To be called before all else.
    pub(crate) fn traced(mut self, tracer: Option<Arc<dyn Tracer>>) -> Self {
        self.office.tracer = tracer;
        self
    }

    /// The bound for emitters: every append to the log reserves its places here.
    pub(crate) fn queue(&self) -> &Queue {
        &self.office.queue
    }

    /// Where a replay finds those whom it is for.
    pub(crate) fn roster(&self) -> Roster {
        Roster::new(self.registry.clone(), self.office.queue.id())
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
        let attached = self.attach(subscription, handlers)?;
        self.admit(attached)
    }

    /// Enters an attached worker, and starts it if the others run.
    pub(super) fn admit(&self, (id, worker): (HandlerId, Worker)) -> Result<HandlerId> {
        let mut registry = self.registry();
        let seat = worker.desk.seat.clone();
        let twinning = worker.twinning.clone();
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
        let member = Member {
            seat,
            work,
            twinning,
        };
        tracing::debug!(
            target: "forelog::dispatch", subscription = %member.seat.label(),
            position = %member.seat.position.get(), "a handler is registered"
        );
        registry.members.insert(id, member);
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
        // User code, which may do anything: not under the lock.
        let made = handlers.made(subscription.concurrency);
        let mut registry = self.registry();
        registry.leaving.retain(|seat| !seat.has_ended());
        if let Some(name) = &subscription.name {
            registry.check_free(name)?;
        }
        registry.last_id += 1;
        let id = HandlerId(registry.last_id);
        self.take_seat(&mut registry, id, subscription, made)
    }

    /// Makes the worker of a registration, and enters its seat.
    pub(super) fn take_seat(
        &self,
        registry: &mut Registry,
        id: HandlerId,
        subscription: Subscription,
        made: (Team, Kind),
    ) -> Result<(HandlerId, Worker)> {
        if registry.is_stopped {
            return Err(Error::new(ErrorKind::Closed, "the system is stopped"));
        }
        // Retention must not pass the place while it is being found.
        let (pins, pin) = (
            self.office.log.pins(),
            pin_name(subscription.name.as_deref(), id.0),
        );
        let is_new = pins.hold(&pin);
        let begun = self.begin(id, subscription, made);
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
        mut subscription: Subscription,
        made: (Team, Kind),
    ) -> Result<Worker> {
        let place = self.place(&subscription)?;
        let name = subscription.name.clone();
        let mut seat = Seat::new(id, name.clone(), subscription.role, place.cursor);
        if self.office.is_volatile {
            seat = seat.volatile(subscription.label.take());
        }
        let seat = Arc::new(seat);
        let suspect = |name: &String| self.suspects.contains(name);
        let careful = name.as_ref().is_some_and(suspect);
        let paused = name.and_then(|name| self.office.control.paused(&name));
        seat.notes().paused = paused;
        self.watch.add(&seat, subscription.rules.stall_after);
        let office = self.office.clone();
        let mut worker = Worker::new(office, seat, subscription, &place, careful, made);
        worker.hold_keys()?;
        Ok(worker)
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
            let Member {
                seat,
                work,
                twinning,
            } = member;
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
            let member = Member {
                seat,
                work,
                twinning,
            };
            registry.members.insert(id, member);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(())
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

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        // A system that was closed has stopped it before; then nobody is left to wait for.
        self.stop(None);
    }
}
