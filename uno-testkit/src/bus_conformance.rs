//! The conformance suite for buses: what every event bus must do, case by case.
//!
#![doc = include_str!("docs/bus_conformance.md")]

mod case;
pub mod events;
mod fixture;
mod list;
mod port;
mod wanted;

#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod ending;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod groups;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod isolation;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod ordering;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod queues;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod reentrancy;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod routing;
#[expect(
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a case says what it wants of a bus; if it is not so, it fails"
)]
pub mod trying;

pub use self::{
    case::{BusCase, BusCaseFn, attempt, cases, run},
    port::{BusHandler, BusHandling, BusHarness, BusUnderTest, GroupTold, Told},
    wanted::{BusSettings, GapHandler, Wanted, WantedPolicy, WantedQueue, WantedTopic},
};
