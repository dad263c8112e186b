//! What the names are that events have: [`Dictionary`] writes them, [`visit`] reads them.
//!
//! A window's record has the names that its *era* of 4,096 windows has not had before, as far as
//! memory lets one know; else it has some again. Eras keep what has gone from staying for ever: the
//! names of one whose windows are all gone go as well.
//!
//! Names are sorted within a window, each without the start that it shares with the one before: two
//! lengths, 7 bits a byte, and the rest of the name.

use std::collections::HashSet;

use super::catalog::{Catalog, broken};
use super::dimension::{Dimension, Each};
use super::hash::Hashed;
use super::keys::{self, ERA_LEN, WINDOW_LEN, digest, mix, parse_names, seal, unseal};
use super::pieces::push_number;
use super::store::{Pair, Store};
use super::values::{EraNames, Fields};
use super::window::Window;
use crate::error::Result;

/// A record that has reached this many bytes is complete.
const RECORD_LEN: usize = 2048;
/// About how many bytes a set takes for each hash that it has room for.
const BYTES_PER_HASH: usize = 11;

/// Knows which names the era already has, as far as memory allows.
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

    /// The names of a window that its era is not known to have. They count as known from now on.
    pub(super) fn meet(&mut self, window: &Window) -> Met {
        let era = window.number() / ERA_LEN;
        if era != self.era || self.bytes_after_one_more() > self.bytes_max {
            self.era = era;
            self.known = Each::default();
        }
        let mut records = Vec::new();
        let names = Each::with(|dimension| {
            let known = self.known.get_mut(dimension);
            let all = window.lists(dimension).names().iter();
            let new = all.filter(|named| known.insert(named.hash));
            let mut new: Vec<&str> = new.map(|named| &*named.name).collect();
            new.sort_unstable();
            let own = encode(dimension, window.number(), &new);
            let sum = own.iter().map(|(key, value)| record_digest(key, value));
            let sum = sum.fold(0, u64::wrapping_add);
            let count = own.len() as u64;
            records.extend(own);
            EraNames { era, count, sum }
        });
        Met { records, names }
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
            // While a set grows, the smaller one is still there.
            room => room * 3,
        })
    }

    fn sum(&self, room: impl Fn(&HashSet<u64, Hashed>) -> usize) -> usize {
        let rooms = Dimension::ALL.map(|dimension| room(self.known.get(dimension)));
        rooms.iter().sum::<usize>() * BYTES_PER_HASH
    }
}

/// The records of a window's names, which ascend.
fn encode(dimension: Dimension, window: u64, names: &[&str]) -> Vec<Pair> {
    let mut records: Vec<Pair> = Vec::new();
    let mut body = Vec::new();
    let mut before = "";
    let mut end_record = |body: &mut Vec<u8>| {
        let number = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let key = keys::names(dimension, window, number);
        let value = seal(&key, &[], body);
        records.push((key, value));
        body.clear();
    };
    for name in names {
        if body.len() >= RECORD_LEN {
            end_record(&mut body);
            before = "";
        }
        let shared = before.bytes().zip(name.bytes()).take_while(|(a, b)| a == b);
        let shared = shared.count();
        let rest = name.as_bytes().get(shared..).unwrap_or_default();
        push_number(&mut body, shared as u64);
        push_number(&mut body, rest.len() as u64);
        body.extend_from_slice(rest);
        before = name;
    }
    if !body.is_empty() {
        end_record(&mut body);
    }
    records
}

/// Visits the names of a record; `None` if it makes no sense.
fn decode(key: &[u8], value: &[u8], visit: &mut dyn FnMut(&str)) -> Option<()> {
    let mut fields = Fields(unseal(key, &[], value)?);
    let mut name = Vec::new();
    while !fields.0.is_empty() {
        let shared = usize::try_from(fields.number()?).ok()?;
        let rest_len = usize::try_from(fields.number()?).ok()?;
        (shared <= name.len()).then_some(())?;
        name.truncate(shared);
        name.extend_from_slice(fields.bytes(rest_len)?);
        visit(std::str::from_utf8(&name).ok()?);
    }
    Some(())
}

/// What a record adds to the sum of its era.
fn record_digest(key: &[u8], value: &[u8]) -> u64 {
    mix(digest(key) ^ mix(digest(value)))
}

/// Checks that no record of names has gone missing.
///
/// # Errors
/// [`Index`](crate::ErrorKind::Index) if one has.
pub(super) fn check(store: &dyn Store, catalog: &Catalog) -> Result<()> {
    for dimension in Dimension::ALL {
        for due in catalog.names().get(dimension) {
            let era = due.era;
            let end = era
                .saturating_add(1)
                .saturating_mul(ERA_LEN)
                .min(catalog.next_window());
            let from = keys::names(dimension, era.saturating_mul(ERA_LEN), 0);
            let (mut count, mut sum) = (0_u64, 0_u64);
            store.scan(&from, &keys::names(dimension, end, 0), &mut |key, value| {
                count += 1;
                sum = sum.wrapping_add(record_digest(key, value));
                true
            })?;
            if (EraNames { era, count, sum }) != *due {
                return Err(broken("names are missing"));
            }
        }
    }
    Ok(())
}

/// Visits the names of the next records from a key on, at most `count`, each with the window that
/// it was met in; returns the key to go on at, if there is more.
///
/// # Errors
/// [`Index`](crate::ErrorKind::Index) if a record is not what was written.
pub(super) fn visit(
    store: &dyn Store,
    (from, to): (&[u8], &[u8]),
    count: usize,
    visit: &mut dyn FnMut(u64, &str),
) -> Result<Option<Vec<u8>>> {
    let (mut left, mut next, mut sound) = (count, None, true);
    store.scan(from, to, &mut |key, value| {
        if left == 0 {
            next = Some(key.to_vec());
            return false;
        }
        left -= 1;
        let read =
            parse_names(key).and_then(|window| decode(key, value, &mut |name| visit(window, name)));
        sound = read.is_some();
        sound
    })?;
    if sound {
        Ok(next)
    } else {
        Err(broken("names do not pass their check"))
    }
}
