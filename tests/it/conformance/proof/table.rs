//! Which fault each case must notice.

mod checkpoints;
mod documents;
mod leases;
mod log_first;
mod log_second;
mod parking;
mod persistence;
mod processes;
mod reminders;
mod transactional;

use crate::conformance::broken::Fault;

/// Every case, with the faults that must make it fail.
pub(crate) fn table() -> Vec<(&'static str, &'static [Fault])> {
    [
        log_first::TABLE,
        log_second::TABLE,
        transactional::TABLE,
        documents::TABLE,
        checkpoints::TABLE,
        leases::TABLE,
        parking::TABLE,
        processes::TABLE,
        reminders::TABLE,
        persistence::TABLE,
    ]
    .concat()
}
