//! What a consumer has printed: one Seq a line, each acknowledged for good.

use std::path::Path;

use forelog::{Result, Seq};

use super::findings::{Broken, Findings};
use super::lines;

/// The Seqs that a consumer has printed, in their order.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    seqs: Vec<u64>,
    /// How many lines do not count: torn where a run ended, alone or with the next run's first line behind.
    pub(crate) torn: u64,
}

impl Printed {
    /// Takes in the lines of a file. The last one counts only if its end is there.
    ///
    /// # Errors
    /// If the file cannot be read, or has a line that is no Seq.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        lines::each(path, |line| {
            if !line.text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(line.refused(
                    "is no Seq: give the file that `torture consume` has printed, whole",
                ));
            }
            match line.text.parse() {
                Ok(seq) if line.is_whole => self.seqs.push(seq),
                // Without its end, or of two numbers that are too long for one.
                _ => self.torn += 1,
            }
            Ok(())
        })
    }

    /// How many Seqs count.
    pub(crate) fn count(&self) -> u64 {
        self.seqs.len() as u64
    }

    /// What was printed was acknowledged for good: none of it twice, and the subscription is behind it.
    pub(crate) fn judge(&mut self, position: Seq, findings: &mut Findings) {
        let all = std::mem::take(&mut self.seqs);
        let mut last = 0;
        for (at, &seq) in all.iter().enumerate() {
            let next = all.get(at + 1).copied();
            let is_suspect = seq > position.0 || next.is_some_and(|next| next <= seq);
            let before = position.0.saturating_add(1).min(next.unwrap_or(u64::MAX));
            if is_suspect && is_glued(seq, last, before) {
                self.torn += 1;
                continue;
            }
            let detail = if seq <= last {
                Some(format!("it was printed behind Seq {last}"))
            } else if seq > position.0 {
                let detail = "it was printed, and the subscription stands at Seq";
                Some(format!("{detail} {position}"))
            } else {
                None
            };
            if let Some(detail) = detail {
                findings.add(Broken::DeliveredAgain, Some(Seq(seq)), &detail);
            }
            last = last.max(seq);
            self.seqs.push(seq);
        }
    }
}

/// Whether a number is one that a run has left torn with the first of the next run behind it: both come
/// behind `last`, the second behind the first, and before `before`.
///
/// No true Seq that is wrong here looks like it. A consumer prints each Seq there is, so that one behind
/// `last` is the next one, and none of a number's own digits lie between the two.
fn is_glued(number: u64, last: u64, before: u64) -> bool {
    let mut power: u64 = 10;
    while number / power > 0 {
        let (torn, second) = (number / power, number % power);
        let is_written = second >= power / 10;
        let is_next = is_written && last < second && second < before;
        if is_next && begins_one_of(torn, last, second) {
            return true;
        }
        let Some(longer) = power.checked_mul(10) else {
            return false;
        };
        power = longer;
    }
    false
}

/// Whether the digits of `torn` are the first, or all, of a number between the two.
fn begins_one_of(torn: u64, behind: u64, before: u64) -> bool {
    let (mut least, mut most) = (torn, torn);
    while least < before {
        if most > behind && behind.saturating_add(1) < before {
            return true;
        }
        least = least.saturating_mul(10);
        most = most.saturating_mul(10).saturating_add(9);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted and torn of a file, and which Seqs would come again.
    fn judged(files: &[&str], position: u64) -> Result<(u64, u64, Vec<Option<Seq>>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consumed");
        let mut printed = Printed::default();
        for text in files {
            std::fs::write(&path, text).unwrap();
            printed.read(&path)?;
        }
        let mut findings = Findings::default();
        printed.judge(Seq(position), &mut findings);
        let again = findings.list().into_iter().flat_map(|one| one.examples);
        let again = again.map(|one| one.seq).collect();
        Ok((printed.count(), printed.torn, again))
    }

    #[test]
    fn a_line_that_is_torn_does_not_count_at_the_end_or_in_the_middle() {
        for (text, position, counted, torn) in [
            ("", 0, 0, 0),
            ("1\n2\n3\n", 3, 3, 0),
            ("1\n2\n\n3\n41", 3, 3, 1),
            // 1234 was torn, and the next run has begun with 1235.
            ("1233\n121235\n1236\n", 1236, 2, 1),
            ("1233\n121235\n", 1235, 1, 1),
            // The end of the line alone was torn off.
            ("1233\n12341235\n1236\n", 1236, 2, 1),
            // Not beyond the end, and yet not in order: 11, torn, and 12.
            ("9\n10\n112\n13\n", 5000, 3, 1),
            // Of two numbers that are too long for one.
            (
                "10000000000\n1000000000110000000002\n10000000003\n",
                1 << 34,
                2,
                1,
            ),
        ] {
            let expected = (counted, torn, vec![]);
            assert_eq!(judged(&[text], position).unwrap(), expected, "{text:?}");
        }
        // Each run has its own file.
        let runs = judged(&["1\n2\n", "3\n", "4"], 3).unwrap();
        assert_eq!(runs, (3, 1, vec![]));
    }

    #[test]
    fn what_would_come_again_is_told_of_whatever_its_digits_are() {
        for last in [9, 10, 11, 12, 99, 100, 110, 111, 112, 1211, 1212] {
            let all: Vec<String> = (1..=last).map(|seq: u64| seq.to_string()).collect();
            let all = all.join("\n") + "\n";
            // The subscription has forgotten the last one; or some come again.
            let again = judged(&[&all], last - 1).unwrap().2;
            assert_eq!(again, [Some(Seq(last))]);
            for from in 1..=last {
                let again = judged(&[&all, &format!("{from}\n")], last).unwrap().2;
                assert_eq!(again, [Some(Seq(from))], "{last}");
            }
        }
    }

    #[test]
    fn another_file_is_refused_with_its_line() {
        for (text, line) in [("ack 1 2 3\n", 1), ("1\n2\nack", 3), ("1\n\n-2\n", 3)] {
            let refused = judged(&[text], 9).unwrap_err();
            assert_eq!(refused.kind(), forelog::ErrorKind::Invalid);
            let told = refused.to_string();
            assert!(told.contains(&format!("line {line}, ")), "{told}");
            assert!(told.contains("consumed"), "{told}");
        }
    }
}
