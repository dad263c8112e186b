//! [`TypeLedger`]: what handlers did, by event type, as far as types are told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::figures::TypeFigures;
use super::past::{Moment, Past, Tried};
use super::percentiles::{Latency, Recent};
use crate::clock::Timestamp;
use crate::dispatch::{OTHER_TYPES, TypeTotals};
use crate::system::EventSystem;

/// How many names of types are looked at, and how many are shown.
const NAMES_MAX: usize = 1_000;
const TYPES_MAX: usize = 50;

/// How long deliveries took lately, and since the beginning.
type Timed = (Histogram<u64>, Histogram<u64>);

/// What is kept of earlier moments.
#[derive(Debug)]
pub(super) struct TypeLedger {
    each: BTreeMap<Arc<str>, Recent>,
    /// As of the last moment.
    timed: BTreeMap<Arc<str>, Timed>,
}

impl TypeLedger {
    pub(super) fn new(at: Timestamp, totals: &TypeTotals) -> Self {
        let types = totals.0.iter();
        let begun = types.map(|(name, total)| {
            let recent = Recent::new(at, total.latency.as_ref());
            (name.clone(), recent)
        });
        TypeLedger {
            each: begun.collect(),
            timed: BTreeMap::new(),
        }
    }

    /// Takes in a moment.
    pub(super) fn take_in(&mut self, at: Timestamp, totals: &TypeTotals) {
        let types = &totals.0;
        self.timed.clear();
        self.each.retain(|name, _| types.contains_key(name));
        for (name, total) in types {
            let Some(all) = &total.latency else { continue };
            let before = self.each.entry(name.clone());
            let before = before.or_insert_with(|| Recent::new(at, None));
            let recent = before.take_in(at, all);
            self.timed.insert(name.clone(), (recent, all.clone()));
        }
    }

    /// The types that most events are of, and all others as one.
    pub(super) fn figures(
        &self,
        system: &EventSystem,
        (at, totals): (Timestamp, &TypeTotals),
        past: &Past,
    ) -> Vec<TypeFigures> {
        let held = system.store().types().take(NAMES_MAX);
        let mut events: BTreeMap<String, u64> = held.map(|one| (one.name, one.count)).collect();
        for name in totals.0.keys() {
            // Handled, and held no more.
            events.entry(name.to_string()).or_default();
        }
        // Whatever is called so, it is all others.
        let unnamed = events.remove(OTHER_TYPES);
        let mut all: Vec<_> = events.into_iter().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let others = all.split_off(all.len().min(TYPES_MAX));
        let one = |(name, events): &(String, u64)| TypeFigures {
            event_type: name.clone(),
            events: *events,
            ..self.handled(&BTreeSet::from([name.as_str()]), (at, totals), past)
        };
        let mut figures: Vec<_> = all.iter().map(one).collect();
        if unnamed.is_some() || !others.is_empty() {
            let events = others.iter().map(|one| one.1).sum::<u64>() + unnamed.unwrap_or(0);
            let names = others.iter().map(|one| one.0.as_str());
            let names = names.chain([OTHER_TYPES]).collect();
            figures.push(TypeFigures {
                event_type: OTHER_TYPES.to_owned(),
                events,
                ..self.handled(&names, (at, totals), past)
            });
        }
        figures
    }

    /// What handlers did with events of these types.
    fn handled(
        &self,
        names: &BTreeSet<&str>,
        (at, totals): (Timestamp, &TypeTotals),
        past: &Past,
    ) -> TypeFigures {
        let mut now = Tried::default();
        let mut timed: Option<Timed> = None;
        for &name in names {
            if let Some(total) = totals.0.get(name) {
                let (delivered, failed) = (total.delivered, total.failed);
                now.add(Tried { delivered, failed });
            }
            match (self.timed.get(name), &mut timed) {
                (Some((recent, all)), Some(sum)) => {
                    // It cannot fail: these grow.
                    let _ = sum.0.add(recent).and_then(|()| sum.1.add(all));
                }
                (Some(first), None) => timed = Some(first.clone()),
                (None, _) => {}
            }
        }
        let before = |moment: &Moment| {
            let mut sum = Tried::default();
            let types = moment.by_type.iter();
            let wanted = types.filter(|(name, _)| names.contains(&**name));
            wanted.for_each(|(_, tried)| sum.add(*tried));
            sum
        };
        let lately = past.lately(at, now, before);
        TypeFigures {
            delivered: now.delivered,
            failed: now.failed,
            rate: lately.rate,
            error_rate: lately.error_rate,
            latency: timed
                .map_or_else(Latency::default, |(recent, all)| Latency::of(&recent, &all)),
            ..TypeFigures::default()
        }
    }
}
