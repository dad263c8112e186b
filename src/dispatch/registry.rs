//! [`Registry`]: who has a handler, and whether it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::seat::Seat;
use super::status::HandlerId;
use super::twin::Twinning;
use super::types::TypeTotals;
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};

#[derive(Default)]
pub(super) struct Registry {
    pub(super) is_started: bool,
    pub(super) is_stopped: bool,
    pub(super) last_id: u64,
    pub(super) members: BTreeMap<HandlerId, Member>,
    /// Unregistered, and their last delivery may still be running.
    pub(super) leaving: Vec<Arc<Seat>>,
    /// What was counted by those that were unregistered, so that no count goes down.
    pub(super) departed: TypeTotals,
}

pub(super) struct Member {
    pub(super) seat: Arc<Seat>,
    pub(super) work: Work,
    pub(super) twinning: Arc<Twinning>,
}

pub(super) enum Work {
    /// Not started yet.
    Waiting(Box<Worker>),
    Running(JoinHandle<()>),
}

impl Registry {
    /// Whether nobody has this name.
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
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
    pub(super) fn running(&self, inside: Option<u64>) -> Vec<Arc<Seat>> {
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
