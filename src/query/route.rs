//! [`Route`]: how a query finds its events, chosen by what is expected to be read.

use std::sync::Arc;

use super::bounds::Bounds;
use super::criteria::Criteria;
use crate::event::Pattern;
use crate::index::{Dimension, Index};
use crate::log::View;
use crate::position::Seq;

/// More lists than this are not merged: each holds a page in memory.
const LISTS_MAX: usize = 1024;
/// What reading an event by its place costs, in events of a scan.
const BY_PLACE: u64 = 4;
/// What opening a list costs, in events of a scan.
const LIST: u64 = 64;
/// Whoever wants no more events than this of a few whole names gets them from their lists, without a count
/// of how many there are: counting takes longer than reading them.
const FEW_EVENTS: u64 = 256;
const FEW_NAMES: usize = 4;
/// How many events behind the index a query looks at one by one. If there are more, the index is no
/// help: it is being built. Tests have few events.
const BEHIND_MAX: u64 = if cfg!(test) { 512 } else { 16_384 };

/// Where a query takes its events from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// There can be none.
    Nowhere,
    /// Look-ups by id.
    Ids,
    /// Lists of the index, merged, up to where it reaches; a scan behind that.
    Lists(Lists),
    /// One event after the other.
    Scan,
}

/// Lists of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) dimension: Dimension,
    pub(super) names: Vec<Box<str>>,
    /// How many events they hold together at most, if they were counted.
    pub(super) count: Option<u64>,
    /// Up to where the index is asked.
    pub(super) upto: Seq,
}

impl Lists {
    /// How many of their events are expected in the range.
    pub(super) fn expected(&self, log: &View, bounds: Bounds) -> u64 {
        let Some(count) = self.count else {
            return bounds.len();
        };
        let held = u128::from(log.count().max(1));
        let share = u128::from(count) * u128::from(bounds.len()) / held;
        u64::try_from(share)
            .unwrap_or(u64::MAX)
            .min(count)
            .min(bounds.len())
    }

    /// The same lists, counted, without those that hold nothing.
    pub(super) fn counted(&self, index: &Index) -> Lists {
        counted(index, self.dimension, self.names.clone(), self.upto)
    }
}

/// A route, and why it is a slower one than it could be.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) route: Route,
    pub(super) fallback: Option<String>,
}

impl Choice {
    /// The cheapest route.
    pub(super) fn of(
        (log, index): (&View, Option<&Arc<Index>>),
        criteria: &Criteria,
        bounds: Bounds,
        limit: u64,
    ) -> Choice {
        if bounds.is_empty() || limit == 0 {
            return Choice::plain(Route::Nowhere);
        }
        if !criteria.ids.is_empty() && index.is_some() {
            return Choice::plain(Route::Ids);
        }
        let patterns = criteria.filter.type_patterns();
        let sources = criteria.filter.wanted_sources();
        if patterns.is_empty() && sources.is_empty() && criteria.ids.is_empty() {
            return Choice::plain(Route::Scan);
        }
        let (index, upto) = match usable(log, index) {
            Ok(usable) => usable,
            Err(reason) => {
                return Choice {
                    route: Route::Scan,
                    fallback: Some(reason),
                };
            }
        };
        let types = types_of(index, &patterns);
        let is_few = limit <= FEW_EVENTS && bounds.len() > FEW_EVENTS && criteria.is_by_name();
        if is_few && let Some(lists) = few_lists(types.as_deref(), &sources, upto) {
            return Choice::plain(Route::Lists(lists));
        }
        let lists = [
            lists_of(index, Dimension::Type, types, upto),
            lists_of(index, Dimension::Source, names_of(&sources), upto),
        ];
        let mut choice = Choice::cheapest(log, lists, bounds, limit);
        // An event that could not be read may have any name.
        if let Route::Lists(lists) = &choice.route
            && lists.names.is_empty()
            && lists.upto >= bounds.last
            && index.unread(bounds.first, bounds.last).next().is_none()
        {
            choice.route = Route::Nowhere;
        }
        choice
    }

    fn plain(route: Route) -> Choice {
        Choice {
            route,
            fallback: None,
        }
    }

    fn cheapest(log: &View, lists: [Option<Lists>; 2], bounds: Bounds, limit: u64) -> Choice {
        let lists: Vec<Lists> = lists.into_iter().flatten().collect();
        let expected = lists.iter().map(|lists| lists.expected(log, bounds));
        let matching = expected.min().unwrap_or(bounds.len()).max(1);
        // Whoever wants few events reads only a part of them.
        let part = |events: u64| {
            let read = u128::from(events) * u128::from(limit.min(matching)) / u128::from(matching);
            u64::try_from(read).unwrap_or(u64::MAX)
        };
        let cost = |lists: &Lists| {
            let opened = (lists.names.len() as u64).saturating_mul(LIST);
            let read = part(lists.expected(log, bounds)).saturating_mul(BY_PLACE);
            opened.saturating_add(read)
        };
        let scan = part(bounds.len());
        let best = lists.into_iter().min_by_key(cost);
        Choice::plain(match best.filter(|lists| cost(lists) <= scan) {
            Some(lists) => Route::Lists(lists),
            None => Route::Scan,
        })
    }
}

/// The index and up to where it is of use, or why it is of none.
pub(super) fn usable<'a>(
    log: &View,
    index: Option<&'a Arc<Index>>,
) -> Result<(&'a Arc<Index>, Seq), String> {
    let index = index.ok_or("the store is read-only and has no index")?;
    let state = index.opened_state();
    let appended = log.watermark().appended();
    let behind = appended.since(state.indexed_upto.max(log.first_seq().prev()));
    if behind <= BEHIND_MAX {
        return Ok((index, state.indexed_upto));
    }
    let reason = if state.rebuilding {
        "is being rebuilt"
    } else {
        "is behind"
    };
    Err(format!(
        "the index {reason}: it has the events up to {} of {appended}",
        state.indexed_upto
    ))
}

/// The types that fit one of the patterns; `None` if all types are wanted.
fn types_of(index: &Index, patterns: &[&Pattern]) -> Option<Vec<Box<str>>> {
    if patterns.is_empty() {
        return None;
    }
    let mut names: Vec<Box<str>> = Vec::new();
    let mut prefixes = Vec::new();
    for pattern in patterns {
        match pattern {
            Pattern::Exact(name) => names.push(name.as_str().into()),
            Pattern::Prefix(prefix) => prefixes.push(prefix.as_str()),
        }
    }
    if !prefixes.is_empty() {
        // Too many are as good as all.
        let found = index.names_with(Dimension::Type, &prefixes);
        names.extend(found.take(LISTS_MAX + 1));
        names.sort_unstable();
        names.dedup();
    }
    Some(names)
}

fn names_of(names: &[&str]) -> Option<Vec<Box<str>>> {
    let all = names.iter().map(|&name| name.into());
    (!names.is_empty()).then(|| all.collect())
}

fn lists_of(
    index: &Index,
    dimension: Dimension,
    names: Option<Vec<Box<str>>>,
    upto: Seq,
) -> Option<Lists> {
    let names = names.filter(|names| names.len() <= LISTS_MAX)?;
    Some(counted(index, dimension, names, upto))
}

fn counted(index: &Index, dimension: Dimension, mut names: Vec<Box<str>>, upto: Seq) -> Lists {
    let mut count = 0_u64;
    names.retain(|name| {
        let held = index.count_at_most(dimension, name);
        count = count.saturating_add(held);
        held > 0
    });
    Lists {
        dimension,
        names,
        count: Some(count),
        upto,
    }
}

/// The lists of a few names of one dimension; `None` if there are more, or none.
fn few_lists(types: Option<&[Box<str>]>, sources: &[&str], upto: Seq) -> Option<Lists> {
    let (dimension, names) = match types {
        Some(types) if sources.is_empty() => (Dimension::Type, types.to_vec()),
        None => (Dimension::Source, names_of(sources)?),
        Some(_) => return None,
    };
    (1..=FEW_NAMES).contains(&names.len()).then_some(Lists {
        dimension,
        names,
        count: None,
        upto,
    })
}
