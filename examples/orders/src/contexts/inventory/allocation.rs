//! [`Allocation`]: the aggregate.

use uno::prelude::*;

use crate::{
    contexts::inventory::events::{StockAllocated, StockEvent, StockReleased},
    ids::OrderId,
};

/// What is set aside for one order.
#[derive(Debug, Default)]
pub struct Allocation {
    quantity: u32,
    released: bool,
}

impl Aggregate for Allocation {
    const CATEGORY: &'static str = "allocation";
    type Id = OrderId;
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Allocated(allocated) => self.quantity = allocated.quantity,
            StockEvent::Released(_) => {
                self.quantity = 0;
                self.released = true;
            }
        }
    }
}

impl Allocation {
    /// Sets items aside, once. `available` is what the shelf says.
    pub fn allocate(
        &self,
        order: OrderId,
        quantity: u32,
        available: bool,
    ) -> Result<Option<StockAllocated>, OutOfStock> {
        if self.quantity > 0 || self.released {
            return Ok(None);
        }
        if available {
            Ok(Some(StockAllocated { order, quantity }))
        } else {
            Err(OutOfStock { quantity })
        }
    }

    /// Puts back what was set aside. Where nothing was, there is nothing to do.
    pub fn release(&self, order: OrderId) -> Option<StockReleased> {
        (self.quantity > 0).then_some(StockReleased {
            order,
            quantity: self.quantity,
        })
    }
}

/// There are not enough items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfStock {
    quantity: u32,
}

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there are not {} items in stock", self.quantity)
    }
}

impl std::error::Error for OutOfStock {}

impl DomainError for OutOfStock {}
