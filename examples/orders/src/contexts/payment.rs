//! Payment: charging an order once, and giving the money back once.

pub mod commands;
pub mod events;
mod handlers;
mod order_payment;

pub use handlers::Payments;
