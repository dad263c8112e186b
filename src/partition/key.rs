//! [`PartitionKey`]: what of an event decides where it goes.

use std::fmt;
use std::sync::Arc;

use super::hash;
use crate::event::Event;

/// What of an event decides in which partition it goes: events of one key stay in order.
///
/// ```
/// use forelog::PartitionKey;
/// let by_account = PartitionKey::custom("account", |event| {
///     let account = event.headers.iter().find(|(name, _)| name == "account");
///     account.map(|(_, value)| value.clone()).unwrap_or_default()
/// });
/// assert_eq!(by_account.name(), "custom:account");
/// ```
#[derive(Clone)]
pub struct PartitionKey(Kind);

#[derive(Clone)]
enum Kind {
    Type,
    Source,
    Custom(String, Arc<dyn Fn(&Event) -> u64 + Send + Sync>),
}

impl PartitionKey {
    /// Its type.
    pub const TYPE: PartitionKey = PartitionKey(Kind::Type);
    /// Its source.
    pub const SOURCE: PartitionKey = PartitionKey(Kind::Source);

    /// What a function makes of it: the same for the same event in every run of every version of your
    /// program. The name stands for the function: another function takes another name.
    pub fn custom<K: AsRef<[u8]>>(
        name: impl Into<String>,
        key: impl Fn(&Event) -> K + Send + Sync + 'static,
    ) -> Self {
        let hash = move |event: &Event| hash::of(key(event).as_ref());
        PartitionKey(Kind::Custom(name.into(), Arc::new(hash)))
    }

    /// Its name in the layout file: `type`, `source`, or `custom:` and the given name.
    pub fn name(&self) -> String {
        match &self.0 {
            Kind::Type => "type".to_owned(),
            Kind::Source => "source".to_owned(),
            Kind::Custom(name, _) => format!("custom:{name}"),
        }
    }

    /// The key of this name, if no function is needed for it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        [PartitionKey::TYPE, PartitionKey::SOURCE]
            .into_iter()
            .find(|key| key.name() == name)
    }

    /// Where an event goes among so many partitions.
    pub(super) fn place(&self, event: &Event, count: usize) -> usize {
        let hash = match &self.0 {
            Kind::Type => hash::of(event.event_type.as_bytes()),
            Kind::Source => hash::of(event.source.as_bytes()),
            Kind::Custom(_, hash) => hash(event),
        };
        hash::place(hash, count)
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartitionKey").field(&self.name()).finish()
    }
}
