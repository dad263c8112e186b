//! The names that events have, once an era: [`Dictionary`] writes them, [`check`] and [`listed`] read
//! them.
//!
//! The key holds era and name, so that names come in order; the value, sealed, holds the window that
//! met the name first. Eras keep what has gone from staying for ever: the names of one whose windows
//! are all gone go as well.

use std::collections::HashSet;

use super::catalog::{Catalog, broken};
use super::dimension::{Dimension, Each};
use super::hash::Hashed;
use super::keys::{self, ERA_LEN, WINDOW_LEN, digest, mix, seal, unseal};
use super::store::{Pair, Store};
use super::values::EraNames;
use super::window::Window;
use crate::error::Result;

/// About how many bytes a set takes for each hash that it has room for.
const BYTES_PER_HASH: usize = 11;

/// Knows which names the era already has, as far as memory allows; the store knows all.
#[derive(Debug)]
pub(super) struct Dictionary {
    era: u64,
    known: Each<HashSet<u64, Hashed>>,
    bytes_max: usize,
}

/// The names that a window adds to its era.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) records: Vec<Pair>,
    pub(super) names: Each<EraNames>,
}

impl Dictionary {
    pub(super) fn new(bytes_max: usize) -> Dictionary {
        Dictionary {
            era: 0,
            known: Each::default(),
            bytes_max,
        }
    }

    /// The names of a window that its era has not had before. They count as known from now on.
    pub(super) fn meet(
        &mut self,
        store: &dyn Store,
        catalog: &Catalog,
        window: &Window,
    ) -> Result<Met> {
        let era = window.number() / ERA_LEN;
        if era != self.era || self.bytes_after_one_more() > self.bytes_max {
            self.era = era;
            for dimension in Dimension::ALL {
                self.known.get_mut(dimension).clear();
            }
        }
        let mut met = Met {
            records: Vec::new(),
            names: Each::with(|_| EraNames {
                era,
                ..EraNames::default()
            }),
        };
        for dimension in Dimension::ALL {
            let known = self.known.get_mut(dimension);
            let mut own = EraNames {
                era,
                ..EraNames::default()
            };
            for named in window.lists(dimension).names() {
                if !known.insert(named.hash) {
                    continue;
                }
                let key = keys::name(dimension, era, &named.name);
                let held = store.get(&key)?;
                let held = held.map(|value| read(&key, &value, era)).transpose()?;
                // One that a crash has left there does not count yet.
                if held.is_some_and(|first| first < catalog.next_window()) {
                    continue;
                }
                own.count += 1;
                own.sum = own.sum.wrapping_add(name_digest(&key));
                met.records.push(record(key, window.number()));
            }
            *met.names.get_mut(dimension) = own;
        }
        Ok(met)
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.sum(HashSet::capacity)
    }

    /// The same, should the next window be full of new names.
    fn bytes_after_one_more(&self) -> usize {
        let more = usize::try_from(WINDOW_LEN).unwrap_or(0);
        self.sum(|known| match known.capacity() {
            room if known.len() + more <= room => room,
            room => (room * 2).max(more),
        })
    }

    fn sum(&self, room: impl Fn(&HashSet<u64, Hashed>) -> usize) -> usize {
        let rooms = Dimension::ALL.map(|dimension| room(self.known.get(dimension)));
        rooms.iter().sum::<usize>() * BYTES_PER_HASH
    }
}

fn record(key: Vec<u8>, window: u64) -> Pair {
    let first = u16::try_from(window % ERA_LEN).unwrap_or(0);
    let value = seal(&key, &[], &first.to_le_bytes());
    (key, value)
}

/// The window that met a name first.
fn read(key: &[u8], value: &[u8], era: u64) -> Result<u64> {
    let body = unseal(key, &[], value).and_then(|body| body.try_into().ok());
    let body = body.ok_or_else(|| broken("a name does not pass its check"))?;
    Ok(era
        .saturating_mul(ERA_LEN)
        .saturating_add(u16::from_le_bytes(body).into()))
}

/// What a name adds to the sum of its era.
fn name_digest(key: &[u8]) -> u64 {
    mix(digest(key))
}

/// Checks that no name has gone missing.
///
/// # Errors
/// [`Index`](crate::ErrorKind::Index) if one has.
pub(super) fn check(store: &dyn Store, catalog: &Catalog) -> Result<()> {
    for dimension in Dimension::ALL {
        for due in catalog.names().get(dimension) {
            let mut held = EraNames {
                era: due.era,
                ..EraNames::default()
            };
            visit(store, catalog, dimension, due.era, "", &mut |key, _| {
                held.count += 1;
                held.sum = held.sum.wrapping_add(name_digest(key));
                true
            })?;
            if held != *due {
                return Err(broken("names are missing"));
            }
        }
    }
    Ok(())
}

/// The first `count` names behind `after` that an era has, ascending.
pub(super) fn listed(
    store: &dyn Store,
    catalog: &Catalog,
    (dimension, era): (Dimension, u64),
    after: Option<&str>,
    count: usize,
) -> Result<Vec<Box<str>>> {
    let mut names = Vec::new();
    let from = after.unwrap_or_default();
    visit(store, catalog, dimension, era, from, &mut |_, name| {
        if after.is_none_or(|after| name > after) {
            names.push(name.into());
        }
        names.len() < count
    })?;
    Ok(names)
}

/// Visits the names of an era that are `from` or behind it and that the position covers, until
/// `visit` has enough.
fn visit(
    store: &dyn Store,
    catalog: &Catalog,
    dimension: Dimension,
    era: u64,
    from: &str,
    visit: &mut dyn FnMut(&[u8], &str) -> bool,
) -> Result<()> {
    let start = keys::name(dimension, era, from);
    let end = keys::names_of(dimension, era.saturating_add(1));
    let mut failed = None;
    store.scan(
        &start,
        &end,
        &mut |key, value| match (keys::parse_name(key), read(key, value, era)) {
            (Some(name), Ok(first)) => first >= catalog.next_window() || visit(key, name),
            (_, Err(error)) => {
                failed = Some(error);
                false
            }
            (None, _) => {
                failed = Some(broken("a name is none"));
                false
            }
        },
    )?;
    failed.map_or(Ok(()), Err)
}
