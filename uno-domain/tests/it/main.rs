//! What the domain types promise, held from outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it should do"
)]

mod account;
mod chains;
mod decider;
mod ids;
mod replay;
mod root;
mod snapshots;
mod specification;
mod values;
