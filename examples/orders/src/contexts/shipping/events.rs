//! The events of shipping. Stored format: version with care.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::ids::OrderId;

/// The carrier has the parcel.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ParcelDispatched {
    pub order: OrderId,
}
