//! The child process: it records, and kills itself where nobody expects it.
//!
//! SIGKILL cannot be caught: no destructor runs, no buffer is flushed, no file is closed in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::args::Orders;
use crate::handlers::{self, HANDLERS};
use crate::ingest;
use crate::news::News;
use crate::table::grouped;

/// How the process will end, drawn before it begins.
#[derive(Debug, Clone, Copy)]
struct Fate {
    /// After how many events: between a fifth and four fifths of them.
    events: u64,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After a batch was acknowledged, before anybody hears of it.
    Emitter,
    /// Inside this handler, which has done its work and not acknowledged it.
    Handler(&'static str),
    /// Wherever the other threads are when a bystander strikes, this long after the event.
    Anywhere(Duration),
}

impl Fate {
    fn draw(events: u64) -> Result<Fate> {
        let place = match random(4)? {
            0 => Place::Emitter,
            1 => Place::Handler(HANDLERS[0]),
            2 => Place::Handler(HANDLERS[1]),
            _ => Place::Anywhere(Duration::from_micros(random(2000)?)),
        };
        let fifth = events / 5;
        Ok(Fate {
            events: fifth + random(3 * fifth + 1)?,
            place,
        })
    }

    /// Ends the process if its time has come at this place.
    fn strike(self, place: Place, events: u64) {
        if self.place == place && events >= self.events {
            let events = grouped(events);
            die(&match place {
                Place::Handler(name) => format!("inside the handler {name}, at event {events}"),
                _ => format!("in the emitter, after event {events}"),
            });
        }
    }
}

/// Records until death; returns only if something failed before.
pub(crate) fn record_and_die(orders: &Orders) -> Result<()> {
    let fate = Fate::draw(orders.events)?;
    let system = ingest::open(&orders.dir)?;
    handlers::register(&system, move |handled| {
        fate.strike(Place::Handler(handled.handler), handled.seq.0);
        News::Handled(handled).tell();
    })?;
    system.start()?;

    let progress = Arc::new(AtomicU64::new(0));
    if let Place::Anywhere(delay) = fate.place {
        let progress = progress.clone();
        thread::spawn(move || bystand(&progress, fate.events, delay));
    }
    ingest::ingest(&system, &orders.input, |events| {
        progress.store(events, Ordering::Relaxed);
        fate.strike(Place::Emitter, events);
        News::Acknowledged(events).tell();
    })?;
    // A handler that is to die may still be on its way there; without events nobody is.
    system.drain(None)?;
    die("at the end of the input")
}

/// Strikes this long after so many events were acknowledged, whatever the others do.
fn bystand(progress: &AtomicU64, events: u64, delay: Duration) {
    while progress.load(Ordering::Relaxed) < events {
        thread::sleep(Duration::from_micros(20));
    }
    let struck = Instant::now() + delay;
    while Instant::now() < struck {
        std::hint::spin_loop();
    }
    let events = grouped(progress.load(Ordering::Relaxed));
    die(&format!("by another thread, after event {events}"));
}

/// A number below `end` from the operating system, so that no two runs die alike.
fn random(end: u64) -> Result<u64> {
    let number = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(number % end)
}

/// Ends this process at once.
fn die(place: &str) -> ! {
    News::Dying(place.to_owned()).tell();
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // On systems without signals; on others the line above does not return.
    std::process::abort()
}
