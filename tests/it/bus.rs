//! The event bus.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

mod bounds;
mod isolation;
mod reentrancy;
mod routing;
mod support;
