//! Which promises were broken, and where: counted, with examples.

use std::collections::BTreeMap;
use std::fmt;

use forelog::Seq;
use serde::Serialize;

/// How many examples are kept of each.
const EXAMPLES_MAX: usize = 5;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Broken {
    /// An event that was acknowledged as durable is not there.
    Lost,
    /// An event is there that nobody emitted.
    Invented,
    /// An event is there with other bytes than it was emitted with.
    Altered,
    /// An event comes before one that was emitted before it, or twice.
    Reordered,
    /// A Seq was given to two events.
    Reused,
    /// A part of a batch is there.
    TornBatch,
    /// Something is missing in between, and no gap is declared.
    Holed,
    /// What was consumed for good comes again.
    DeliveredAgain,
    /// What a crash leaves is called damaged, or cannot be opened.
    Refused,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Broken::Lost => "acknowledged events lost",
            Broken::Invented => "events invented",
            Broken::Altered => "events altered",
            Broken::Reordered => "events reordered or doubled",
            Broken::Reused => "Seqs used twice",
            Broken::TornBatch => "batches torn",
            Broken::Holed => "undeclared holes",
            Broken::DeliveredAgain => "consumed events delivered again",
            Broken::Refused => "crash states refused",
        })
    }
}

/// Where it was broken.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Example {
    pub(crate) seq: Option<Seq>,
    pub(crate) detail: String,
}

/// One promise, and how often it was broken.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) promise: Broken,
    pub(crate) count: u64,
    pub(crate) examples: Vec<Example>,
}

/// All promises that were broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(BTreeMap<Broken, Finding>);

impl Findings {
    pub(crate) fn add(&mut self, promise: Broken, seq: Option<Seq>, detail: &str) {
        let finding = self.0.entry(promise).or_insert_with(|| Finding {
            promise,
            count: 0,
            examples: Vec::new(),
        });
        finding.count += 1;
        if finding.examples.len() < EXAMPLES_MAX {
            let detail = detail.to_owned();
            finding.examples.push(Example { seq, detail });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn list(&self) -> Vec<Finding> {
        self.0.values().cloned().collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0.values() {
            writeln!(f, "{}: {}", finding.promise, finding.count)?;
            for example in &finding.examples {
                match example.seq {
                    Some(seq) => writeln!(f, "  Seq {seq}: {}", example.detail)?,
                    None => writeln!(f, "  {}", example.detail)?,
                }
            }
        }
        Ok(())
    }
}
