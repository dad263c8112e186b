//! [`Applying`]: events brought into a state.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result, guarded};
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::mutant::{self, Mutant};
use crate::position::Seq;
use crate::upcast::Upcasters;

pub(super) type Apply<S> = Box<dyn FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send>;

/// What was done in one go.
pub(super) struct Stretch {
    pub(super) applied: u64,
    /// Whether the target is reached.
    pub(super) is_end: bool,
}

/// What it takes to bring a state forward.
pub(super) struct Applying<'p, S> {
    pub(super) name: &'p str,
    pub(super) log: &'p Arc<Log>,
    pub(super) filter: &'p Filter,
    pub(super) apply: &'p mut Apply<S>,
}

impl<S> Applying<'_, S> {
    /// Brings state and position forward by `most` events, up to `target`.
    pub(super) fn run(
        self,
        state: &mut S,
        position: &mut Seq,
        target: Seq,
        most: u64,
    ) -> Result<Stretch> {
        self.filter.check()?;
        let from = if mutant::is(Mutant::ApplyTwice) {
            (*position).max(Seq::FIRST)
        } else {
            position.next()
        };
        let mut reader = self.log.reader(from);
        let mut applied = 0;
        for _ in 0..most {
            let at = reader.position();
            let next = reader.next_event()?;
            if at <= target && next.as_ref().is_none_or(|event| event.seq() > at) {
                check_held(self.log, self.name, at.prev())?;
            }
            let Some(event) = next.filter(|event| event.seq() <= target) else {
                return Ok(Stretch {
                    applied,
                    is_end: true,
                });
            };
            if self.filter.matches(event.event_type(), event.source()) {
                apply_guarded(self.apply, state, &event)
                    .map_err(|error| error.at_seq(event.seq()))?;
                applied += 1;
            }
            *position = event.seq();
        }
        let is_end = *position >= target;
        Ok(Stretch { applied, is_end })
    }
}

/// The same function, which gets the newest version of each event.
pub(crate) fn upcasting<S, F>(upcasters: &Arc<Upcasters>, mut apply: F) -> Apply<S>
where
    F: FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send + 'static,
{
    if upcasters.is_empty() {
        return Box::new(apply);
    }
    let upcasters = upcasters.clone();
    Box::new(move |state, event| upcasters.show(event, |newest| apply(state, newest)))
}

/// Whether the log still holds all events after `position`. Before the first event there is nothing to
/// lose: what is held is what there is.
pub(super) fn check_held(log: &Log, name: &str, position: Seq) -> Result<()> {
    let removed = log.removed_upto();
    if position == Seq::ZERO || removed <= position {
        return Ok(());
    }
    Err(gone(name, position, removed))
}

/// What is said where events that are needed were removed.
pub(super) fn gone(name: &str, position: Seq, removed: Seq) -> Error {
    let message = format!(
        "retention has removed events up to {removed}, and the state of projection {name:?} stands at \
         {position}: call rebuild to make it from what is held, or raise the limits"
    );
    Error::new(ErrorKind::NotFound, message).at_seq(position.next())
}

pub(super) fn apply_guarded<S>(
    apply: &mut Apply<S>,
    state: &mut S,
    event: &EventRef<'_>,
) -> Result<()> {
    // Whoever calls throws the state away after an error, so that a panic leaves no half of it.
    guarded("apply function of a projection", || apply(state, event))
        .unwrap_or_else(|reason| Err(Error::new(ErrorKind::Handler, reason)))
}
