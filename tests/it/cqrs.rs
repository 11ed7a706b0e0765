//! Commands, queued commands, projections and queries, on every store.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod apart;
mod bus;
mod campaign;
mod crashes;
mod documents;
mod enriching;
mod fields;
mod inline;
mod lanes;
mod layers;
mod modes;
mod once;
mod outbox;
mod poison;
mod queries;
mod rebuild;
mod rebuild_noise;
mod rows;
mod sinks;
mod statements;
mod swaps;
mod tally;
mod teller;
mod told;
mod worker;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::bus:
                a_command_is_carried_out_by_its_handler
                a_refused_command_has_no_effect
                panics_are_the_commands_own_affair
                metadata_goes_from_the_command_to_its_events
                commands_do_not_nest
                an_encoded_command_is_settled_with_its_effects);
            crate::support::on_store!($harness; super::worker:
                commands_with_one_key_are_carried_out_in_order
                commands_with_other_keys_do_not_wait
                each_command_has_an_outcome
                what_nobody_understands_gives_up_at_once
                a_store_that_is_away_costs_no_attempt
                stopping_does_not_wait_for_the_next_attempt
                stopping_waits_for_the_attempt_in_hand
                an_attempt_that_hangs_is_dropped
                two_workers_share_a_queue
                another_message_that_is_gone_settles_nothing
                an_outcome_that_is_refused_closes_no_lane
                metadata_goes_from_the_queue_to_events_and_outcome
                more_commands_than_are_kept_in_memory);
            crate::support::on_store!($harness; super::campaign:
                rebuilds_under_load_are_folds_of_the_log_whatever_is_killed
                a_reader_that_does_not_ask_again_is_caught);
            crate::support::on_store!($harness; super::poison:
                a_key_that_fails_is_parked_and_mended_by_a_rebuild);
            crate::support::on_store!($harness; super::swaps:
                generations_that_four_lanes_feed_are_swapped_back_and_forth
                a_wait_that_a_swap_comes_into_is_for_the_one_that_serves_then
                a_return_that_is_killed_anywhere_is_made_or_not_made
                a_drop_that_is_killed_anywhere_leaves_nothing_in_the_end);
            crate::support::on_store!($harness; super::rebuild:
                a_rebuilt_read_model_is_a_fold_of_the_log
                reads_never_fail_and_never_mix_while_it_is_rebuilt
                a_rebuild_that_is_killed_anywhere_is_gone_on_with
                a_rebuild_outlives_a_store_that_is_away_now_and_then
                of_two_that_rebuild_at_once_one_is_told
                a_generation_that_is_behind_does_not_serve
                an_event_that_fails_ends_the_rebuild_and_not_the_serving
                code_of_another_version_reads_what_its_own_has_built
                side_effects_are_those_of_one_generation
                events_that_are_far_between_are_found_window_by_window
                what_is_unknown_or_of_another_store_is_said);
            crate::support::on_store!($harness; super::crashes:
                every_command_takes_effect_once_whatever_the_store_says
                a_store_that_panics_closes_no_lane
                documents_take_every_event_once_whatever_the_store_says
                two_projectors_take_every_event_once);
            crate::support::on_store!($harness; super::once:
                the_same_command_again_has_the_same_outcome
                many_at_once_have_one_effect_and_one_outcome
                a_key_is_that_of_one_command
                what_failed_is_carried_out_again_under_the_same_id
                outcomes_are_kept_until_they_are_pruned
                receipts_of_states_and_of_no_events_are_kept_too
                a_wish_takes_effect_once_whatever_the_store_says);
            crate::support::on_store!($harness; super::lanes:
                those_of_one_stream_do_not_collide
                transfers_both_ways_keep_the_sum
                other_processes_are_noticed);
            crate::support::on_store!($harness; super::documents:
                documents_follow_the_log
                a_document_that_can_not_be_read_stops_at_its_event
                a_document_that_can_not_be_stored_names_its_event
                a_panic_stops_at_its_event
                a_key_named_twice_counts_once
                documents_are_read_back_typed);
            crate::support::on_store!($harness; super::fields:
                documents_are_found_by_what_is_in_them
                what_is_not_indexed_is_an_error_and_never_half_an_answer
                each_generation_is_found_by_its_own_fields
                live_queries_come_to_what_holds
                a_page_asks_the_store_twice
                a_no_is_not_kept);
            crate::support::on_store!($harness; super::rows:
                rows_and_checkpoint_commit_together
                a_failing_event_is_named_and_commits_nothing
                an_event_that_can_not_be_decoded_commits_nothing);
        }
    };
}

suite!(
    memory,
    crate::conformance::memory::MemoryHarness { gaps: Some(7) }
);

/// What read models, rows of one's own, and messages promise, on the stores that are databases too.
macro_rules! databases {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::once:
                the_same_command_again_has_the_same_outcome
                many_at_once_have_one_effect_and_one_outcome
                a_key_is_that_of_one_command
                what_failed_is_carried_out_again_under_the_same_id
                outcomes_are_kept_until_they_are_pruned
                receipts_of_states_and_of_no_events_are_kept_too
                a_wish_takes_effect_once_whatever_the_store_says);
            crate::support::on_store!($harness; super::lanes:
                those_of_one_stream_do_not_collide
                transfers_both_ways_keep_the_sum
                other_processes_are_noticed);
            crate::support::on_store!($harness; super::documents:
                documents_follow_the_log
                a_document_that_can_not_be_read_stops_at_its_event
                a_document_that_can_not_be_stored_names_its_event
                a_panic_stops_at_its_event
                a_key_named_twice_counts_once
                documents_are_read_back_typed);
            crate::support::on_store!($harness; super::fields:
                documents_are_found_by_what_is_in_them
                what_is_not_indexed_is_an_error_and_never_half_an_answer
                each_generation_is_found_by_its_own_fields
                live_queries_come_to_what_holds
                a_page_asks_the_store_twice
                a_no_is_not_kept);
            crate::support::on_store!($harness; super::rows:
                rows_and_checkpoint_commit_together
                a_failing_event_is_named_and_commits_nothing
                an_event_that_can_not_be_decoded_commits_nothing);
            crate::support::on_store!($harness; super::campaign:
                rebuilds_under_load_are_folds_of_the_log_whatever_is_killed
                a_reader_that_does_not_ask_again_is_caught);
            crate::support::on_store!($harness; super::poison:
                a_key_that_fails_is_parked_and_mended_by_a_rebuild);
            crate::support::on_store!($harness; super::swaps:
                generations_that_four_lanes_feed_are_swapped_back_and_forth
                a_wait_that_a_swap_comes_into_is_for_the_one_that_serves_then
                a_return_that_is_killed_anywhere_is_made_or_not_made
                a_drop_that_is_killed_anywhere_leaves_nothing_in_the_end);
            crate::support::on_store!($harness; super::rebuild:
                a_rebuilt_read_model_is_a_fold_of_the_log
                reads_never_fail_and_never_mix_while_it_is_rebuilt
                a_rebuild_that_is_killed_anywhere_is_gone_on_with
                a_rebuild_outlives_a_store_that_is_away_now_and_then
                of_two_that_rebuild_at_once_one_is_told
                a_generation_that_is_behind_does_not_serve
                an_event_that_fails_ends_the_rebuild_and_not_the_serving
                code_of_another_version_reads_what_its_own_has_built
                side_effects_are_those_of_one_generation
                events_that_are_far_between_are_found_window_by_window
                what_is_unknown_or_of_another_store_is_said);
            crate::support::on_store!($harness; super::crashes:
                documents_take_every_event_once_whatever_the_store_says
                two_projectors_take_every_event_once);
            crate::support::on_store!($harness; super::outbox:
                messages_go_out_in_order_per_key_and_one_that_fails_keeps_no_other_waiting
                what_is_delivered_is_delivered_in_order_whatever_the_store_says
                a_message_that_comes_again_is_recognised_and_its_outputs_go_out_again
                a_message_takes_effect_once_whatever_the_store_says);
        }
    };
}

databases!(
    sqlite,
    crate::sqlite::SqliteHarness {
        gaps: Some(7),
        readers: 2
    }
);
databases!(postgres, crate::postgres::PgHarness::plain());
databases!(
    one_connection,
    crate::postgres::PgHarness::with_one_connection()
);

/// The outbox and the inbox, on the store in memory.
mod outgoing {
    crate::support::on_store!(crate::conformance::memory::MemoryHarness { gaps: Some(7) }; super::outbox:
        messages_go_out_in_order_per_key_and_one_that_fails_keeps_no_other_waiting
        what_is_delivered_is_delivered_in_order_whatever_the_store_says
        a_message_that_comes_again_is_recognised_and_its_outputs_go_out_again
        a_message_takes_effect_once_whatever_the_store_says);
}

/// The ways in which a projection is run, on each store.
macro_rules! ways {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::super::modes:
                what_is_folded_live_is_what_is_kept
                live_documents_are_as_of_any_time
                one_stream_is_read_for_its_document_and_no_other
                what_has_no_document_is_not_seen);
            crate::support::on_store!($harness; super::super::inline:
                what_a_command_did_is_read_at_once
                what_others_append_is_caught_up_with
                a_document_that_can_not_be_folded_fails_the_command
                writers_read_their_own_while_it_is_rebuilt
                the_kit_compares_all_ways);
            crate::support::on_store!($harness; super::super::sinks:
                what_comes_again_and_late_does_no_harm
                a_sink_that_fails_is_fed_again
                lanes_that_overtake_each_other_do_no_harm
                what_was_taken_and_not_noted_comes_again);
            crate::support::on_store!($harness; super::super::enriching:
                a_batch_is_one_question_whatever_its_size);
        }
    };
}

mod in_every_way {
    crate::support::on_each_store!(ways);
}
