//! The part of [`EventSystem`] that reads: look-ups, replays, projections, and how it stands.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::Origin;
use super::volatile::Engine;
use super::{EventStore, EventSystem, Stats};
use crate::control::ControlRecovery;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::log::Recovery;
use crate::replay::{Ground, Laboratory, Projection, Replay, upcasting};

impl EventSystem {
    /// The events that are held, to be looked up.
    pub fn store(&self) -> EventStore {
        EventStore {
            view: self.0.log.view(),
            index: Some(self.0.index.clone()),
            origin: Origin::Live(self.0.log.clone()),
            upcasters: self.0.upcasters.clone(),
        }
    }

    /// A range of past events, to be gone through once more.
    pub fn replay(&self) -> Replay {
        let upcasters = self.0.upcasters.clone();
        Replay::new(self.0.log.clone(), self.0.dispatcher.roster(), upcasters)
    }

    /// A place to see what other handlers and projections would have done with a range of the past, with
    /// their effects held back.
    pub fn laboratory<'a>(&self) -> Laboratory<'a> {
        Laboratory::new(self.0.log.clone(), self.0.upcasters.clone())
    }

    /// A state that is made by applying events in order, kept under this name.
    ///
    /// `version` is the author's count of what `apply` and `S` mean: without a snapshot of this version,
    /// the state is made anew from `initial`.
    ///
    /// # Errors
    /// If the folder of snapshots cannot be read. A damaged snapshot is set aside, and the one before
    /// counts; without any the state is made anew.
    pub fn projection<S, F>(
        &self,
        name: &str,
        version: u64,
        initial: S,
        apply: F,
    ) -> Result<Projection<S>>
    where
        S: Serialize + DeserializeOwned + Clone,
        F: FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send + 'static,
    {
        let ground = Ground {
            log: self.0.log.clone(),
            snapshots: self.0.snapshots.clone(),
            clock: self.0.clock.clone(),
        };
        let apply = upcasting(&self.0.upcasters, apply);
        Projection::open(name, version, initial, ground, apply)
    }

    /// What opening found and did.
    pub fn recovery(&self) -> &Recovery {
        self.0.log.recovery()
    }

    /// What was set right in the control log, which keeps the subscriptions' places; `None` if
    /// nothing was wrong with it.
    pub fn control_recovery(&self) -> Option<&ControlRecovery> {
        self.0.control.recovery()
    }

    /// The system in numbers.
    pub fn stats(&self) -> Stats {
        let log = &self.0.log;
        let segments = log.segments();
        let volatile = self.0.volatile.get();
        Stats {
            first_seq: log.first_seq(),
            last_seq: log.watermark().appended(),
            durable_seq: log.watermark().durable(),
            events: log.count(),
            segments: segments.len() as u64,
            bytes: segments.iter().map(|segment| segment.used_len()).sum(),
            retention_waits: log.retention_wait(),
            segments_recycled: log.recycled(),
            queue_depth: self.0.dispatcher.queue().depth(),
            queue_max: self.0.max_queue_size,
            rejected: self.0.dispatcher.queue().rejected(),
            volatile_events: volatile.map_or(0, Engine::emitted),
            volatile_bytes: volatile.map_or(0, Engine::bytes),
            volatile_depth: volatile.map_or(0, Engine::depth),
            index: self.0.index.state(),
        }
    }
}
