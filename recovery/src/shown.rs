//! How reports are written: as lines of name and value, or as one JSON object.

use std::io::{self, Write};
use std::path::Path;

use forelog::Gap;
use serde::Serialize;

/// How many ranges of Seqs a line of text has.
const SHOWN_MAX: usize = 8;

/// A report as one line of JSON.
pub(crate) fn json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

/// A line of a report.
pub(crate) fn line(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value}")
}

/// Some ranges of Seqs, in words.
pub(crate) fn seqs(gaps: &[Gap]) -> String {
    let one = |gap: &Gap| {
        if gap.from == gap.to {
            gap.from.to_string()
        } else {
            format!("{} to {}", gap.from, gap.to)
        }
    };
    let mut shown: Vec<String> = gaps.iter().take(SHOWN_MAX).map(one).collect();
    if gaps.len() > SHOWN_MAX {
        shown.push(format!("and {} more ranges", gaps.len() - SHOWN_MAX));
    }
    shown.join(", ")
}

/// A path as it is typed in a shell.
pub(crate) fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
