//! Units of work, on every store.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod aggregates;
mod attempts;
mod limits;
mod snapshots;
mod together;

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
                after_a_doubtful_snapshot_a_new_one_is_made);
        }
    };
}

suite!(
    memory,
    crate::conformance::memory::MemoryHarness { gaps: Some(7) }
);
