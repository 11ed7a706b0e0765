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

impl Item {
    /// How many of one product an order can have.
    pub const MOST: u32 = 1_000_000;
    /// What they can cost together: a billion dollars, so that sums stay far from the limits of numbers.
    pub const DEAREST: Cents = Cents(100_000_000_000);
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

impl SubmitOrder {
    /// How many items an order can have.
    pub const LONGEST: usize = 100;
}

/// What must hold of the fields alone. What depends on what has happened is the aggregate's decision.
impl Validate for SubmitOrder {
    fn validate(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::none()
            .unless(is_text(&self.customer.0), "customer", A_TEXT)
            .unless(
                (1..=Self::LONGEST).contains(&self.items.len()),
                "items",
                format!("must be 1 to {}", Self::LONGEST),
            );
        for (place, item) in self.items.iter().enumerate() {
            let field = |name: &str| format!("items/{place}/{name}");
            invalid = invalid
                .unless(is_text(&item.product), field("product"), A_TEXT)
                .unless(
                    (1..=Item::MOST).contains(&item.quantity),
                    field("quantity"),
                    format!("must be 1 to {}", Item::MOST),
                )
                .unless(
                    (Cents::ZERO..=Item::DEAREST).contains(&item.amount),
                    field("amount"),
                    format!("must be 0 to {} cents", Item::DEAREST.0),
                );
        }
        invalid.into_result()
    }
}

/// Whether it is something that a person can read.
fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 100 && !text.chars().any(char::is_control)
}

/// What is said where it is not.
const A_TEXT: &str = "must have 1 to 100 characters, all printable";

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

impl Validate for CancelOrder {
    fn validate(&self) -> Result<(), Invalid> {
        Invalid::none()
            .unless(is_text(&self.reason), "reason", A_TEXT)
            .into_result()
    }
}
