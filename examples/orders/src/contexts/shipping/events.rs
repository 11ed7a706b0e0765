//! The events of shipping. Stored format: version with care.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{ids::OrderId, old};

/// The carrier has the parcel.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(version = 3, upcast(1 = old::without_carrier, 2 = old::order_id_is_order))]
pub struct ParcelDispatched {
    /// The order that is in it.
    pub order: OrderId,
}
