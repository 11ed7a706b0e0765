//! The read models: documents that are kept by projections, each together with its checkpoint.

mod customer_totals;
mod order_summaries;
mod sales_per_month;
mod shop_window;

pub use self::{
    customer_totals::{CustomerTotal, CustomerTotals},
    order_summaries::{OrderStatus, OrderSummaries, OrderSummary},
    sales_per_month::{MonthlySales, SalesPerMonth},
    shop_window::{ShopEvent, ShopWindow, Showing},
};
