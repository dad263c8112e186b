//! How reports are written: as lines of name and value, or as one JSON object.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use forelog::Gap;
use forelog_dump::clean;
use serde::Serialize;

/// How many ranges of Seqs a line of text has.
const SHOWN_MAX: usize = 8;

/// A report as one line of JSON.
pub(crate) fn json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

/// A line of a report, without what could steer a terminal.
pub(crate) fn line(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {:<10} {}", clean(name), clean(value))
}

/// Lines of a report whose names are of any length, one under the other.
pub(crate) fn lines(out: &mut dyn Write, pairs: &[(&str, String)]) -> io::Result<()> {
    let names = || pairs.iter().map(|(name, _)| clean(name));
    let width = names().map(|name| name.chars().count()).max().unwrap_or(0);
    let width = width.max(10);
    for (name, (_, value)) in names().zip(pairs) {
        writeln!(out, "  {name:<width$} {}", clean(value))?;
    }
    Ok(())
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

/// A path as it is shown, without what could steer a terminal.
pub(crate) fn path(path: &Path) -> String {
    clean(&path.display().to_string())
}

/// A path as it is typed in a shell.
pub(crate) fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if text.starts_with('-') {
        return typed(&Path::new(".").join(path));
    }
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else if path.to_str().is_some() && !text.chars().any(char::is_control) {
        format!("'{}'", text.replace('\'', r"'\''"))
    } else {
        escaped(path.as_os_str().as_encoded_bytes())
    }
}

/// Bytes that are no text, or would steer the terminal, as Bash, Zsh and Ksh read them.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            // Three digits always, so that none behind them is taken for one of theirs.
            _ => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_typed_so_that_a_shell_reads_the_same() {
        for (path, due) in [
            ("/var/lib/orders-1", "/var/lib/orders-1"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(rm)", "'$(rm)'"),
            ("-r", "./-r"),
            ("", "''"),
            ("a\u{1b}[2J\n1'", r"$'a\033[2J\0121\''"),
        ] {
            assert_eq!(typed(Path::new(path)), due);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_typed_as_it_is() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff9"));
        assert_eq!(typed(path), r"$'a\3779'");
    }

    #[test]
    fn a_line_does_not_steer_the_terminal() {
        let mut out = Vec::new();
        line(&mut out, "a\u{1b}[2J", "b\nc").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "  a\\u{1b}[2J b\\nc\n");
        assert_eq!(super::path(Path::new("a\u{7}")), "a\\u{7}");
    }
}
