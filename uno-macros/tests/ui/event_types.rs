//! Steps between types that do not lead to the event.

use serde::{Deserialize, Serialize};
use uno_core::Event;

#[derive(Serialize, Deserialize)]
struct PlacedV1 {}
#[derive(Serialize, Deserialize)]
struct PlacedV2 {}

impl From<PlacedV1> for PlacedV2 {
    fn from(_: PlacedV1) -> Self {
        Self {}
    }
}

/// Nothing turns the second shape into this one.
#[derive(Event, Serialize, Deserialize)]
#[event(version = 3, upcast(1: PlacedV1, 2: PlacedV2))]
struct Placed {}

/// The types are in the wrong order.
#[derive(Event, Serialize, Deserialize)]
#[event(version = 3, upcast(1: PlacedV2, 2: PlacedV1))]
struct Crossed {}

impl From<PlacedV1> for Crossed {
    fn from(_: PlacedV1) -> Self {
        Self {}
    }
}

fn main() {}
