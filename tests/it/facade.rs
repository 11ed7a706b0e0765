//! The facade: building, starting, reading one's own writes, read models, kept outcomes, the bus, and stopping.

pub(crate) mod account;
mod building;
mod catalogue;
mod outcomes;
mod read_models;
mod running;
mod ways;
