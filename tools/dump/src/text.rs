//! Text for people: columns, tables, numbers and bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Text from a log, or the name of a file, without what could steer a terminal: control characters, and those that
/// turn the direction of a line or begin a new one, are written as `\u{1b}`.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_steering(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm, under which the columns
/// behind them are shown in another order; and its separators of lines and paragraphs.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number with its digits in groups: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `2 events`.
pub(crate) fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", grouped(number))
}

/// Bytes as lines of 16 with their offsets, in hexadecimal and as text.
pub(crate) fn hex(out: &mut dyn Write, offset: u64, bytes: &[u8]) -> io::Result<()> {
    for (line, offset) in bytes.chunks(16).zip((offset..).step_by(16)) {
        let mut digits = String::new();
        for byte in line {
            write!(digits, "{byte:02x} ").map_err(io::Error::other)?;
        }
        let shown = |&byte: &u8| match byte {
            0x20..=0x7e => char::from(byte),
            _ => '.',
        };
        let text: String = line.iter().map(shown).collect();
        writeln!(out, "  {offset:08x}  {digits:<48} |{text}|")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(1000, "event"), "1,000 events");
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(clean("a\u{1b}[2Jb\n\u{9b}ü"), "a\\u{1b}[2Jb\\n\\u{9b}ü");
        let turned = "\u{202e}a\u{2066}b\u{2069}\u{2028}";
        assert_eq!(clean(turned), "\\u{202e}a\\u{2066}b\\u{2069}\\u{2028}");
        assert_eq!(clean("日本 👩\u{200d}👧"), "日本 👩\u{200d}👧");
    }

    #[test]
    fn bytes_are_shown_in_lines_of_sixteen() {
        let mut out = Vec::new();
        hex(&mut out, 4096, b"0123456789abcdef\x00").unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  00001000  30 31 "), "{text}");
        assert!(lines[0].ends_with("|0123456789abcdef|"), "{text}");
        assert!(lines[1].starts_with("  00001010  00 "), "{text}");
        assert_eq!(lines[0].find('|'), lines[1].find('|'));
    }
}
