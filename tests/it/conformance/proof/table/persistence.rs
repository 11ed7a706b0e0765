//! Which fault each case must notice: persistence.

use crate::conformance::broken::Fault;

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "persistence::reopening::events_survive_reopening",
        &[Fault::ReopensEmpty, Fault::ReopensWithoutTheLastEvent],
    ),
    (
        "persistence::reopening::versions_and_positions_go_on_after_reopening",
        &[Fault::ReopensEmpty],
    ),
    (
        "persistence::reopening::a_repeat_is_known_after_reopening",
        &[Fault::ReopensWithoutMemory],
    ),
    (
        "persistence::reopening::checkpoints_survive_reopening",
        &[Fault::ReopensWithoutRecords],
    ),
    (
        "persistence::reopening::leases_and_parked_keys_survive_reopening",
        &[Fault::ReopensWithoutRecords, Fault::ReopensEmpty],
    ),
    (
        "persistence::reopening::read_models_survive_reopening",
        &[Fault::ReopensWithoutRecords],
    ),
    (
        "persistence::reopening::processes_and_queues_survive_reopening",
        &[Fault::ReopensEmpty],
    ),
    (
        "persistence::reopening::timers_histories_and_inboxes_survive_reopening",
        &[Fault::ReopensEmpty, Fault::ReopensWithoutRecords],
    ),
    (
        "persistence::reopening::two_handles_are_one_store",
        &[Fault::ReopensEmpty],
    ),
];
