//! Units of work, on every store.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod aggregates;
mod attempts;
mod budget;
mod customer;
mod flips;
mod limits;
mod metadata;
mod repositories;
mod savepoints;
mod snapshots;
mod states;
mod together;
mod waiting;
mod warm;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::aggregates:
                an_aggregate_is_there_once
                what_is_not_there_may_be_created
                a_guard_that_is_still_alive_is_an_error
                events_that_were_taken_out_are_an_error
                a_long_stream_is_loaded_to_its_end
                two_at_once_on_another_task);
            crate::support::on_store!($harness; super::warm:
                what_was_written_is_not_read_again
                what_others_have_written_is_noticed);
            crate::support::on_store!($harness; super::together:
                several_aggregates_commit_together
                a_failing_closure_commits_nothing
                one_conflict_commits_nothing
                rows_commit_with_the_events
                failing_work_commits_nothing
                documents_commit_with_the_events
                a_number_that_is_not_finite_is_refused
                messages_commit_with_the_events
                a_message_is_acknowledged_once
                what_was_only_read_can_be_held_still
                nothing_to_commit_is_fine
                metadata_is_on_everything);
            crate::support::on_store!($harness; super::attempts:
                a_conflict_is_decided_again_on_fresh_state
                conflicts_have_a_budget
                contenders_lose_nothing
                an_aggregate_that_exists_can_not_be_created
                a_refusal_is_not_tried_again
                an_unknown_outcome_is_not_tried_again
                a_store_that_is_away_is_told_from_a_failing_command
                dropped_before_the_commit_nothing_happens);
            crate::support::on_store!($harness; super::limits:
                run_does_not_nest
                commit_does_not_nest
                work_can_not_write_through_the_store);
            crate::support::on_store!($harness; super::snapshots:
                a_snapshot_is_made_every_so_many_events
                a_snapshot_saves_folding
                a_doubtful_snapshot_is_not_believed
                after_a_doubtful_snapshot_a_new_one_is_made
                what_becomes_of_snapshots_is_counted
                a_snapshot_in_the_background_comes_after_its_events
                a_commit_that_fails_leaves_no_snapshot
                a_snapshot_may_be_due_for_what_the_state_is_like);
            crate::support::on_store!($harness; super::flips:
                a_flipped_byte_never_changes_what_is_loaded);
            crate::support::on_store!($harness; super::repositories:
                aggregates_are_found_by_type
                states_are_found_by_type
                what_can_not_be_lent_is_told_why);
            crate::support::on_store!($harness; super::states:
                a_state_commits_with_the_events_of_others
                whoever_was_slower_commits_nothing
                a_conflict_on_a_state_is_decided_again
                contenders_for_a_state_lose_nothing
                a_state_that_exists_can_not_be_created
                what_was_not_changed_is_not_written
                a_state_that_was_only_read_can_be_held_still
                a_state_is_removed
                a_state_that_can_not_be_stored_is_refused);
            crate::support::on_store!($harness; super::savepoints:
                everything_since_is_taken_back
                savepoints_end_with_those_before_them
                a_guard_keeps_a_unit_of_work_from_going_back
                events_that_were_taken_out_can_not_be_taken_back
                an_aggregate_is_as_it_was_loaded
                a_store_that_is_away_takes_nothing_back
                any_way_there_and_back);
            crate::support::on_store!($harness; super::metadata:
                metadata_goes_from_a_command_to_the_last_event
                a_command_in_a_queue_names_its_cause);
            crate::support::on_store!($harness; super::waiting:
                a_closure_that_sleeps_delays_nobody);
        }
    };
}

crate::support::on_each_store!(suite);

/// What can be in a file, and in no memory.
mod files {
    crate::support::on_store!(
        crate::sqlite::SqliteHarness { gaps: None, readers: 2 };
        super::flips:
            what_is_no_snapshot_at_all_never_changes_what_is_loaded
    );
}

mod tables {
    crate::support::on_store!(
        crate::postgres::PgHarness::plain();
        super::flips:
            what_is_no_snapshot_at_all_never_changes_what_is_loaded
    );
}

/// What needs a store with many writers.
mod many_writers {
    crate::support::on_store!(crate::postgres::PgHarness::plain(); super::waiting:
        work_that_sleeps_delays_nobody);
}
