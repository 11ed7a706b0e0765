//! [`ParkingStore`](uno_core::ParkingStore): events that were set aside, with what comes behind them.

pub mod contention;
pub mod moves;
pub mod reads;
pub mod requests;
pub mod writes;
