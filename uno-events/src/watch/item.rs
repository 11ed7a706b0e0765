//! [`Watched`]: what a live feed gives.

use std::sync::Arc;

use uno_core::{Position, RecordedEvent};

/// An item of a live feed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Watched<E = Arc<RecordedEvent>> {
    /// An event.
    Event(E),
    /// Everything that was in the log has been given; from here on events come as they are appended.
    CaughtUp {
        /// Up to where everything was given.
        position: Position,
    },
    /// More has come since than the reader keeps up with. Nothing is lost: the events follow.
    FellBehind {
        /// Up to where everything was given.
        position: Position,
        /// The end of the log.
        head: Position,
    },
}

impl<E> Watched<E> {
    /// The event, if it is one.
    #[must_use]
    pub fn into_event(self) -> Option<E> {
        match self {
            Self::Event(event) => Some(event),
            Self::CaughtUp { .. } | Self::FellBehind { .. } => None,
        }
    }

    /// By how many positions the feed has fallen behind: at most so many events are to come. Zero when it has not.
    #[must_use]
    pub fn lag(&self) -> u64 {
        match self {
            Self::FellBehind { position, head } => head.get().saturating_sub(position.get()),
            Self::Event(_) | Self::CaughtUp { .. } => 0,
        }
    }
}
