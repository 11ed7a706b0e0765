//! Tests of the Postgres store that the shared conformance suite can't make: they look at Postgres itself.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

mod ages;
mod appends;
mod cancellation;
mod hints;
mod imports;
mod lanes;
mod locks;
mod migrations;
mod outcomes;
mod queues;
mod support;
mod tailing;
mod timers;
