//! [`Parcel`]: the aggregate.

use uno::prelude::*;

use crate::{contexts::shipping::events::ParcelDispatched, ids::OrderId};

/// The parcel of one order.
#[derive(Debug, Default)]
pub struct Parcel {
    dispatched: bool,
}

impl Aggregate for Parcel {
    const CATEGORY: &'static str = "parcel";
    type Id = OrderId;
    type Event = ParcelDispatched;

    fn apply(&mut self, _: &ParcelDispatched) {
        self.dispatched = true;
    }
}

impl Parcel {
    /// Hands the parcel over, once.
    pub fn dispatch(&self, order: OrderId) -> Option<ParcelDispatched> {
        (!self.dispatched).then_some(ParcelDispatched { order })
    }
}
