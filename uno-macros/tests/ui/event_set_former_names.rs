//! Events of a set that were stored under one name, and an event that is ignored.

use serde::{Deserialize, Serialize};
use uno_core::{Event, EventSet};

#[derive(Event, Serialize, Deserialize)]
#[event(formerly("sent"))]
struct Posted {}

#[derive(Event, Serialize, Deserialize)]
#[event(formerly("shipped", "sent"))]
struct Dispatched {}

#[derive(Event, Serialize, Deserialize)]
struct Shipped {}

#[derive(EventSet)]
enum SentTwice {
    Posted(Posted),
    Dispatched(Dispatched),
}

#[derive(EventSet)]
enum NameTaken {
    Shipped(Shipped),
    Dispatched(Dispatched),
}

#[derive(EventSet)]
#[event(ignore("viewed", "sent"))]
enum Ignored {
    Posted(Posted),
}

fn main() {}
