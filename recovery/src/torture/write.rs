//! `torture write`: events by a seed, each acknowledged once it is durable.
//!
//! The threads emit, and this one hands the lines of what is durable on, so that none of them is printed
//! once anything has failed: an acknowledgement that comes after an error would prove nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use forelog::{Durability, Error, Event, EventSystem, Result, Seq};
use forelog_dump::{Exit, Fault, Output, Told};

use super::acks::line;
use super::args::{Promise, WriteArgs};
use super::content::{Tag, digest, payload_max};
use super::open;
use super::sink::Sink;

/// How many messages the threads may be ahead of the acknowledgements.
const AHEAD: usize = 1024;
/// How often is looked whether the events of `--durability interval` are durable by now.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a thread tells.
enum News {
    /// The last Seq of a batch, and its lines.
    Emitted(Seq, String),
    Failed(Error),
}

pub(crate) fn write(
    args: &WriteArgs,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> std::result::Result<Exit, Fault> {
    let mut sink = Sink::new(args.ack_to.as_deref(), out)?;
    let durability = args
        .durability
        .durability(Duration::from_millis(args.interval_ms.max(1)));
    let segment_len = open::segment_len(&args.dir, args.segment_bytes);
    let system = open::system(&args.dir, segment_len, args.unsafe_no_sync, &args.key, told)?;
    let begun = begun(&system, args.seed)?;
    let is_over = AtomicBool::new(false);
    let has_failed = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        for thread in 0..args.threads {
            let writer = Writer {
                system: &system,
                durability,
                seed: args.seed,
                thread,
                from: begun.get(&thread).copied().unwrap_or(0),
                count: share(args.events, args.threads, thread),
                batch: args.batch,
                payload_max: payload_max(segment_len as u64, args.batch),
            };
            let (sender, is_over) = (sender.clone(), &is_over);
            let has_failed = &has_failed;
            scope.spawn(move || writer.run(&sender, is_over, has_failed));
        }
        drop(sender);
        let handed_on = match args.durability {
            Promise::Interval => hand_on_later(&system, &receiver, &has_failed, &mut sink),
            Promise::Sync | Promise::Os => hand_on(&receiver, &has_failed, &mut sink),
        };
        is_over.store(true, Ordering::Release);
        // Whoever has still something to tell must not wait for it to be heard.
        drop(receiver);
        handed_on
    });
    // An error comes first; the close after it is only to leave things in order.
    let closed = system.close();
    written?;
    closed?;
    Ok(Exit::Good)
}

/// How many of the events are a thread's.
fn share(events: u64, threads: u16, thread: u16) -> u64 {
    let (threads, thread) = (u64::from(threads), u64::from(thread));
    events / threads + u64::from(thread < events % threads)
}

/// The number with which each thread of a seed goes on, where it has written before.
fn begun(system: &EventSystem, seed: u64) -> Result<HashMap<u16, u64>> {
    let mut begun = HashMap::new();
    system.replay().run(|event| {
        if let Some(tag) = Tag::of(event).filter(|tag| tag.seed == seed) {
            begun.insert(tag.thread, tag.index + 1);
        }
        Ok(())
    })?;
    Ok(begun)
}

/// Hands lines on as they come, until all threads are done; none once something has failed.
fn hand_on(receiver: &Receiver<News>, has_failed: &AtomicBool, sink: &mut Sink<'_>) -> Result<()> {
    for told in receiver {
        match told {
            News::Emitted(..) if has_failed.load(Ordering::Acquire) => {}
            News::Emitted(_, lines) => sink.send(&lines)?,
            News::Failed(error) => return Err(error),
        }
    }
    Ok(())
}

/// Hands lines on once their events are known to be synced, which nobody here asks for; none once something
/// has failed.
fn hand_on_later(
    system: &EventSystem,
    receiver: &Receiver<News>,
    has_failed: &AtomicBool,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut waiting: BTreeMap<Seq, String> = BTreeMap::new();
    let mut looked = Instant::now();
    loop {
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(News::Emitted(last, lines)) => drop(waiting.insert(last, lines)),
            Ok(News::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if looked.elapsed() >= LOOK_EVERY && !has_failed.load(Ordering::Acquire) {
            looked = Instant::now();
            let later = waiting.split_off(&system.stats().durable_seq.next());
            sink.send(&joined(std::mem::replace(&mut waiting, later)))?;
        }
    }
    system.flush()?;
    sink.send(&joined(waiting))
}

fn joined(lines: BTreeMap<Seq, String>) -> String {
    lines.into_values().collect()
}

/// One thread's events.
struct Writer<'a> {
    system: &'a EventSystem,
    durability: Durability,
    seed: u64,
    thread: u16,
    from: u64,
    count: u64,
    batch: u16,
    payload_max: u32,
}

impl Writer<'_> {
    /// Emits until all is emitted, something fails, or nobody listens any more.
    fn run(&self, sender: &SyncSender<News>, is_over: &AtomicBool, failed: &AtomicBool) {
        let end = self.from.saturating_add(self.count);
        let mut first = self.from;
        while first < end && !is_over.load(Ordering::Acquire) {
            let count = u64::from(self.batch).min(end - first);
            let news = match self.emit(first, count) {
                Ok((last, lines)) => News::Emitted(last, lines),
                Err(error) => News::Failed(error),
            };
            let has_failed = matches!(news, News::Failed(_));
            failed.fetch_or(has_failed, Ordering::AcqRel);
            if sender.send(news).is_err() || has_failed {
                return;
            }
            first += count;
        }
    }

    /// Emits one batch; returns its last Seq and its lines.
    fn emit(&self, first: u64, count: u64) -> Result<(Seq, String)> {
        let events = (first..first + count).map(|index| self.event(first, count, index));
        let events: Vec<Event> = events.collect::<Result<_>>()?;
        let receipts = match events.as_slice() {
            [event] => vec![self.system.emit_with(event, self.durability)?],
            events => self.system.emit_batch_with(events, self.durability)?,
        };
        let last = receipts.last().map_or(Seq::ZERO, |receipt| receipt.seq);
        let pairs = receipts.iter().zip(&events);
        Ok((
            last,
            pairs
                .map(|(receipt, event)| line(receipt, &digest(event)))
                .collect(),
        ))
    }

    fn event(&self, first: u64, count: u64, index: u64) -> Result<Event> {
        let tag = Tag {
            seed: self.seed,
            thread: self.thread,
            index,
            first,
            count: u16::try_from(count).unwrap_or(u16::MAX),
            payload_max: self.payload_max,
        };
        tag.event()
    }
}

#[cfg(test)]
mod tests {
    use forelog::ErrorKind;

    use super::*;

    #[test]
    fn nothing_is_handed_on_later_once_something_has_failed() {
        let system = EventSystem::builder().persistence_enabled(false).open();
        let system = system.unwrap();
        let event = Event::new("made", "test", &1).unwrap();
        let seq = system.emit_with(&event, Durability::Sync).unwrap().seq;
        let has_failed = AtomicBool::new(true);
        let mut printed = Vec::new();
        let mut sink = Sink::new(None, &mut printed).unwrap();
        let (sender, receiver) = sync_channel(1);
        let ended = std::thread::scope(|scope| {
            scope.spawn(move || {
                // For as long as it takes to look several times, before the failure is told.
                let begun = Instant::now();
                while begun.elapsed() < LOOK_EVERY * 10 {
                    let news = News::Emitted(seq, "ack\n".to_owned());
                    sender.send(news).unwrap();
                }
                let failed = Error::new(ErrorKind::SyncFailed, "it has failed");
                sender.send(News::Failed(failed)).unwrap();
            });
            hand_on_later(&system, &receiver, &has_failed, &mut sink)
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::SyncFailed);
        assert_eq!(String::from_utf8(printed).unwrap(), "");
        system.close().unwrap();
    }
}
