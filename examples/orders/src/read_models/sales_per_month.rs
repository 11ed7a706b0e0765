//! One document for each month.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

use crate::{contexts::orders::events::OrderShipped, money::Cents};

/// What was sold in a month, by the date of the order.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct MonthlySales {
    pub orders: u32,
    pub items: u32,
    pub revenue: Cents,
}

/// Keeps the sales, by month (`1997-01`).
#[derive(Clone, Copy, Debug)]
pub struct SalesPerMonth;

impl DocumentProjection for SalesPerMonth {
    const NAME: &'static str = "sales_per_month";
    type Event = OrderShipped;
    type Document = MonthlySales;

    fn keys(&self, event: &Envelope<OrderShipped>) -> Vec<String> {
        vec![event.event().ordered_on.format("%Y-%m").to_string()]
    }

    fn apply(
        &self,
        _: &str,
        sales: Option<MonthlySales>,
        event: &Envelope<OrderShipped>,
    ) -> Option<MonthlySales> {
        let mut sales = sales.unwrap_or_default();
        sales.orders += 1;
        sales.items += event.event().item_count;
        sales.revenue += event.event().total;
        Some(sales)
    }
}
