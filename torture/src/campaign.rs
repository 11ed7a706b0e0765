//! The campaign against the log: phases of writers, readers and disasters, each judged when all is quiet again.

pub mod field;
pub mod phase;
pub mod plan;

pub(crate) mod batch;
pub(crate) mod quiet;
pub(crate) mod row;

mod bystander;
mod chaos;
mod foreign;
mod readers;
mod writer;

pub use field::Field;
pub use phase::{Grounds, run_phase};
pub use plan::{Chaos, Plan};

pub(crate) use foreign::foreign_writer;
