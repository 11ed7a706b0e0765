//! The events of inventory. Stored format: version with care.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{ids::OrderId, old};

/// The items of an order are set aside.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::count_is_quantity, 2 = old::order_id_is_order))]
pub struct StockAllocated {
    /// The order for which they are.
    pub order: OrderId,
    /// How many items.
    pub quantity: u32,
}

/// They are back on the shelf.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::count_is_quantity, 2 = old::order_id_is_order))]
pub struct StockReleased {
    /// The order for which they are.
    pub order: OrderId,
    /// How many items.
    pub quantity: u32,
}

/// All that can happen to the stock of an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum StockEvent {
    Allocated(StockAllocated),
    Released(StockReleased),
}
