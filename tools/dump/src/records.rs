//! The records, one a line; also as they come, and the newest first.

use std::time::Duration;

use forelog::Error;
use forelog::inspect::{Bound, Follow, Inspector, LoggedEvent, Selector};

use crate::args::{GetArgs, Key, QueryArgs, TailArgs};
use crate::format::Format;
use crate::lines::{Lines, data_of};
use crate::text::clean;
use crate::{Args, Exit, Fault, Output, Told};

/// How long a follower sleeps where nothing new is there.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);
/// How often a follower tries again what fails in the same way each time: for 10 seconds.
const FOLLOW_TRIES: u32 = 200;

type Found = Result<LoggedEvent, Error>;

/// Prints what there is.
pub(crate) fn show(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let format = Format::of(args.json, Format::Table);
    oldest_first(inspector, args.selector.selector()?, format, out, told)
}

fn oldest_first(
    inspector: &Inspector,
    selector: Selector,
    format: Format,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    // First: what cannot be read at all has no table head.
    let mut records = inspector.records(selector)?;
    let mut lines = Lines::begin(inspector, format, out)?;
    print(&mut records, &mut lines, told)?;
    end(inspector, lines, records.torn_bytes())
}

fn print(
    records: &mut dyn Iterator<Item = Found>,
    lines: &mut Lines<'_>,
    told: &mut Told<'_>,
) -> Result<(), Fault> {
    for record in records {
        match record {
            Ok(record) => lines.record(&record)?,
            Err(error) => told.damage(&error),
        }
    }
    Ok(())
}

fn end(inspector: &Inspector, lines: Lines<'_>, torn_bytes: u64) -> Result<Exit, Fault> {
    // Beside a writer what stands behind the last event is one on its way.
    let torn = match inspector.writer() {
        Some(_) => 0,
        None => torn_bytes,
    };
    lines.end(torn)?;
    Ok(if torn > 0 { Exit::Torn } else { Exit::Good })
}

/// Prints what the query finds.
pub(crate) fn query(
    inspector: &Inspector,
    args: &QueryArgs,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let selector = args.more.add_to(args.selector.selector()?)?;
    let format = args.place.format();
    if !args.newest_first {
        return oldest_first(inspector, selector, format, out, told);
    }
    let mut records = inspector.newest(selector)?;
    let mut lines = Lines::begin(inspector, format, out)?;
    print(&mut records, &mut lines, told)?;
    end(inspector, lines, records.torn_bytes())
}

/// Prints what there is, and then what comes.
pub(crate) fn follow(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let format = Format::of(args.json, Format::Table);
    let follow = inspector.follow(args.selector.selector()?)?;
    let lines = Lines::begin(inspector, format, out)?;
    follow_with(follow, lines, told, &mut sleep)
}

fn follow_with(
    mut follow: Follow,
    mut lines: Lines<'_>,
    told: &mut Told<'_>,
    pause: &mut dyn FnMut(),
) -> Result<Exit, Fault> {
    let mut failing = Failing::default();
    loop {
        let polled = follow.poll();
        if let Err(error) = &polled {
            match failing.again(error) {
                0 => told.damage(error),
                FOLLOW_TRIES.. => {
                    told.note("that has not changed for 10 seconds: nothing is followed any more");
                    lines.end(0)?;
                    return Ok(Exit::Unopened);
                }
                _ => {
                    lines.flush()?;
                    pause();
                }
            }
            continue;
        }
        failing = Failing::default();
        match polled? {
            Some(record) => lines.record(&record)?,
            None if follow.is_done() => break,
            None => {
                lines.flush()?;
                pause();
            }
        }
    }
    lines.end(0)?;
    Ok(Exit::Good)
}

/// The error that came last, and how often it has come again since.
#[derive(Debug, Default)]
struct Failing {
    error: String,
    tries: u32,
}

impl Failing {
    /// How often this error came before, with nothing between.
    fn again(&mut self, error: &Error) -> u32 {
        let error = error.to_string();
        self.tries = if self.error == error {
            self.tries + 1
        } else {
            0
        };
        self.error = error;
        self.tries
    }
}

fn sleep() {
    std::thread::sleep(FOLLOW_PAUSE);
}

/// Prints the newest records, and then what comes.
pub(crate) fn tail(
    inspector: &Inspector,
    args: &TailArgs,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let selector = args.more.add_to(args.selector.selector()?)?;
    let first = first_of_tail(inspector, selector.clone(), args.lines)?;
    let selector = match first {
        Some(first) => selector.from(first),
        None => selector,
    };
    let follow = inspector.follow(selector)?;
    let lines = Lines::begin(inspector, args.place.format(), out)?;
    follow_with(follow, lines, told, &mut sleep)
}

/// Where the newest records begin; `None` if there are fewer than are wanted.
fn first_of_tail(
    inspector: &Inspector,
    selector: Selector,
    lines: u64,
) -> Result<Option<Bound>, Fault> {
    // One that cannot be read is told of when it is come to from the other side.
    let mut newest = inspector.newest(selector.limit(lines.max(1)))?.flatten();
    let last = newest.by_ref().next().map(|record| record.seq());
    let first = newest.last().map(|record| record.seq()).or(last);
    Ok(match lines {
        0 => last.map(|last| Bound::Seq(last.next())),
        _ => first.map(Bound::Seq),
    })
}

/// Prints one event, or all that have the id.
pub(crate) fn get(
    inspector: &Inspector,
    args: &GetArgs,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let selector = match args.key {
        Key::Seq(seq) => Selector::all().from(Bound::Seq(seq)).to(Bound::Seq(seq)),
        Key::Id(id) => Selector::all().ids([id]),
    };
    let mut records = inspector.records(selector)?;
    let count = if args.place.format() == Format::Table {
        fields_of_all(&mut records, out, told)?
    } else {
        let mut lines = Lines::begin(inspector, args.place.format(), out)?;
        print(&mut records, &mut lines, told)?;
        lines.count()
    };
    if count == 0 && told.is_whole() {
        let path = args.place.path.display();
        told.note(&format!(
            "there is no such event, or not any more: {} (path {path})",
            args.key
        ));
        return Ok(Exit::Absent);
    }
    Ok(Exit::Good)
}

fn fields_of_all(
    records: &mut dyn Iterator<Item = Found>,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<u64, Fault> {
    let mut count = 0;
    for record in records {
        match record {
            Ok(record) => {
                if count > 0 {
                    writeln!(out)?;
                }
                fields(&record, out)?;
                count += 1;
            }
            Err(error) => told.damage(&error),
        }
    }
    Ok(count)
}

/// An event, a field a line.
fn fields(record: &LoggedEvent, out: Output<'_>) -> Result<(), Fault> {
    let event = record.view()?;
    writeln!(out, "seq          {}", event.seq())?;
    writeln!(out, "event_id     {}", event.event_id())?;
    writeln!(out, "event_type   {}", clean(event.event_type()))?;
    writeln!(out, "source       {}", clean(event.source()))?;
    writeln!(out, "timestamp    {}", event.timestamp())?;
    writeln!(out, "appended_at  {}", event.appended_at())?;
    for (name, value) in event.headers() {
        writeln!(out, "header       {}: {}", clean(name), clean(value))?;
    }
    writeln!(out, "data         {}", clean(&data_of(record)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use forelog::{Event, EventSystem};

    use super::*;

    #[test]
    fn following_a_directory_that_is_gone_ends_after_a_while() {
        let within = tempfile::tempdir().unwrap();
        let dir = within.path().join("orders");
        let system = EventSystem::builder()
            .persistence_path(&dir)
            .open()
            .unwrap();
        system
            .emit(Event::new("kind", "test", &1).unwrap())
            .unwrap();
        system.close().unwrap();
        let inspector = Inspector::open(&dir).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut told = Told::new(false, &mut err);
        let lines = Lines::begin(&inspector, Format::Json, &mut out).unwrap();
        let mut pauses = 0;
        let follow = inspector.follow(Selector::all()).unwrap();
        let exit = follow_with(follow, lines, &mut told, &mut || {
            pauses += 1;
            if pauses == 1 {
                std::fs::rename(&dir, within.path().join("moved")).unwrap();
            }
        });
        let exit = told.conclude(exit);
        assert_eq!(exit, Exit::Unopened);
        assert_eq!(pauses, FOLLOW_TRIES);
        let told = String::from_utf8(err).unwrap();
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(!out.is_empty());
    }
}
