//! The commands that orders take.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    ids::{CustomerId, OrderId},
    money::Cents,
};

/// Something a customer wants.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Item {
    pub product: String,
    pub quantity: u32,
    /// For all of them together.
    pub amount: Cents,
}

/// Begin an order.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CreateOrder {
    pub order: OrderId,
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
}

/// Put something into an order that is not placed yet.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AddItem {
    pub order: OrderId,
    pub item: Item,
}

/// Place an order that has items.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PlaceOrder {
    pub order: OrderId,
}

/// Create an order, put the items in and place it, all at once. An order that is placed already stays as it is.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SubmitOrder {
    pub order: OrderId,
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
    pub items: Vec<Item>,
}

/// Note that the parcel is on its way.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ShipOrder {
    pub order: OrderId,
}

/// Give the order up.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CancelOrder {
    pub order: OrderId,
    pub reason: String,
}
