//! The first tier: [`EventStore`](uno_core::EventStore).

pub mod append;
pub mod cancellation;
pub mod changes;
pub mod contention;
pub mod expected;
pub mod fidelity;
pub mod filters;
pub mod idempotence;
pub mod log_reads;
pub mod refusals;
pub mod stream_reads;
pub mod tailing;
pub mod times;
