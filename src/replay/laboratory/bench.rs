//! [`Bench`]: the shadows at work, and what is seen of them.

use std::sync::Arc;
use std::time::Duration;

use super::answers::Answers;
use super::findings::{Findings, HandlerFindings, Unacknowledged};
use super::states::ShadowState;
use crate::dispatch::lineage::{Cause, HeldBack};
use crate::dispatch::{Handler, Outcome, Shadow, Subscription, Verdict};
use crate::error::Result;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;

/// The shadows at work.
pub(super) struct Bench<'a> {
    handlers: Vec<Rehearsed>,
    states: Vec<Box<dyn ShadowState + 'a>>,
    answers: Answers,
    held: HeldBack,
    patience: Duration,
    listed: usize,
}

/// A shadow handler, and what became of its deliveries.
struct Rehearsed {
    shadow: Shadow,
    found: HandlerFindings,
}

impl<'a> Bench<'a> {
    /// A bench without handlers; see [`Laboratory`](super::Laboratory) for what the settings are.
    pub(super) fn new(
        states: Vec<Box<dyn ShadowState + 'a>>,
        answers: Answers,
        patience: Duration,
        listed: usize,
    ) -> Self {
        Bench {
            handlers: Vec::new(),
            states,
            answers,
            held: HeldBack::default(),
            patience,
            listed,
        }
    }

    /// Adds a shadow handler.
    ///
    /// # Errors
    /// If the subscription is not valid.
    pub(super) fn add(
        &mut self,
        subscription: Subscription,
        handler: Box<dyn Handler>,
    ) -> Result<()> {
        let shadow = Shadow::new(subscription, handler, &self.held)?;
        let found = HandlerFindings {
            name: shadow.label(),
            ..HandlerFindings::default()
        };
        self.handlers.push(Rehearsed { shadow, found });
        Ok(())
    }

    /// Gives an event of the range to everybody.
    pub(super) fn take(&mut self, event: &EventRef<'_>) -> Result<()> {
        if !self.handlers.is_empty() {
            self.answers.live(event)?;
        }
        for one in &mut self.handlers {
            let Some(verdict) = one.shadow.call(*event, self.patience) else {
                continue;
            };
            self.answers.given(event);
            one.found.note(event, verdict, self.listed);
            for held in self.held.take() {
                one.found.emitted += 1;
                self.answers.shadow(held)?;
            }
        }
        if self.states.is_empty() {
            return Ok(());
        }
        // An apply function has no business to emit; if it does, nothing comes of it.
        let _held = Cause::held(event, &HeldBack::default());
        for state in &mut self.states {
            state.apply(event);
        }
        Ok(())
    }

    /// Looks for live answers that lie behind what was replayed.
    pub(super) fn take_late_answers(&mut self, log: &Arc<Log>, after: Seq, end: Seq) -> Result<()> {
        if self.handlers.is_empty() {
            return Ok(());
        }
        let mut reader = log.reader(after.next());
        while let Some(event) = reader.next_event()?.filter(|event| event.seq() <= end) {
            self.answers.live(&event)?;
        }
        Ok(())
    }

    pub(super) fn finish(self, mut findings: Findings) -> Result<Findings> {
        findings.handlers = self.handlers.into_iter().map(|one| one.found).collect();
        findings.answers = self.answers.finish();
        for state in self.states {
            findings
                .states
                .push(state.finish(findings.to, self.listed)?);
        }
        Ok(findings)
    }
}

impl HandlerFindings {
    fn note(&mut self, event: &EventRef<'_>, verdict: Verdict, listed_max: usize) {
        self.given += 1;
        let (count, outcome, reason) = match verdict {
            Verdict::Answered(Outcome::Ack) => {
                self.acknowledged += 1;
                return;
            }
            Verdict::Answered(Outcome::Retry | Outcome::RetryAfter(_)) => {
                (&mut self.retried, "retry", String::new())
            }
            Verdict::Answered(Outcome::Park(reason)) => (&mut self.parked, "park", reason),
            Verdict::Answered(Outcome::Failed(reason)) => (&mut self.failed, "failed", reason),
            Verdict::Panicked(reason) => (&mut self.panicked, "panicked", reason),
            Verdict::Unresolved => (&mut self.unresolved, "unresolved", String::new()),
        };
        *count += 1;
        if self.listed.len() < listed_max {
            self.listed.push(Unacknowledged {
                seq: event.seq(),
                event_type: event.event_type().to_owned(),
                outcome: outcome.to_owned(),
                reason,
            });
        }
    }
}
