//! A store that is broken on purpose, in one way at a time: what the suite must notice.

mod distort;
mod ends;
mod fault;
mod fields;
mod guards;
mod harness;
mod leases;
mod moves;
mod notes;
mod parking;
mod read;
mod records;
mod reminders;
mod store;
mod tell;
mod twist;
mod write;

pub(crate) use self::{
    fault::{Condition, Fault, Field, Part},
    harness::BrokenHarness,
};
