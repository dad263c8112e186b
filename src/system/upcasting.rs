//! Reading events of older versions as the newest: the setting; see [`Upcasters`](crate::upcast::Upcasters).

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Builder;
use crate::error::Result;

impl Builder {
    /// Has events of version `from` of a type read as version `from + 1`, the data made by this function.
    /// With one for each version, whoever reads events has to know the newest alone: handlers, projections,
    /// replays, look-ups and queries all get it. The log is left as it is.
    ///
    /// An event is of version 1 unless it says otherwise ([`Event::with_type_version`](
    /// crate::Event::with_type_version)). Only the data changes: type, source, id, times and other headers
    /// stay, so that filters, keys and predicates find the same events whatever their version.
    ///
    /// An error or a panic in the function is that of whoever reads: a failed delivery, which is tried again
    /// and parked; an error of a projection, a replay or a look-up.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Event, EventSystem};
    /// let system = EventSystem::builder()
    ///     .upcaster("order.placed", 1, |cents: u64| Ok((cents, "EUR".to_owned())))
    ///     .open()?;
    /// system.emit(Event::new("order.placed", "old", &1999)?)?;
    /// system.emit(Event::new("order.placed", "new", &(500, "USD"))?.with_type_version(2))?;
    /// let mut orders = Vec::new();
    /// system.replay().run(|event| {
    ///     orders.push(event.data::<(u64, String)>()?);
    ///     Ok(())
    /// })?;
    /// assert_eq!(orders, [(1999, "EUR".to_owned()), (500, "USD".to_owned())]);
    /// # system.close() }
    /// ```
    pub fn upcaster<A, B>(
        mut self,
        event_type: impl Into<String>,
        from: u32,
        upcast: impl Fn(A) -> Result<B> + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        B: Serialize,
    {
        self.upcasters.add(event_type.into(), from, upcast);
        self
    }
}
