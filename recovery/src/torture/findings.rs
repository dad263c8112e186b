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
    /// What was not consumed does not come.
    Skipped,
    /// A state is not what its events make, each applied once.
    WronglyApplied,
    /// An answer of the index is not that of a scan.
    WronglyAnswered,
    /// After a failed sync something was acknowledged.
    FailureForgotten,
    /// Something failed without a reason.
    Failed,
    /// Something is missing or wrong, and no error says so.
    Unseen,
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
            Broken::Skipped => "events skipped by a subscription",
            Broken::WronglyApplied => "projections wrong",
            Broken::WronglyAnswered => "look-ups wrong",
            Broken::FailureForgotten => "failed syncs passed over",
            Broken::Failed => "calls failed without a reason",
            Broken::Unseen => "damage not seen",
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
pub(crate) struct Findings {
    broken: BTreeMap<Broken, Finding>,
    /// How the disk came to be what it is, where that is known.
    pub(crate) history: Option<String>,
}

impl Findings {
    pub(crate) fn add(&mut self, promise: Broken, seq: Option<Seq>, detail: &str) {
        let finding = self.broken.entry(promise).or_insert_with(|| Finding {
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

    /// Takes in others.
    pub(crate) fn extend(&mut self, others: Findings) {
        for finding in others.broken.into_values() {
            for example in &finding.examples {
                self.add(finding.promise, example.seq, &example.detail);
            }
            let more = finding.count - finding.examples.len() as u64;
            self.broken
                .entry(finding.promise)
                .and_modify(|own| own.count += more);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.broken.is_empty()
    }

    pub(crate) fn list(&self) -> Vec<Finding> {
        self.broken.values().cloned().collect()
    }
}
