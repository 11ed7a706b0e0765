//! Types that are not sets.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet};

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {}

#[derive(EventSet)]
struct NotAnEnum(OrderPlaced);

#[derive(EventSet)]
enum Empty {}

#[derive(EventSet)]
enum Mixed {
    Unit,
    Named { event: OrderPlaced },
    Two(OrderPlaced, OrderPlaced),
    #[event(name = "placed")]
    Placed(OrderPlaced),
    Again(OrderPlaced),
}

#[derive(EventSet)]
#[event(name = "order_event")]
enum WithName {
    Placed(OrderPlaced),
}

fn main() {}
