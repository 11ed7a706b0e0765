//! Orders: what customers want, from the first item to the parcel or the cancellation.

pub mod commands;
pub mod events;
mod handlers;
mod order;

pub use handlers::Orders;
#[cfg(test)]
pub use order::{Order, Status};
