//! [`Scenario`]: given-when-then for projections.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::event::Event;
use crate::format::record::EventRef;
use crate::system::EventSystem;

type Apply<S> = Arc<Mutex<dyn FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send>>;

/// Begins a scenario for a projection, with what its
/// [`projection`](crate::EventSystem::projection) is made of.
///
/// ```
/// use forelog::Event;
/// use forelog::testing::scenario;
/// # fn main() -> forelog::Result<()> {
/// scenario(0_i64, |balance, event| {
///     match event.event_type() {
///         "paid.in" => *balance += event.data::<i64>()?,
///         "paid.out" => *balance -= event.data::<i64>()?,
///         _ => {}
///     }
///     Ok(())
/// })
/// .given([Event::new("paid.in", "web", &100)?, Event::new("seen", "web", &())?])
/// .when([Event::new("paid.out", "web", &30)?])
/// .then(&70);
/// # Ok(()) }
/// ```
pub fn scenario<S, F>(initial: S, apply: F) -> Scenario<S>
where
    F: FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send + 'static,
{
    Scenario {
        initial,
        apply: Arc::new(Mutex::new(apply)),
        given: Vec::new(),
        when: Vec::new(),
    }
}

/// Events and the state that they should make; see [`scenario`].
#[must_use = "a scenario checks nothing before `then`"]
pub struct Scenario<S> {
    initial: S,
    apply: Apply<S>,
    given: Vec<Event>,
    when: Vec<Event>,
}

impl<S> Scenario<S> {
    /// What has happened before: the state made of it is saved and loaded before it goes on.
    pub fn given(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.given.extend(events);
        self
    }

    /// What happens now.
    pub fn when(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.when.extend(events);
        self
    }
}

impl<S> Scenario<S>
where
    S: Serialize + DeserializeOwned + Clone + PartialEq + Debug + 'static,
{
    /// Checks that the state is this one in the end: made in one go, and made over a snapshot. Where the
    /// two differ, the state does not survive being saved.
    ///
    /// # Panics
    /// If it is another one, or an event cannot be applied: then the test has failed.
    #[track_caller]
    pub fn then(self, expected: &S) {
        let (in_one_go, over_a_snapshot) = match self.run() {
            Ok(states) => states,
            Err(error) => panic!("the scenario cannot be played: {error}"),
        };
        assert_eq!(
            &in_one_go, expected,
            "the state (left) and the expected one"
        );
        assert_eq!(
            &over_a_snapshot, expected,
            "the state over a snapshot (left) and the expected one, which it is in one go: something \
             of the state is not saved"
        );
    }

    /// Checks that an event cannot be applied, and that the error says this.
    ///
    /// # Panics
    /// If all events can be applied, or the error says something else.
    #[track_caller]
    pub fn then_fails_with(self, text: &str) {
        match self.run() {
            Ok((state, _)) => panic!("all events are applied, and the state is {state:?}"),
            Err(error) => assert!(
                error.to_string().contains(text),
                "the error does not say {text:?}: {error}"
            ),
        }
    }

    fn run(self) -> Result<(S, S)> {
        let system = EventSystem::builder().open()?;
        let project = |name: &str| {
            let apply = self.apply.clone();
            system.projection(name, 1, self.initial.clone(), move |state, event| {
                let mut apply = apply.lock().unwrap_or_else(PoisonError::into_inner);
                apply(state, event)
            })
        };
        system.emit_batch(&self.given)?;
        let mut before = project("saved")?;
        before.catch_up()?;
        before.save()?;
        drop(before);
        system.emit_batch(&self.when)?;
        let (mut whole, mut over) = (project("whole")?, project("saved")?);
        whole.catch_up()?;
        over.catch_up()?;
        let states = (whole.state().clone(), over.state().clone());
        drop((whole, over));
        system.close()?;
        Ok(states)
    }
}

impl<S: Debug> Debug for Scenario<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("initial", &self.initial)
            .field("given", &self.given)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}
