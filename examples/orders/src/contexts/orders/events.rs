//! The events of orders. Stored format: version with care.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    ids::{CustomerId, OrderId},
    money::Cents,
    old,
};

/// A customer has begun an order.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::date_with_dashes, 2 = old::order_id_is_order))]
pub struct OrderCreated {
    /// The order that it is about.
    pub order: OrderId,
    /// Whose order it is.
    pub customer: CustomerId,
    /// The day on which it was ordered, by the calendar of the shop.
    pub ordered_on: NaiveDate,
}

/// Something was put into the order.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::amount_in_cents, 2 = old::order_id_is_order))]
pub struct OrderItemAdded {
    /// The order that it is about.
    pub order: OrderId,
    /// The name of the product.
    pub product: String,
    /// How many of them; at least one.
    pub quantity: u32,
    /// What they cost together.
    pub amount: Cents,
}

/// The customer has placed the order: it says all that others need to know.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1: OrderV1, 2: OrderV2))]
pub struct OrderPlaced {
    /// The order that it is about.
    pub order: OrderId,
    /// Whose order it is.
    pub customer: CustomerId,
    /// The day on which it was ordered, by the calendar of the shop.
    pub ordered_on: NaiveDate,
    /// How many items are in the order. 0 in orders from before items were counted.
    pub item_count: u32,
    /// What the order costs.
    pub total: Cents,
    /// For how long the customer may change their mind before anything is charged. Orders from before there was such a time have none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cooling_off_secs: u32,
}

fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// The order is on its way.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1: OrderV1, 2: OrderV2))]
pub struct OrderShipped {
    /// The order that it is about.
    pub order: OrderId,
    /// Whose order it is.
    pub customer: CustomerId,
    /// The day on which it was ordered, by the calendar of the shop.
    pub ordered_on: NaiveDate,
    /// How many items are in the order. 0 in orders from before items were counted.
    pub item_count: u32,
    /// What the order costs.
    pub total: Cents,
}

/// The order will not be shipped.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::total_in_cents, 2 = old::order_id_is_order))]
pub struct OrderCancelled {
    /// The order that it is about.
    pub order: OrderId,
    /// Whose order it is.
    pub customer: CustomerId,
    /// What the order costs.
    pub total: Cents,
    /// Why, in words for people.
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

/// [`OrderPlaced`] and [`OrderShipped`] as they were in version 1.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct OrderV1 {
    order_id: OrderId,
    customer: CustomerId,
    /// As `19970131`.
    #[serde(with = "old::plain_date")]
    #[schemars(with = "String")]
    ordered_on: NaiveDate,
    /// In dollars.
    total: f64,
}

/// As they were in version 2.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct OrderV2 {
    order_id: OrderId,
    customer: CustomerId,
    ordered_on: NaiveDate,
    item_count: u32,
    total: Cents,
}

/// Items were not counted at first.
impl From<OrderV1> for OrderV2 {
    fn from(old: OrderV1) -> Self {
        Self {
            order_id: old.order_id,
            customer: old.customer,
            ordered_on: old.ordered_on,
            item_count: 0,
            total: Cents(old::to_cents(old.total)),
        }
    }
}

impl From<OrderV2> for OrderPlaced {
    fn from(old: OrderV2) -> Self {
        Self {
            order: old.order_id,
            customer: old.customer,
            ordered_on: old.ordered_on,
            item_count: old.item_count,
            total: old.total,
            cooling_off_secs: 0,
        }
    }
}

impl From<OrderV2> for OrderShipped {
    fn from(old: OrderV2) -> Self {
        Self {
            order: old.order_id,
            customer: old.customer,
            ordered_on: old.ordered_on,
            item_count: old.item_count,
            total: old.total,
        }
    }
}
