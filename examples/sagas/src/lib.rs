//! Five sagas, each in one file to be read from top to bottom: what happens, the saga, the domain.
//!
//! * [`fulfilment`]: charge, allocate, ship; undo in reverse what can't be finished.
//! * [`reminder`]: remind three times, ten minutes apart, then cancel; money that comes later goes back.
//! * [`trip`]: flight, hotel and car, all or none; what can't be undone waits for a person.
//! * [`dispatch`]: pick and invoice at the same time; ship when both are done.
//! * [`approval`]: wait for a yes, remind, and go to the boss.
//!
//! `cargo run -p sagas --bin fulfilment` tells what happens, in virtual time. The same story is what the tests stop at every
//! call to the store, and go on with ([`stage`]).

pub mod approval;
pub mod diary;
pub mod dispatch;
#[cfg(test)]
mod dry;
pub mod fulfilment;
pub mod ledger;
pub mod reminder;
pub mod service;
pub mod stage;
pub mod trip;
pub mod world;

use std::time::Duration;

/// So many minutes.
#[must_use]
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// So many hours.
#[must_use]
pub const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

/// So many days.
#[must_use]
pub const fn days(count: u64) -> Duration {
    hours(24 * count)
}
