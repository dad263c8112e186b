//! Settings of how events are kept: what is done with old segments meanwhile, and encryption.

use super::Builder;
use super::scrub_policy::ScrubPolicy;
use crate::error::Result;
use crate::event::StateKey;
use crate::keys::{Access, EncryptionKey};

impl Builder {
    /// Of events of these types, keeps only the last of each type and key once they are old: an exact type,
    /// the start of one followed by `*`, or `*`. For events that say how something *stands*, such as
    /// positions, where an older one is worth nothing once a later one is there.
    ///
    /// It is done in the background, segment by segment: not in the newest ones
    /// ([`Builder::compaction_leave`]), and not while a subscription, a projection or a replay has not seen
    /// all of a segment. Seqs never change: a dropped one is declared, `get` of it finds nothing, and
    /// whoever reads past it is told of a [`Gap`](crate::Gap). See
    /// [`manual::retention`](crate::manual::retention).
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Event, EventSystem, StateKey};
    /// let system = EventSystem::builder()
    ///     .keep_last("position.*", StateKey::Header("flight".into()))
    ///     .keep_last("gauge", StateKey::Source)
    ///     .open()?;
    /// system.emit(Event::new("position.radar", "tower", &(48, 11))?.with_header("flight", "LH 1"))?;
    /// assert_eq!(system.store().explain_retention().dropped, 0); // it is the last of its key
    /// # system.close() }
    /// ```
    pub fn keep_last(mut self, event_type: impl Into<String>, key: StateKey) -> Self {
        self.keep_last.set(event_type.into(), key);
        self
    }

    /// How many of the newest segments [`Builder::keep_last`] leaves as they were written: 2 by default, and
    /// never less.
    pub fn compaction_leave(mut self, segments: usize) -> Self {
        self.compaction_leave = segments;
        self
    }

    /// Has sealed segments compressed with Zstandard at this level, in the background; none are unless this
    /// is set. Needs the crate's feature `compression`. Level 3 is a good choice; higher ones, to 22, take
    /// more time for less room, negative ones the reverse.
    ///
    /// All but the newest two segments are written anew with their events in packs of some 32 KiB, if that
    /// saves an eighth of their room. Reading needs no setting: handlers, queries, replays and tools see the
    /// same events, and a look-up unpacks one pack, of which the last 16 MiB are kept. Without the setting
    /// what was compressed stays so. See [`manual::retention`](crate::manual::retention).
    ///
    /// [`Builder::open`] fails with [`Invalid`](crate::ErrorKind::Invalid) if the level is out of range or
    /// the feature is missing.
    pub fn compression(mut self, level: i32) -> Self {
        self.compression = Some(level);
        self
    }

    /// Has events encrypted at rest with this key: their type, source, headers and data, the snapshots of
    /// projections, and copies of parked and of scheduled events. Needs the crate's feature `encryption`. A
    /// directory that has encrypted events opens with the key that it was opened with before, and with no
    /// other. One that was not encrypted keeps what it has as it is; what comes from now on is encrypted, and
    /// there is no way back. What is kept in memory is not encrypted, nor is the lookup index, which has types,
    /// sources and ids: see [`manual::encryption`](crate::manual::encryption).
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # if cfg!(feature = "encryption") {
    /// use forelog::{EncryptionKey, ErrorKind, Event, EventStore, EventSystem, Seq};
    /// let key = EncryptionKey::generate()?; // as a rule: EncryptionKey::from_file("events.key")?
    /// let builder = || EventSystem::builder().persistence_path(dir.path());
    /// let system = builder().encryption_key(key.clone()).open()?;
    /// system.emit(Event::new("order.placed", "web", &("FRID", 10))?)?;
    /// system.close()?;
    ///
    /// assert_eq!(builder().open().unwrap_err().kind(), ErrorKind::Key);
    /// let store = builder().encryption_key(key).open_read_only()?;
    /// assert_eq!(store.get(Seq(1))?.unwrap().event().source(), "web");
    /// # }
    /// # Ok(()) }
    /// ```
    ///
    /// [`Builder::open`] fails with [`Key`](crate::ErrorKind::Key) without the key or with another one, and
    /// with [`Invalid`](crate::ErrorKind::Invalid) if the feature is missing; nothing is changed then.
    pub fn encryption_key(mut self, key: EncryptionKey) -> Self {
        self.encryption_key = Some(key);
        self
    }

    /// How sealed segments on disk are verified in the background: every byte that a check covers, read from
    /// the disk and past the page cache where the file system can do that, so that what is hot stays in
    /// memory. By default all of them once a week, at 8 MiB a second at most, for the first time ten minutes
    /// after the opening; `None` turns it off. In between, no thread wakes for it.
    ///
    /// Damage is told by an event of the type [`DAMAGE_TYPE`](crate::DAMAGE_TYPE), once for each place, and
    /// by [`EventSystem::scrub_state`](crate::EventSystem::scrub_state), from which health and alerts take it.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{EventSystem, ScrubPolicy};
    /// let slowly = ScrubPolicy { bytes_per_second: 1 << 20, ..ScrubPolicy::default() };
    /// let system = EventSystem::builder().scrub(slowly).open()?;
    /// assert!(system.scrub()?.damage.is_empty()); // now, and as fast as it goes
    /// # system.close() }
    /// ```
    pub fn scrub(mut self, policy: impl Into<Option<ScrubPolicy>>) -> Self {
        self.scrub = policy.into();
        self
    }

    /// The key that events are encrypted with.
    pub(crate) fn key(&self) -> Option<&EncryptionKey> {
        self.encryption_key.as_ref()
    }

    /// Who opens the log, as far as keys go. What lies in memory is not encrypted.
    pub(super) fn access(&self, persists: bool) -> Result<Access> {
        let access = Access::with(self.encryption_key.as_ref());
        access.check()?;
        Ok(if persists { access } else { Access::Plain })
    }
}
