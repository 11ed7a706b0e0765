//! One document for each order.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    contexts::orders::events::{OrderCancelled, OrderPlaced, OrderShipped},
    ids::CustomerId,
    money::Cents,
};

/// What became of an order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct OrderSummary {
    pub customer: CustomerId,
    pub ordered_on: NaiveDate,
    pub item_count: u32,
    pub total: Cents,
    pub status: OrderStatus,
}

impl OrderSummary {
    /// Of an order that was just placed.
    pub fn of(placed: &OrderPlaced) -> Self {
        Self {
            customer: placed.customer.clone(),
            ordered_on: placed.ordered_on,
            item_count: placed.item_count,
            total: placed.total,
            status: OrderStatus::Placed,
        }
    }
}

/// How far a placed order has come.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    Placed,
    Shipped,
    Cancelled,
}

/// What the projection reads.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum SummaryEvent {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

/// Keeps the summaries, by order.
#[derive(Clone, Copy, Debug)]
pub struct OrderSummaries;

impl DocumentProjection for OrderSummaries {
    const NAME: &'static str = "order_summaries";
    type Event = SummaryEvent;
    type Document = OrderSummary;

    fn keys(&self, event: &Envelope<SummaryEvent>) -> Vec<String> {
        let order = match event.event() {
            SummaryEvent::Placed(e) => e.order,
            SummaryEvent::Shipped(e) => e.order,
            SummaryEvent::Cancelled(e) => e.order,
        };
        vec![order.to_string()]
    }

    fn apply(
        &self,
        _: &str,
        summary: Option<OrderSummary>,
        event: &Envelope<SummaryEvent>,
    ) -> Option<OrderSummary> {
        let with = |status| {
            summary
                .clone()
                .map(|summary| OrderSummary { status, ..summary })
        };
        match event.event() {
            SummaryEvent::Placed(e) => Some(OrderSummary::of(e)),
            SummaryEvent::Shipped(_) => with(OrderStatus::Shipped),
            SummaryEvent::Cancelled(_) => with(OrderStatus::Cancelled),
        }
    }
}
