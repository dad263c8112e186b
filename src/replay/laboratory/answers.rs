//! [`Answers`]: what shadow handlers emit, held against what live ones emitted in answer to the same
//! events.
//!
//! Both sides are matched as they come, so that only what differs, or has yet to be matched, is held.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::difference::Differences;
use super::findings::{Answer, AnswerDifference, AnswerFindings};
use crate::dispatch::HeldEvent;
use crate::error::Result;
use crate::event::{Event, EventId, Filter, to_value};
use crate::format::record::EventRef;
use crate::position::Seq;

/// The answers to the events that shadow handlers were given.
#[derive(Debug)]
pub(super) struct Answers {
    filter: Filter,
    listed_max: usize,
    given: HashMap<EventId, Seq>,
    /// What is not matched, by cause.
    open: BTreeMap<Seq, Sides>,
    findings: AnswerFindings,
}

#[derive(Debug, Default)]
struct Sides {
    live: Vec<Answer>,
    shadow: Vec<Answer>,
}

impl Answers {
    /// Compares events of this filter.
    pub(super) fn new(filter: Filter, listed_max: usize) -> Self {
        Answers {
            filter,
            listed_max,
            given: HashMap::new(),
            open: BTreeMap::new(),
            findings: AnswerFindings::default(),
        }
    }

    /// A shadow handler is given this event.
    pub(super) fn given(&mut self, event: &EventRef<'_>) {
        self.given.insert(event.event_id(), event.seq());
    }

    /// Takes in what a shadow handler has emitted.
    pub(super) fn shadow(&mut self, held: HeldEvent) -> Result<()> {
        let HeldEvent { cause, event, due } = held;
        let Some(&seq) = self.given.get(&cause).filter(|_| self.is_compared(&event)) else {
            return Ok(());
        };
        self.findings.shadow += 1;
        let data = to_value(event.data.as_bytes())?;
        let answer = Answer {
            event_type: event.event_type,
            source: event.source,
            data,
            due,
        };
        self.take(seq, answer, |sides| (&mut sides.live, &mut sides.shadow));
        Ok(())
    }

    /// Takes in an event of the log, which may be an answer.
    pub(super) fn live(&mut self, event: &EventRef<'_>) -> Result<()> {
        if !self.filter.matches(event.event_type(), event.source()) {
            return Ok(());
        }
        let cause = event.causation().and_then(|cause| self.given.get(&cause));
        let Some(&seq) = cause else {
            return Ok(());
        };
        self.findings.live += 1;
        let answer = Answer {
            event_type: event.event_type().to_owned(),
            source: event.source().to_owned(),
            data: to_value(event.data_bytes()).map_err(|error| error.at_seq(event.seq()))?,
            due: None,
        };
        self.take(seq, answer, |sides| (&mut sides.shadow, &mut sides.live));
        Ok(())
    }

    fn is_compared(&self, event: &Event) -> bool {
        self.filter.matches(&event.event_type, &event.source)
    }

    /// Matches an answer with one of the other side, or keeps it on its own.
    fn take(
        &mut self,
        cause: Seq,
        answer: Answer,
        sides: impl FnOnce(&mut Sides) -> (&mut Vec<Answer>, &mut Vec<Answer>),
    ) {
        let entry = self.open.entry(cause).or_default();
        let (others, own) = sides(entry);
        match others.iter().position(|other| is_same(other, &answer)) {
            Some(place) => {
                others.remove(place);
                self.findings.same += 1;
            }
            None => own.push(answer),
        }
        if entry.live.is_empty() && entry.shadow.is_empty() {
            self.open.remove(&cause);
        }
    }

    /// What differs in the end.
    pub(super) fn finish(mut self) -> AnswerFindings {
        for (cause, sides) in std::mem::take(&mut self.open) {
            let Sides { live, mut shadow } = sides;
            for live in live {
                let like = counterpart(&shadow, &live).map(|place| shadow.remove(place));
                self.note(cause, Some(live), like);
            }
            for extra in shadow {
                self.note(cause, None, Some(extra));
            }
        }
        self.findings
    }

    fn note(&mut self, cause: Seq, live: Option<Answer>, shadow: Option<Answer>) {
        let findings = &mut self.findings;
        match (&live, &shadow) {
            (Some(_), Some(_)) => findings.changed += 1,
            (Some(_), None) => findings.missing += 1,
            (None, _) => findings.extra += 1,
        }
        if findings.listed.len() >= self.listed_max {
            return;
        }
        let data = |answer: &Option<Answer>| answer.as_ref().map(|answer| answer.data.clone());
        let data: Option<(Value, Value)> = data(&live).zip(data(&shadow));
        let data =
            data.map(|(live, shadow)| Differences::between(&live, &shadow, self.listed_max).listed);
        findings.listed.push(AnswerDifference {
            cause,
            live,
            shadow,
            data: data.unwrap_or_default(),
        });
    }
}

fn is_same(one: &Answer, other: &Answer) -> bool {
    one.event_type == other.event_type && one.source == other.source && one.data == other.data
}

/// What stands in the shadow's answers for a live one that is not among them: one of the same type, of the
/// same source if there is one.
fn counterpart(shadow: &[Answer], live: &Answer) -> Option<usize> {
    let has_type = |answer: &Answer| answer.event_type == live.event_type;
    let is_like = |answer: &Answer| has_type(answer) && answer.source == live.source;
    let place = shadow.iter().position(is_like);
    place.or_else(|| shadow.iter().position(has_type))
}
