//! `torture consume`: each Seq once its acknowledgement is durable.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use forelog::{Delivery, Error, ErrorKind, EventSystem, Result, Seq, Status, Subscription};
use forelog_dump::{Exit, Fault, Output, Told};

use super::args::ConsumeArgs;
use super::open;
use super::sink::Sink;

/// How often is looked which acknowledgements are durable by now.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn consume(
    args: &ConsumeArgs,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> std::result::Result<Exit, Fault> {
    if let Some(absent) = open::absent(&args.dir)? {
        return Err(nothing_to_consume(&absent).into());
    }
    let mut sink = Sink::new(args.ack_to.as_deref(), out)?;
    let segment_len = open::segment_len(&args.dir, None);
    let system = open::system(&args.dir, segment_len, args.unsafe_no_sync, &args.key, told)?;
    let (sender, receiver) = channel();
    let handler = move |delivery: &Delivery<'_>| {
        // Nobody listens any more once the end has come: then it is not acknowledged either.
        sender.send(delivery.seq()).is_ok()
    };
    system.register_handler(Subscription::named(&args.name), handler)?;
    system.start()?;
    let consumed = run(&system, args, &receiver, &mut sink);
    let closed = system.close();
    consumed?;
    closed?;
    Ok(Exit::Good)
}

fn nothing_to_consume(absent: &Error) -> Error {
    let message = format!(
        "there is nothing to consume, and nothing was made here: {}. Is the disk mounted, and was \
         `torture write` given this directory?",
        absent.message()
    );
    let error = Error::new(absent.kind(), message);
    match absent.path() {
        Some(path) => error.at_path(path),
        None => error,
    }
}

/// Prints until all is consumed.
fn run(
    system: &EventSystem,
    args: &ConsumeArgs,
    receiver: &Receiver<Seq>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut waiting: VecDeque<Seq> = VecDeque::new();
    loop {
        let is_drained = drain_a_while(system, &args.name)?;
        waiting.extend(receiver.try_iter());
        if waiting.is_empty() && is_drained {
            return Ok(());
        }
        let upto = system.durable_position(&args.name)?;
        let mut lines = String::new();
        let durable = waiting.partition_point(|seq| *seq <= upto);
        for seq in waiting.drain(..durable) {
            let _ = writeln!(lines, "{seq}");
        }
        sink.send(&lines)?;
        if is_drained && !waiting.is_empty() {
            // The cursor is written by another thread, once it has nothing else to do.
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Whether everything is handled; waits a little for it.
fn drain_a_while(system: &EventSystem, name: &str) -> Result<bool> {
    let drained = system.drain(Instant::now().checked_add(LOOK_EVERY));
    let states = system.subscriptions();
    let has_stopped = states
        .iter()
        .any(|state| state.name.as_deref() == Some(name) && state.status == Status::Stopped);
    match drained {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Handler && !has_stopped => Ok(false),
        Err(error) => Err(error),
    }
}
