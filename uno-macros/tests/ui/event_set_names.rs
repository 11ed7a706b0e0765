//! Two event types of a set can't have one stored name.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet};

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {}

#[derive(Event, Serialize, Deserialize)]
struct OrderShipped {}

#[derive(Event, Serialize, Deserialize)]
#[event(name = "order_placed")]
struct OrderPlacedAbroad {}

#[derive(EventSet)]
enum OrderEvent {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    PlacedAbroad(OrderPlacedAbroad),
}

fn main() {}
