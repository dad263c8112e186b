//! How a subscription's [`Standing`] lies in a checkpoint.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::parked::ParkedFields;
use super::state::{Standing, Tries};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::Seq;

#[derive(Serialize, Deserialize)]
pub(super) struct StandingRecord {
    subscription: String,
    cursor: Seq,
    parkings: u64,
    attempts: Vec<(Seq, u32)>,
    parked: Vec<ParkedFields>,
    #[serde(default)]
    ahead: Ahead,
    #[serde(default)]
    seeks: u64,
    #[serde(default)]
    skipped: u64,
    #[serde(default)]
    paused: Option<String>,
    #[serde(default)]
    failing_since: Vec<(Seq, Timestamp)>,
}

impl StandingRecord {
    pub(super) fn of((name, standing): (&String, &Standing)) -> Self {
        let attempts = || standing.attempts.iter();
        let since = |(seq, tries): (&Seq, &Tries)| Some((*seq, tries.failing_since?));
        StandingRecord {
            subscription: name.clone(),
            cursor: standing.cursor,
            parkings: standing.parkings,
            attempts: attempts().map(|(seq, tries)| (*seq, tries.count)).collect(),
            parked: standing
                .parked
                .values()
                .map(|parked| ParkedFields::of(parked))
                .collect(),
            ahead: standing.ahead.clone(),
            seeks: standing.seeks,
            skipped: standing.skipped,
            paused: standing.paused.clone(),
            failing_since: attempts().filter_map(since).collect(),
        }
    }

    /// The name, and what it stands for.
    pub(super) fn into_standing(self) -> Result<(String, Standing)> {
        let parked = self.parked.into_iter().map(|fields| {
            let parked = fields.into_parked()?;
            Ok((parked.seq, Arc::new(parked)))
        });
        let tries = |(seq, count)| {
            let failing_since = None;
            (
                seq,
                Tries {
                    count,
                    failing_since,
                },
            )
        };
        let mut standing = Standing {
            cursor: self.cursor,
            parkings: self.parkings,
            ahead: self.ahead,
            seeks: self.seeks,
            skipped: self.skipped,
            paused: self.paused,
            attempts: self.attempts.into_iter().map(tries).collect(),
            parked: parked.collect::<Result<_>>()?,
        };
        for (seq, since) in self.failing_since {
            if let Some(tries) = standing.attempts.get_mut(&seq) {
                tries.failing_since = Some(since);
            }
        }
        Ok((self.subscription, standing))
    }
}
