//! The bounded contexts. They know of each other's events and commands, and of nothing else.

pub mod inventory;
pub mod orders;
pub mod payment;
pub mod shipping;
