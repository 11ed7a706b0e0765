//! The commands that payment takes.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{ids::OrderId, money::Cents};

/// Charge the customer for an order. Whether it worked is an event.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ChargePayment {
    pub order: OrderId,
    pub amount: Cents,
}

/// Give back what was charged, if anything was.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RefundPayment {
    pub order: OrderId,
}
