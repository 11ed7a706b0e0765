//! A step between types before a step on the tree, and former names that can't be.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet};

#[derive(Serialize, Deserialize)]
struct PlacedV1 {}

#[derive(Event, Serialize, Deserialize)]
#[event(version = 3, upcast(1: PlacedV1, 2 = |old| old))]
struct Placed {}

#[derive(Event, Serialize, Deserialize)]
#[event(formerly("Sent"))]
struct Posted {}

#[derive(Event, Serialize, Deserialize)]
#[event(formerly("sent", "dispatched", "sent"))]
struct Dispatched {}

#[derive(Event, Serialize, Deserialize)]
#[event(ignore("sent"))]
struct Ignoring {}

#[derive(EventSet)]
#[event(formerly("sent"))]
enum Set {
    Posted(Posted),
}

fn main() {}
