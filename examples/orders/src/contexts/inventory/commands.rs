//! The commands that inventory takes.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::ids::OrderId;

/// Set items aside for an order; rejected when there are not enough.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AllocateStock {
    pub order: OrderId,
    pub quantity: u32,
}

/// Put back what was set aside, if anything was.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ReleaseStock {
    pub order: OrderId,
}
