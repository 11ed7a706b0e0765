//! Durable subscriptions, on the store in memory and on one that fails on demand.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

mod aborting;
mod attempts;
mod away;
mod checkpoints;
mod counting;
mod crashing;
mod deaths;
mod delivery;
mod failure;
mod faulty_store;
mod feed;
mod heartbeats;
mod lanes;
mod layers;
mod ledger;
mod lifecycle;
mod notices;
mod outages;
mod parking;
mod resting;
mod shared_names;
mod sharing;
mod sleeping;
mod stores;
mod support;
mod telemetry;
mod waiting;
mod watch;
