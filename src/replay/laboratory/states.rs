//! [`ShadowState`]: a state that a new apply function makes, beside the live one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::difference::{Differences, value_of};
use super::findings::{StateFailure, StateFindings};
use crate::error::Result;
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::position::Seq;
use crate::replay::applying::{Apply, apply_guarded};
use crate::replay::projection::Projection;

/// A shadow projection, whatever its state is.
pub(super) trait ShadowState {
    /// Makes the state that stands before the first event.
    fn begin(&mut self, before: Seq) -> Result<()>;

    /// Applies an event, unless it has failed before.
    fn apply(&mut self, event: &EventRef<'_>);

    /// Compares the states after this event.
    fn finish(self: Box<Self>, at: Seq, listed_max: usize) -> Result<StateFindings>;
}

/// Makes the state before the range.
type Start<L, S> = Box<dyn FnOnce(&mut Projection<L>, Seq) -> Result<S>>;

/// A live projection and its shadow.
pub(super) struct Pair<'a, L, S> {
    live: &'a mut Projection<L>,
    start: Option<Start<L, S>>,
    state: Option<S>,
    filter: Filter,
    apply: Apply<S>,
    applied: u64,
    failure: Option<StateFailure>,
}

impl<'a, L, S> Pair<'a, L, S> {
    pub(super) fn new(
        live: &'a mut Projection<L>,
        start: Start<L, S>,
        filter: Filter,
        apply: Apply<S>,
    ) -> Self {
        Pair {
            live,
            start: Some(start),
            state: None,
            filter,
            apply,
            applied: 0,
            failure: None,
        }
    }
}

impl<L, S> ShadowState for Pair<'_, L, S>
where
    L: Serialize + DeserializeOwned + Clone,
    S: Serialize,
{
    fn begin(&mut self, before: Seq) -> Result<()> {
        self.filter.check()?;
        if let Some(start) = self.start.take() {
            self.state = Some(start(self.live, before)?);
        }
        Ok(())
    }

    fn apply(&mut self, event: &EventRef<'_>) {
        let is_wanted = self.filter.matches(event.event_type(), event.source());
        let Some(state) = self.state.as_mut().filter(|_| is_wanted) else {
            return;
        };
        match apply_guarded(&mut self.apply, state, event) {
            Ok(()) => self.applied += 1,
            Err(error) => {
                // Half of the event may be in it, as in a live one, which would stand still here.
                self.state = None;
                self.failure = Some(StateFailure {
                    seq: event.seq(),
                    reason: error.to_string(),
                });
            }
        }
    }

    fn finish(self: Box<Self>, at: Seq, listed_max: usize) -> Result<StateFindings> {
        let name = self.live.name.clone();
        let mut differences = Differences::default();
        if let Some(state) = &self.state {
            let live = value_of(&name, &self.live.state_at(at)?)?;
            differences = Differences::between(&live, &value_of(&name, state)?, listed_max);
        }
        Ok(StateFindings {
            name,
            position: at,
            applied: self.applied,
            failure: self.failure,
            differences: differences.count,
            listed: differences.listed,
        })
    }
}
