//! The events of orders. Stored format: version with care.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    ids::{CustomerId, OrderId},
    money::Cents,
};

/// A customer has begun an order.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderCreated {
    pub order: OrderId,
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
}

/// Something was put into the order.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderItemAdded {
    pub order: OrderId,
    pub product: String,
    pub quantity: u32,
    pub amount: Cents,
}

/// The customer has placed the order: it says all that others need to know.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderPlaced {
    pub order: OrderId,
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
    pub item_count: u32,
    pub total: Cents,
    /// For how long the customer may change their mind before anything is charged. Orders from before there was such a time have none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cooling_off_secs: u32,
}

fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// The order is on its way.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderShipped {
    pub order: OrderId,
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
    pub item_count: u32,
    pub total: Cents,
}

/// The order will not be shipped.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderCancelled {
    pub order: OrderId,
    pub customer: CustomerId,
    pub total: Cents,
    pub reason: String,
}

/// All that can happen to an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum OrderEvent {
    Created(OrderCreated),
    ItemAdded(OrderItemAdded),
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}
