//! One document for the page: the latest orders, and what all of them come to.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{
    contexts::orders::events::{OrderCancelled, OrderPlaced, OrderShipped},
    ids::OrderId,
    money::Cents,
    read_models::{OrderStatus, OrderSummary},
};

/// What is to be seen, as of a place in the log. Whoever goes on with the events after that place misses nothing and counts nothing twice.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Showing {
    /// The event that it was changed by last.
    pub as_of: Position,
    /// How many were placed.
    pub placed: u32,
    pub shipped: u32,
    pub cancelled: u32,
    /// For all that were placed and not cancelled.
    pub sales: Cents,
    /// For what was shipped.
    pub revenue: Cents,
    /// The latest orders, newest first, at most [`ShopWindow::LATEST`].
    pub latest: VecDeque<(OrderId, OrderSummary)>,
}

/// What the projection reads.
#[derive(EventSet, Clone, Debug, PartialEq)]
pub enum ShopEvent {
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

/// Keeps it, under one key. Orders are submitted whole in this shop, so what is cancelled was placed.
#[derive(Clone, Copy, Debug)]
pub struct ShopWindow;

impl ShopWindow {
    /// The one key.
    pub const KEY: &'static str = "all";
    /// How many orders are shown.
    pub const LATEST: usize = 50;
}

impl DocumentProjection for ShopWindow {
    const NAME: &'static str = "shop_window";
    type Event = ShopEvent;
    type Document = Showing;

    fn keys(&self, _: &Envelope<ShopEvent>) -> Vec<String> {
        vec![Self::KEY.to_owned()]
    }

    fn apply(
        &self,
        _: &str,
        showing: Option<Showing>,
        event: &Envelope<ShopEvent>,
    ) -> Option<Showing> {
        let mut showing = showing.unwrap_or_default();
        showing.as_of = event.position();
        match event.event() {
            ShopEvent::Placed(e) => {
                showing.placed += 1;
                showing.sales += e.total;
                showing.latest.push_front((e.order, OrderSummary::of(e)));
                showing.latest.truncate(Self::LATEST);
            }
            ShopEvent::Shipped(e) => {
                showing.shipped += 1;
                showing.revenue += e.total;
                showing.became(e.order, OrderStatus::Shipped);
            }
            ShopEvent::Cancelled(e) => {
                showing.cancelled += 1;
                showing.sales = showing.sales - e.total;
                showing.became(e.order, OrderStatus::Cancelled);
            }
        }
        Some(showing)
    }
}

impl Showing {
    /// One that is not among the latest any more is counted, and not shown.
    fn became(&mut self, order: OrderId, status: OrderStatus) {
        let shown = self.latest.iter_mut().find(|(id, _)| *id == order);
        if let Some((_, summary)) = shown {
            summary.status = status;
        }
    }
}
