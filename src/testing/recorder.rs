//! [`Recorder`]: a handler that writes down what it gets.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dispatch::{Delivery, Handler, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;

/// Writes down the events that its handlers get, and lets a test wait for them. A clone writes into the
/// same book.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    events: Mutex<Vec<Event>>,
    grown: Condvar,
}

impl Recorder {
    /// An empty book.
    pub fn new() -> Self {
        Recorder::default()
    }

    /// A handler that acknowledges what it writes down.
    pub fn handler(&self) -> impl Handler {
        self.handler_with(|_| Outcome::Ack)
    }

    /// A handler that writes down what it gets and answers what `outcome` says.
    pub fn handler_with(
        &self,
        mut outcome: impl FnMut(&Delivery<'_>) -> Outcome + Send + 'static,
    ) -> impl Handler {
        let recorder = self.clone();
        move |delivery: &Delivery<'_>| match delivery.to_event() {
            Ok(event) => {
                recorder.write(event);
                outcome(delivery)
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// How many deliveries there were.
    pub fn count(&self) -> usize {
        self.events_now().len()
    }

    /// The events of all deliveries so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.events_now().clone()
    }

    /// Waits for so many deliveries and returns their events, and those of any more.
    ///
    /// # Errors
    /// [`Handler`](ErrorKind::Handler) if they have not come within this time.
    pub fn wait_for(&self, count: usize, within: Duration) -> Result<Vec<Event>> {
        let began = Instant::now();
        let mut events = self.events_now();
        while events.len() < count {
            let left = within.saturating_sub(began.elapsed());
            if left.is_zero() {
                let message = format!("{} of {count} events came within {within:?}", events.len());
                return Err(Error::new(ErrorKind::Handler, message));
            }
            let waited = self.0.grown.wait_timeout(events, left);
            events = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(events.clone())
    }

    fn write(&self, event: Event) {
        self.events_now().push(event);
        self.0.grown.notify_all();
    }

    fn events_now(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
