//! [`ProcessStore`](uno_core::ProcessStore): instances of processes, and queues of messages.

pub mod contention;
pub mod instances;
pub mod queues;
