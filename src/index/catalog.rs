//! [`Catalog`]: what the index knows in memory about its windows and types, and how it is told
//! whether the store still holds, and the log still says, what was indexed.
//!
//! **What a store may have forgotten.** The position carries a sum of hashes over every manifest and
//! over the newest chunk of each type; loading takes the sum anew. A manifest, a name or a newest
//! chunk that went missing or old shows at once; an older chunk shows by the link of the one behind
//! it, and a piece of ids by its absence, when they are looked up.
//!
//! **A crash between the batches of one window** leaves records of a window that the position does
//! not cover. They are ignored, and written again with the same keys. The position goes with the
//! last batch.

use std::collections::{HashMap, VecDeque};

use super::keys::{self, chunk, mix, parse_window, unseal};
use super::store::{Pair, Store};
use super::values::{Manifest, Position};
use crate::error::{Error, ErrorKind, Result};

/// An event type that the index has met.
#[derive(Debug, Clone, Copy)]
struct TypeEntry {
    number: u32,
    /// The newest window that has it.
    newest: Option<u64>,
}

/// A window in the form that the store keeps.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) records: Vec<Pair>,
    pub(super) manifest: Manifest,
    /// The types that the window has, and their numbers.
    pub(super) types: Vec<(Box<str>, u32)>,
}

/// The windows and types that the store holds.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    floor: u64,
    next_window: u64,
    /// Ascending by window; windows without events have none.
    manifests: VecDeque<Manifest>,
    types: HashMap<Box<str>, TypeEntry>,
    next_type: u32,
    /// The sum that the position carries.
    sum: u64,
    /// The bytes that the manifests tell of.
    bytes: u64,
}

/// A loaded catalog; without a position the store is empty.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) catalog: Catalog,
    pub(super) position: Option<Position>,
}

impl Catalog {
    /// A catalog of nothing, to begin with this window.
    pub(super) fn starting_at(window: u64) -> Catalog {
        Catalog {
            floor: window,
            next_window: window,
            ..Catalog::default()
        }
    }

    /// A catalog of no windows that numbers types as this one does.
    pub(super) fn emptied(&self) -> Catalog {
        let newest = None;
        let unused = self
            .numbers()
            .map(|(name, number)| (name.into(), TypeEntry { number, newest }));
        Catalog {
            types: unused.collect(),
            next_type: self.next_type,
            ..Catalog::starting_at(self.floor)
        }
    }

    /// Windows before this one are no part of the index.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Windows from this one on are not in the store.
    pub(super) fn next_window(&self) -> u64 {
        self.next_window
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the next type that is met.
    pub(super) fn next_type(&self) -> u32 {
        self.next_type
    }

    pub(super) fn windows(&self) -> usize {
        self.manifests.len()
    }

    pub(super) fn types(&self) -> usize {
        self.types.len()
    }

    /// How many windows lie before this one.
    pub(super) fn windows_before(&self, window: u64) -> usize {
        self.manifests.partition_point(|held| held.window < window)
    }

    /// The manifests from this window on.
    pub(super) fn manifests_from(&self, window: u64) -> impl Iterator<Item = &Manifest> {
        let start = self.manifests.partition_point(|held| held.window < window);
        self.manifests.range(start..)
    }

    /// Number and newest window of a type.
    pub(super) fn type_of(&self, name: &str) -> Option<(u32, Option<u64>)> {
        let entry = self.types.get(name)?;
        Some((entry.number, entry.newest))
    }

    /// All types with their numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&str, u32)> {
        let numbers = self.types.iter();
        numbers.map(|(name, entry)| (name.as_ref(), entry.number))
    }

    /// The sum once this window has been taken.
    pub(super) fn sum_with(&self, sealed: &Sealed) -> u64 {
        let window = sealed.manifest.window;
        let mut sum = self.sum.wrapping_add(manifest_digest(&sealed.manifest));
        for (name, number) in &sealed.types {
            let before = self.type_of(name).and_then(|(_, newest)| newest);
            sum = sum.wrapping_sub(type_digest(name, *number, before));
            sum = sum.wrapping_add(type_digest(name, *number, Some(window)));
        }
        sum
    }

    /// Takes a window that the store has taken.
    pub(super) fn take(&mut self, sealed: Sealed) {
        self.sum = self.sum_with(&sealed);
        self.next_window = sealed.manifest.window.saturating_add(1);
        self.bytes = self.bytes.saturating_add(sealed.manifest.bytes.into());
        self.manifests.push_back(sealed.manifest);
        for (name, number) in sealed.types {
            let newest = Some(sealed.manifest.window);
            self.types.insert(name, TypeEntry { number, newest });
            self.next_type = self.next_type.max(number.saturating_add(1));
        }
    }

    /// Forgets the windows before `floor`; how many there were.
    pub(super) fn retire(&mut self, floor: u64) -> usize {
        let before = self.manifests.len();
        for manifest in self.manifests.drain(..self.windows_before(floor)) {
            self.sum = self.sum.wrapping_sub(manifest_digest(&manifest));
            self.bytes = self.bytes.saturating_sub(manifest.bytes.into());
        }
        for (name, entry) in &mut self.types {
            if entry.newest.is_some_and(|newest| newest < floor) {
                let digest = type_digest(name, entry.number, entry.newest);
                self.sum = self.sum.wrapping_sub(digest);
                entry.newest = None;
            }
        }
        self.floor = self.floor.max(floor);
        before - self.manifests.len()
    }

    /// What a store holds for this log.
    ///
    /// # Errors
    /// [`Index`](ErrorKind::Index) if it is not what was put there.
    pub(super) fn load(store: &dyn Store, log_id: u128) -> Result<Loaded> {
        let Some(value) = store.get(keys::POSITION)? else {
            let (from, to) = keys::ALL;
            return match super::store::first_in(store, from, to)? {
                None => Ok(Loaded::default()),
                Some(_) => Err(broken("it has records, but no position")),
            };
        };
        let position = Position::decode(&value, log_id);
        let position = position.ok_or_else(|| broken("its position does not pass the check"))?;
        let mut catalog = Catalog::starting_at(position.floor);
        catalog.next_window = position.next_window;
        catalog.load_manifests(store)?;
        catalog.load_types(store)?;
        if catalog.sum != position.sum {
            return Err(broken("records are missing or old"));
        }
        Ok(Loaded {
            catalog,
            position: Some(position),
        })
    }

    fn load_manifests(&mut self, store: &dyn Store) -> Result<()> {
        let (from, to) = (self.floor, self.next_window);
        let pairs = all_in(store, &keys::manifest(from), &keys::manifest(to))?;
        for (key, value) in pairs {
            let manifest = parse_window(&key).and_then(|window| Manifest::decode(window, &value));
            let manifest = manifest.ok_or_else(|| broken("a manifest does not pass its check"))?;
            self.sum = self.sum.wrapping_add(manifest_digest(&manifest));
            self.bytes = self.bytes.saturating_add(manifest.bytes.into());
            self.manifests.push_back(manifest);
        }
        Ok(())
    }

    fn load_types(&mut self, store: &dyn Store) -> Result<()> {
        let (from, to) = keys::NAMES;
        for (key, value) in all_in(store, from, to)? {
            let name = unseal(&key, &[], &value).and_then(|body| std::str::from_utf8(body).ok());
            let (Some(number), Some(name)) = (keys::parse_name(&key), name) else {
                return Err(broken("the name of a type does not pass its check"));
            };
            let (from, to) = (chunk(number, self.floor), chunk(number, self.next_window));
            let newest = store.last_key(&from, &to)?;
            let newest = newest.and_then(|key| parse_window(&key));
            self.sum = self.sum.wrapping_add(type_digest(name, number, newest));
            self.types.insert(name.into(), TypeEntry { number, newest });
            self.next_type = self.next_type.max(number.saturating_add(1));
        }
        Ok(())
    }
}

fn all_in(store: &dyn Store, from: &[u8], to: &[u8]) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    store.scan(from, to, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        true
    })?;
    Ok(pairs)
}

/// What a manifest adds to the sum.
fn manifest_digest(manifest: &Manifest) -> u64 {
    mix(manifest.window ^ keys::digest(&manifest.encode()))
}

/// What a type adds to the sum: nothing while no window has it.
fn type_digest(name: &str, number: u32, newest: Option<u64>) -> u64 {
    newest.map_or(0, |newest| {
        mix(newest ^ mix(u64::from(number) ^ keys::digest(name.as_bytes())))
    })
}

/// The store does not hold what was put there.
pub(super) fn broken(reason: &str) -> Error {
    let message =
        format!("the index is not what was written: {reason}; it is rebuilt from the log");
    Error::new(ErrorKind::Index, message)
}
