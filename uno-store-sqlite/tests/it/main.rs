//! What is promised of the store in an SQLite file beyond the ports' contracts, which the conformance suite holds.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, which is what it should do"
)]

mod cancellation;
mod crash;
mod filters;
mod groups;
mod lanes;
mod opening;
mod processes;
mod support;
mod tail;
mod timers;
mod work;
