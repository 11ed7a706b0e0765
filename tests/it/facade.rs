//! The facade: building, starting, reading one's own writes, the bus, and stopping.

mod account;
mod building;
mod catalogue;
mod running;
