//! Inventory: setting CDs aside for an order, and putting them back.

mod allocation;
pub mod commands;
pub mod events;
mod handlers;

pub use handlers::Inventory;
