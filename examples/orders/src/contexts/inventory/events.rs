//! The events of inventory. Stored format: version with care.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::ids::OrderId;

/// The items of an order are set aside.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct StockAllocated {
    pub order: OrderId,
    pub quantity: u32,
}

/// They are back on the shelf.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct StockReleased {
    pub order: OrderId,
    pub quantity: u32,
}

/// All that can happen to the stock of an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum StockEvent {
    Allocated(StockAllocated),
    Released(StockReleased),
}
