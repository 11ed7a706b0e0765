//! [`LeaseStore`](uno_core::LeaseStore): which process runs which lane of a subscription.

pub mod attempts;
pub mod contention;
pub mod holding;
pub mod renumbering;
pub mod resetting;
pub mod sharing;
pub mod starting;
pub mod taking_over;
pub mod unexplained;
