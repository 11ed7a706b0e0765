//! The events of payment. Stored format: version with care.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{ids::OrderId, money::Cents};

/// The customer has paid.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PaymentCharged {
    pub order: OrderId,
    pub amount: Cents,
}

/// The customer's bank has refused.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PaymentDeclined {
    pub order: OrderId,
    pub amount: Cents,
}

/// The customer has the money back.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PaymentRefunded {
    pub order: OrderId,
    pub amount: Cents,
}

/// All that can happen to the payment of an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum PaymentEvent {
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
}
