//! What is not an event can't be in a set of events.

use serde::{Deserialize, Serialize};
use uno_core::EventSet;

#[derive(Serialize, Deserialize)]
struct OrderPlaced {}

#[derive(EventSet)]
enum OrderEvent {
    Placed(OrderPlaced),
}

fn main() {}
