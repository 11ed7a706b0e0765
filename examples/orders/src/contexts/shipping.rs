//! Shipping: handing parcels to the carrier.

pub mod commands;
pub mod events;
mod handlers;
mod parcel;

pub use handlers::Shipping;
