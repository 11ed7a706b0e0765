//! The event bus.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

mod bounds;
mod conformance;
mod groups;
mod isolation;
mod layers;
mod ordering;
mod queues;
mod random;
mod reentrancy;
mod routing;
mod spilling;
mod support;
mod telemetry;
