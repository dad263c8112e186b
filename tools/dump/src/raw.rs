//! Every frame with its bytes, and the bytes that are no frame.

use forelog::inspect::{Inspector, RawItem, RawKind};

use crate::text::{clean, counted, hex};
use crate::{Args, Exit, Fault, Output, Told};

pub(crate) fn show(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let limit = args.selector.limit.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    for item in inspector.raw()?.take(limit) {
        match item {
            Ok(item) if args.json => {
                serde_json::to_writer(&mut *out, &item)?;
                writeln!(out)?;
            }
            Ok(item) => text(&item, out)?,
            Err(error) => told.damage(&error),
        }
    }
    // Whether bytes that are no frame are damage or a torn tail only the whole can tell.
    if args.selector.limit.is_some() {
        return Ok(Exit::Good);
    }
    Ok(inspector.verify(&mut |_| {})?.verdict.into())
}

fn text(item: &RawItem, out: Output<'_>) -> Result<(), Fault> {
    let (file, offset) = (clean(&item.file), item.offset);
    write!(out, "{file} @{offset} ")?;
    match &item.kind {
        RawKind::Event(frame) => writeln!(
            out,
            "event {}, {}, at {}, appended {}, durable up to {}, batch {}/{}, id {}",
            frame.seq,
            counted(item.len, "byte"),
            frame.timestamp,
            frame.appended_at,
            frame.durable_upto,
            frame.batch_place.saturating_add(1),
            frame.batch_count,
            frame.event_id,
        )?,
        RawKind::Mark(frame) => writeln!(
            out,
            "mark after {}, durable up to {}, flags {:#06x}",
            frame.seq, frame.durable_upto, frame.flags,
        )?,
        RawKind::Invalid { reason } => {
            writeln!(out, "invalid, {}: {reason}", counted(item.len, "byte"))?;
        }
    }
    hex(out, item.offset, &item.bytes)?;
    if (item.bytes.len() as u64) < item.len {
        writeln!(
            out,
            "  and {} more",
            counted(item.len - item.bytes.len() as u64, "byte")
        )?;
    }
    Ok(())
}
