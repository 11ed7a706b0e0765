//! Sagas on stores: with their subscription, their worker, and everything that can go wrong.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod app;
mod clocks;
mod crashes;
mod disorder;
mod failing;
mod fulfil;
mod golden;
mod metadata;
mod refused;
mod steps;
mod timeouts;
mod trip;
mod verbs;
mod versions;
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
                an_instance_that_can_not_be_read_is_parked_by_itself
                a_saga_that_panics_is_parked_and_what_it_panics_at_can_be_skipped
                many_malformed_outcomes_are_parked_in_order_and_discarded
                no_more_is_parked_than_may_be
                an_outcome_without_an_instance_is_taken_off
                an_event_for_a_missing_instance_is_parked
                an_instance_is_parked_at_its_event_with_what_came_before_in_effect
                a_state_that_can_not_be_stored_is_parked
                a_batch_that_was_handled_is_not_handled_again);
            crate::support::on_store!($harness; super::refused:
                an_event_for_a_missing_instance_is_left_out_where_that_is_declared
                an_event_for_a_missing_instance_is_tried_again_and_then_parked
                an_event_that_is_tried_again_finds_the_instance_that_came_meanwhile
                an_event_with_refused_effects_is_parked_by_itself
                only_from_the_input_at_fault_on_an_instance_is_parked
                a_retry_goes_as_far_as_the_input_at_fault
                what_is_refused_without_room_keeps_no_other_waiting
                what_is_parked_and_comes_again_is_parked_once);
            crate::support::on_store!($harness; super::verbs:
                what_a_person_does_is_done_once_whatever_the_store_says
                what_a_person_does_is_what_it_says
                of_two_persons_at_once_one_is_told_of_the_other
                a_verb_that_is_too_late_is_raced
                what_does_not_fit_is_a_typed_error);
            crate::support::on_store!($harness; super::disorder:
                what_comes_before_the_start_has_no_effect
                what_comes_before_the_start_in_one_batch_has_no_effect
                what_comes_after_the_end_changes_nothing
                an_answer_that_comes_twice_counts_once
                the_end_does_not_depend_on_the_order_of_the_answers);
            crate::support::on_store!($harness; super::versions:
                what_is_under_way_goes_on_under_a_new_version
                a_version_that_is_too_new_or_too_old_parks_and_waits_for_one_that_fits
                what_persons_do_under_a_new_version_saves_it_whole
                what_parked_under_an_old_version_is_handled_by_a_mended_one
                an_upgrade_that_fails_parks_the_instance_as_it_is);
            crate::support::on_store!($harness; super::metadata:
                metadata_goes_through_the_whole_chain);
        }
    };
}

crate::support::on_each_store!(suite);
