//! [`Dimension`]: what events are listed by.

use crate::format::record::EventRef;

/// What events are listed by: each event has one name in each dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dimension {
    /// By their event type.
    Type,
    /// By their source.
    Source,
}

impl Dimension {
    pub(super) const ALL: [Dimension; 2] = [Dimension::Type, Dimension::Source];

    /// The name that an event has in this dimension.
    pub(crate) fn of<'a>(self, event: &EventRef<'a>) -> &'a str {
        match self {
            Dimension::Type => event.event_type(),
            Dimension::Source => event.source(),
        }
    }

    /// What stands for it in keys.
    pub(super) fn letter(self) -> u8 {
        match self {
            Dimension::Type => b't',
            Dimension::Source => b's',
        }
    }
}

/// The names of an event.
pub(super) fn names_of<'a>(event: &EventRef<'a>) -> Each<&'a str> {
    Each::with(|dimension| dimension.of(event))
}

/// One of something for each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Each<T> {
    types: T,
    sources: T,
}

impl<T> Each<T> {
    pub(super) fn with(mut make: impl FnMut(Dimension) -> T) -> Each<T> {
        Each {
            types: make(Dimension::Type),
            sources: make(Dimension::Source),
        }
    }

    pub(super) fn get(&self, dimension: Dimension) -> &T {
        match dimension {
            Dimension::Type => &self.types,
            Dimension::Source => &self.sources,
        }
    }

    pub(super) fn get_mut(&mut self, dimension: Dimension) -> &mut T {
        match dimension {
            Dimension::Type => &mut self.types,
            Dimension::Source => &mut self.sources,
        }
    }
}
