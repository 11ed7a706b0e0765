//! The events of payment. Stored format: version with care.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{ids::OrderId, money::Cents, old};

/// The customer has paid.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::amount_in_cents, 2 = old::order_id_is_order))]
pub struct PaymentCharged {
    /// The order that is paid for.
    pub order: OrderId,
    /// How much it is about.
    pub amount: Cents,
}

/// The customer's bank has refused.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::amount_in_cents, 2 = old::order_id_is_order))]
pub struct PaymentDeclined {
    /// The order that is paid for.
    pub order: OrderId,
    /// How much it is about.
    pub amount: Cents,
}

/// The customer has the money back.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::amount_in_cents, 2 = old::order_id_is_order))]
pub struct PaymentRefunded {
    /// The order that is paid for.
    pub order: OrderId,
    /// How much it is about.
    pub amount: Cents,
}

/// All that can happen to the payment of an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum PaymentEvent {
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
}
