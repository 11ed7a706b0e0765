//! The commands that shipping takes.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::ids::OrderId;

/// Hand the parcel of an order to the carrier.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct DispatchParcel {
    pub order: OrderId,
}
