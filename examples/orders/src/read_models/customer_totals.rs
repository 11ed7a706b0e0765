//! One document for each customer.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    contexts::orders::events::{OrderCancelled, OrderPlaced, OrderShipped},
    money::Cents,
};

/// What a customer has ordered and got.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct CustomerTotal {
    pub placed: u32,
    pub shipped: u32,
    pub cancelled: u32,
    /// For what was shipped.
    pub revenue: Cents,
}

/// What the projection reads.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum CustomerEvent {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

/// Keeps the totals, by customer.
#[derive(Clone, Copy, Debug)]
pub struct CustomerTotals;

impl DocumentProjection for CustomerTotals {
    const NAME: &'static str = "customer_totals";
    type Event = CustomerEvent;
    type Document = CustomerTotal;

    fn keys(&self, event: &Envelope<CustomerEvent>) -> Vec<String> {
        let customer = match event.event() {
            CustomerEvent::Placed(e) => &e.customer,
            CustomerEvent::Shipped(e) => &e.customer,
            CustomerEvent::Cancelled(e) => &e.customer,
        };
        vec![customer.to_string()]
    }

    fn apply(
        &self,
        _: &str,
        total: Option<CustomerTotal>,
        event: &Envelope<CustomerEvent>,
    ) -> Option<CustomerTotal> {
        let mut total = total.unwrap_or_default();
        match event.event() {
            CustomerEvent::Placed(_) => total.placed += 1,
            CustomerEvent::Shipped(e) => {
                total.shipped += 1;
                total.revenue += e.total;
            }
            CustomerEvent::Cancelled(_) => total.cancelled += 1,
        }
        Some(total)
    }
}
