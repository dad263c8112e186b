//! The records, one a line; also as they come.

use std::time::Duration;

use forelog::inspect::{Inspector, LoggedEvent, SegmentState};

use crate::text::{clean, counted};
use crate::{Args, Exit, Fault, Output, Told};

/// How long a follower sleeps where nothing new is there.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);

/// Prints what there is.
pub(crate) fn show(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let mut lines = Lines::begin(inspector, args, out)?;
    let mut records = inspector.records(args.selector.selector())?;
    for record in &mut records {
        match record {
            Ok(record) => lines.record(&record)?,
            Err(error) => told.damage(&error),
        }
    }
    // Beside a writer what stands behind the last event is one on its way.
    let torn = match inspector.writer() {
        Some(_) => 0,
        None => records.torn_bytes(),
    };
    lines.end(torn)?;
    Ok(if torn > 0 { Exit::Torn } else { Exit::Good })
}

/// Prints what there is, and then what comes.
pub(crate) fn follow(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let mut lines = Lines::begin(inspector, args, out)?;
    let mut follow = inspector.follow(args.selector.selector())?;
    loop {
        match follow.poll() {
            Ok(Some(record)) => lines.record(&record)?,
            Ok(None) if follow.is_done() => break,
            Ok(None) => {
                lines.out.flush()?;
                std::thread::sleep(FOLLOW_PAUSE);
            }
            Err(error) => told.damage(&error),
        }
    }
    lines.end(0)?;
    Ok(Exit::Good)
}

/// Prints records, as text in columns or as JSON.
struct Lines<'a> {
    json: bool,
    out: Output<'a>,
    count: u64,
}

impl<'a> Lines<'a> {
    fn begin(inspector: &Inspector, args: &Args, out: Output<'a>) -> Result<Self, Fault> {
        if !args.json {
            let segments = inspector.segments()?;
            let held = |state| matches!(state, SegmentState::Sealed | SegmentState::Active);
            let held = segments
                .iter()
                .filter(|segment| held(segment.state))
                .count();
            write!(out, "# {}", counted(held as u64, "segment"))?;
            if let Some(writer) = inspector.writer() {
                write!(out, ", in use by {writer}")?;
            }
            writeln!(out)?;
            let (seq, timestamp) = ("seq", "timestamp");
            let (event_type, source) = ("type", "source");
            writeln!(
                out,
                "{seq:>10}  {timestamp:<30}  {event_type:<24}  {source:<16}  data"
            )?;
        }
        Ok(Lines {
            json: args.json,
            out,
            count: 0,
        })
    }

    fn record(&mut self, record: &LoggedEvent) -> Result<(), Fault> {
        self.count = self.count.saturating_add(1);
        if self.json {
            serde_json::to_writer(&mut *self.out, record)?;
            writeln!(self.out)?;
            return Ok(());
        }
        let event = record.view()?;
        let data = match record.data_json() {
            Ok(data) => data.to_string(),
            Err(error) => format!("({})", error.message()),
        };
        writeln!(
            self.out,
            "{:>10}  {:<30}  {:<24}  {:<16}  {}",
            event.seq(),
            event.timestamp().to_string(),
            clean(event.event_type()),
            clean(event.source()),
            clean(&data),
        )?;
        Ok(())
    }

    fn end(self, torn_bytes: u64) -> Result<(), Fault> {
        if !self.json {
            write!(self.out, "# {}", counted(self.count, "event"))?;
            if torn_bytes > 0 {
                write!(self.out, "; a torn tail of {}", counted(torn_bytes, "byte"))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }
}
