//! The events of the suite. Stored format: none, they are only published.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet};

/// An order was placed.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// Which one.
    pub n: u32,
}

/// An order was shipped.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shipped {
    /// Which one.
    pub n: u32,
}

/// What happens to orders.
#[derive(EventSet, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderEvent {
    /// Placed.
    Placed(Placed),
    /// Shipped.
    Shipped(Shipped),
}
