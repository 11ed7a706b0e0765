//! Options that do not exist, are malformed, are given twice or stand in the wrong place: all reported at once.

use serde::{Deserialize, Serialize};
use uno_core::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(nmae = "order_placed", version = "2", name = "Order", upcast)]
struct Several {
    #[event(name = "total")]
    total: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(name = "first")]
#[event(name = "second")]
struct Twice {}

#[derive(Event, Serialize, Deserialize)]
#[event]
struct Bare {}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "no such path")]
struct NoPath {}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "no_such_crate")]
struct NoCrate {}

fn main() {}
