//! Sagas on stores: with their subscription, their worker, and everything that can go wrong.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod crashes;
mod failing;
mod fulfil;
mod metadata;
mod world;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::crashes:
                every_instance_ends_as_it_should
                every_instance_ends_whatever_the_store_says
                every_instance_ends_with_two_processes_on_one_saga
                instances_are_listed);
            crate::support::on_store!($harness; super::failing:
                an_instance_that_can_not_be_read_keeps_no_other_waiting
                a_saga_that_panics_on_an_outcome_keeps_no_other_waiting
                many_malformed_outcomes_keep_no_other_waiting
                an_outcome_without_an_instance_is_taken_off
                a_strict_route_stops_at_its_event
                an_instance_that_can_not_be_read_stops_at_its_event
                a_state_that_can_not_be_stored_stops_at_its_event
                a_batch_that_was_handled_is_not_handled_again);
            crate::support::on_store!($harness; super::metadata:
                metadata_goes_through_the_whole_chain);
        }
    };
}

suite!(
    memory,
    crate::conformance::memory::MemoryHarness { gaps: Some(7) }
);
