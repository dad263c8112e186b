//! The segments with the fields of their headers and footers.

use forelog::inspect::{Inspector, SegmentReport, SegmentState};
use serde_json::Value;

use crate::text::{clean, counted};
use crate::{Exit, Fault, Output};

pub(crate) fn show(inspector: &Inspector, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let segments = inspector.segments()?;
    let damaged = segments.iter().any(|at| at.state == SegmentState::Damaged);
    for segment in &segments {
        if json {
            serde_json::to_writer(&mut *out, segment)?;
            writeln!(out)?;
        } else {
            text(segment, out)?;
        }
    }
    Ok(if damaged { Exit::Damaged } else { Exit::Good })
}

fn text(segment: &SegmentReport, out: Output<'_>) -> Result<(), Fault> {
    let (file, state) = (clean(&segment.file), segment.state);
    writeln!(out, "{file}: {state}, {}", counted(segment.bytes, "byte"))?;
    if let Some(problem) = &segment.problem {
        writeln!(out, "  problem: {problem}")?;
    }
    if let Some(header) = &segment.header {
        writeln!(out, "  header")?;
        fields(&serde_json::to_value(header)?, out)?;
    }
    if let Some(footer) = &segment.footer {
        writeln!(out, "  footer")?;
        fields(&serde_json::to_value(footer)?, out)?;
    }
    Ok(())
}

fn fields(object: &Value, out: Output<'_>) -> Result<(), Fault> {
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "    {name:<14} {value}")?;
    }
    Ok(())
}
