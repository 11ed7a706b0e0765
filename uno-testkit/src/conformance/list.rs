//! The list of cases, once, and the macros that go through it.
//!
//! Long because it is one list, which the macros go through in order.

mod subscribing;

/// Makes a test of every case of the suite, for one store. See [`conformance`](mod@crate::conformance).
///
/// Call it once in a module, with an expression that gives the harness; the expression is evaluated anew for each test.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        fn __harness() -> impl $crate::conformance::BackendHarness {
            $harness
        }
        $crate::__conformance_log!([$crate::__conformance_tests]);
        $crate::__conformance_transactional!([$crate::__conformance_tests]);
        $crate::__conformance_documents!([$crate::__document_conformance_tests]);
        $crate::__conformance_checkpoints!([$crate::__conformance_tests]);
        $crate::__conformance_leases!([$crate::__conformance_tests]);
        $crate::__conformance_parking!([$crate::__conformance_tests]);
        $crate::__conformance_processes!([$crate::__conformance_tests]);
    };
    ($harness:expr, log) => {
        fn __harness() -> impl $crate::conformance::Harness {
            $harness
        }
        $crate::__conformance_log!([$crate::__conformance_tests]);
    };
    ($harness:expr, subscriptions) => {
        fn __harness() -> impl $crate::conformance::BackendHarness {
            $harness
        }
        $crate::__conformance_log!([$crate::__conformance_tests]);
        $crate::__conformance_checkpoints!([$crate::__conformance_tests]);
        $crate::__conformance_leases!([$crate::__conformance_tests]);
        $crate::__conformance_parking!([$crate::__conformance_tests]);
    };
    ($harness:expr, persistent) => {
        fn __harness() -> impl $crate::conformance::PersistentHarness {
            $harness
        }
        $crate::__conformance_log!([$crate::__conformance_tests]);
        $crate::__conformance_transactional!([$crate::__conformance_tests]);
        $crate::__conformance_documents!([$crate::__document_conformance_tests]);
        $crate::__conformance_checkpoints!([$crate::__conformance_tests]);
        $crate::__conformance_leases!([$crate::__conformance_tests]);
        $crate::__conformance_parking!([$crate::__conformance_tests]);
        $crate::__conformance_processes!([$crate::__conformance_tests]);
        $crate::__conformance_persistence!([$crate::__conformance_tests]);
        $crate::__conformance_document_persistence!([$crate::__document_conformance_tests]);
    };
}

/// Makes a test of every case about documents, for a store that keeps documents and need not keep anything else but the checkpoints of
/// those who write them. See [`conformance`](mod@crate::conformance).
///
/// Call it once in a module, with an expression that gives a [`DocumentHarness`](crate::conformance::DocumentHarness); the expression is
/// evaluated anew for each test. A store that passes [`conformance!`](crate::conformance!) has passed these cases too.
#[macro_export]
macro_rules! document_conformance {
    ($harness:expr) => {
        fn __harness() -> impl $crate::conformance::DocumentHarness {
            $harness
        }
        $crate::__conformance_documents!([$crate::__document_conformance_tests]);
    };
    ($harness:expr, persistent) => {
        fn __harness() -> impl $crate::conformance::PersistentDocumentHarness {
            $harness
        }
        $crate::__conformance_documents!([$crate::__document_conformance_tests]);
        $crate::__conformance_document_persistence!([$crate::__document_conformance_tests]);
    };
}

/// Makes the tests of a tier about documents.
#[doc(hidden)]
#[macro_export]
macro_rules! __document_conformance_tests {
    ($tier:ident $($group:ident { $($case:ident)* })*) => {
        mod $tier {
            $(mod $group {
                $(#[test]
                fn $case() {
                    $crate::conformance::run_documents(super::super::__harness, |trial| {
                        ::std::boxed::Box::pin($crate::conformance::$tier::$group::$case(trial))
                    });
                })*
            })*
        }
    };
}

/// Makes the tests of a tier.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($tier:ident $($group:ident { $($case:ident)* })*) => {
        mod $tier {
            $(mod $group {
                $(#[test]
                fn $case() {
                    $crate::conformance::run(super::super::__harness, |trial| {
                        ::std::boxed::Box::pin($crate::conformance::$tier::$group::$case(trial))
                    });
                })*
            })*
        }
    };
}

/// Hands the cases of the first tier to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_log {
    ([$($then:tt)+]) => {
        $($then)+! { log
            append {
                events_come_back_in_the_order_they_were_appended
                versions_rise_from_one_without_holes
                a_failed_append_leaves_no_hole_in_the_versions
                positions_rise_in_the_order_of_the_appends
                positions_rise_with_versions
                an_append_to_several_streams_stores_all_of_it
                an_append_to_several_streams_stores_nothing_when_one_conflicts
                a_failed_append_leaves_no_trace
                the_receipt_says_where_the_events_are
                the_receipt_has_the_order_of_the_request
                an_empty_list_appends_nothing
                a_stream_that_occurs_twice_is_refused
                a_stream_without_events_is_refused
                every_read_sees_the_append_that_returned
                every_way_of_reading_shows_the_same_event
                streams_with_like_names_are_apart
                an_event_never_changes
                batches_of_999_and_1000_events
                a_batch_of_65536_events
                batches_of_1_and_65535_and_100000_events
                an_append_to_a_thousand_streams
            }
            cancellation {
                a_dropped_append_is_whole_or_absent
                a_dropped_append_to_several_streams_is_whole_or_absent
                a_dropped_append_holds_up_nobody
                aborted_tasks_leave_whole_appends
                dropped_reads_change_nothing
            }
            changes {
                a_change_after_the_mark_is_told_at_once
                who_waits_is_woken_by_an_append
                waiting_for_a_change_can_be_given_up
                migrating_again_changes_nothing
                many_may_migrate_at_once
            }
            contention {
                of_many_contenders_exactly_one_wins
                of_many_beginners_exactly_one_begins_the_stream
                parallel_appends_of_any_version_are_all_stored
                receipts_are_true_under_contention
                appends_to_several_streams_do_not_deadlock
                the_same_append_by_many_at_once_is_stored_once
                one_id_to_many_streams_at_once_is_stored_once
                those_who_try_again_all_get_through
                nobody_reads_half_an_append
                parallel_appends_to_streams_of_their_own
            }
            expected {
                any_appends_to_a_new_and_to_an_existing_stream
                no_stream_appends_to_a_new_stream
                no_stream_conflicts_with_an_existing_stream
                stream_exists_appends_to_an_existing_stream
                stream_exists_conflicts_with_a_new_stream
                exact_appends_at_that_version
                exact_version_conflict_names_actual
                an_exact_version_ahead_of_the_stream_conflicts
                exact_version_zero_is_no_stream
                the_highest_version_is_a_conflict_like_any_other
                a_conflict_names_the_stream_of_several
                each_stream_of_an_append_has_its_own_expectation
            }
            fidelity {
                a_payload_comes_back_to_the_byte
                numbers_come_back_exactly
                texts_of_every_script_come_back_unchanged
                deep_payloads_come_back
                a_payload_of_the_largest_size_comes_back
                times_come_back_to_the_microsecond
                metadata_comes_back_whole
                each_field_of_the_metadata_comes_back
                an_empty_actor_is_not_no_actor
                long_texts_beside_the_payload_come_back
                tags_come_back_in_their_order
                hostile_texts_are_nothing_but_texts
                names_of_every_length_come_back
                the_schema_version_comes_back
                any_bits_are_an_event_id
            }
            filters {
                a_filter_by_name
                a_filter_by_no_name_at_all_fits_nothing
                a_filter_by_a_thousand_names
                a_filter_by_category
                a_filter_by_correlation
                a_filter_by_ids
                a_filter_by_causes
                a_filter_by_causing_events
                a_filter_by_actor
                a_filter_by_time_of_recording
                conditions_are_joined_as_the_filter_itself_says
                a_limit_counts_what_fits
            }
            idempotence {
                repeating_an_exact_append_gives_the_first_receipt
                repeating_an_append_of_any_version_gives_the_first_receipt
                repeating_an_append_to_a_new_stream_gives_the_first_receipt
                repeating_an_append_to_an_existing_stream_gives_the_first_receipt
                a_repeat_is_known_after_the_stream_has_gone_on
                repeating_an_append_to_several_streams_gives_the_first_receipt
                events_in_a_row_are_a_repeat_however_they_were_appended
                an_event_of_another_stream_is_a_duplicate
                an_event_of_another_place_is_a_duplicate
                events_in_another_order_are_duplicates
                an_overlap_is_a_duplicate_and_stores_nothing
                an_id_twice_in_one_append_is_a_duplicate
                a_repeat_beside_something_new_is_a_duplicate
                new_events_at_an_old_version_are_no_repeat
                what_failed_can_be_appended_again
            }
            log_reads {
                the_log_has_every_event_once_in_position_order
                after_does_not_include_the_start
                before_goes_back_and_does_not_include_the_start
                beyond_the_ends_of_the_log_there_is_nothing
                a_full_page_has_come_to_its_last_event
                a_page_that_is_not_full_has_come_to_the_end
                a_page_comes_to_an_event_and_never_to_a_hole
                a_limit_of_the_log_may_be_zero_or_the_highest
                a_read_of_the_log_without_a_limit_is_bounded
                pages_make_up_the_log
                the_log_as_of_a_position_ends_there
                the_log_as_of_a_time_ends_there
                the_head_of_an_empty_log_is_the_start
                the_head_is_the_last_event
            }
            refusals {
                a_payload_that_is_too_large_is_refused
                a_nul_character_is_refused
                a_text_that_is_too_long_is_refused
                a_time_out_of_range_is_refused
                a_refusal_stores_nothing_of_the_append
            }
            stream_reads {
                a_missing_stream_is_an_empty_stretch
                a_stretch_includes_both_ends
                a_stretch_may_lie_beyond_the_stream
                backward_goes_from_new_to_old
                a_limit_keeps_what_is_read_first
                a_limit_may_be_zero_or_the_highest
                a_read_without_a_limit_is_bounded
                pages_make_up_the_stream
                as_of_a_position_shows_what_was_there
                as_of_a_time_shows_what_was_there
                as_of_goes_with_everything_else
            }
            tailing {
                a_reader_sees_every_event_once_in_order
                readers_of_small_pages_see_every_event_once_in_order
                a_filtered_reader_sees_every_event_that_fits
                a_reader_that_waits_to_be_told_misses_nothing
                nothing_appears_below_what_was_seen
                the_head_is_never_ahead_of_the_log
            }
            times {
                the_time_of_recording_never_falls
                the_time_of_recording_never_falls_under_concurrency
                the_time_of_recording_has_whole_microseconds
                the_time_of_recording_is_the_stores_own
            }
        }
    };
}

/// Hands the cases of the tier `transactional` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_transactional {
    ([$($then:tt)+]) => {
        $($then)+! { transactional
            commits {
                everything_in_a_commit_is_carried_out
                a_commit_of_nothing_does_nothing
                a_commit_without_events_is_carried_out
                the_receipt_of_a_commit_says_where_its_events_are
                a_conflict_undoes_everything
                a_duplicate_undoes_everything
                a_refused_event_undoes_everything
                a_malformed_append_undoes_everything
                a_change_of_an_unchanged_stream_undoes_everything
                a_stale_checkpoint_undoes_everything
                a_stale_process_undoes_everything
                a_stale_message_undoes_everything
                a_refused_message_undoes_everything
                failing_work_undoes_everything
                panicking_work_undoes_everything
                a_dropped_commit_happens_whole_or_not_at_all
                a_repeated_commit_changes_nothing
                a_commit_is_told
            }
            concurrency {
                commits_with_failing_work_disturb_nobody
                one_conflict_is_one_callers
                commits_to_the_same_things_do_not_deadlock
                aborted_commits_happen_whole_or_not_at_all
                nobody_sees_half_a_commit
            }
            documents {
                a_conflict_leaves_documents_as_they_were
                a_stale_document_undoes_everything
                a_repeated_commit_is_not_stale
                documents_are_written_beside_their_events
                names_that_cannot_be_kept_are_refused_everywhere
            }
            snapshots {
                a_stream_without_a_snapshot_has_none
                a_snapshot_comes_back_equal
                a_newer_snapshot_replaces_an_older_one
                an_older_snapshot_does_not_replace_a_newer_one
                a_snapshot_of_the_same_version_is_replaced
                a_snapshot_keeps_its_checksum
                the_shape_of_a_snapshot_is_any_text
            }
            unchanged {
                unchanged_streams_let_the_commit_through
                a_changed_stream_is_a_conflict
                a_stream_that_should_not_exist_is_a_conflict
                of_several_streams_the_changed_one_is_named
                two_commits_cannot_both_take_the_other_for_granted
                a_stream_taken_for_granted_can_be_appended_to
            }
            work {
                what_work_writes_is_committed
                work_runs_in_order
                work_sees_what_is_committed_and_its_own_writes
                work_that_fails_takes_all_rows_along
                nothing_is_visible_while_work_runs
                other_writers_while_work_runs
                a_write_from_within_work_is_refused
                a_commit_dropped_in_its_work_leaves_nothing
            }
        }
    };
}

/// Hands the cases of the tier `documents` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_documents {
    ([$($then:tt)+]) => {
        $($then)+! { documents
            commits {
                a_checkpoint_moves_with_the_documents
                a_stale_checkpoint_leaves_documents_as_they_were
                a_stale_document_leaves_the_checkpoint
                of_many_who_project_a_stretch_one_does
                nobody_sees_half_a_commit
                a_dropped_commit_is_whole_or_absent
            }
            fields {
                documents_are_found_by_a_range_of_values
                documents_are_found_in_the_order_of_their_values
                a_find_has_a_limit
                pages_make_up_what_is_found
                fields_and_collections_are_apart
                a_document_has_the_fields_of_its_last_put
                a_failed_commit_leaves_fields_as_they_were
                fields_that_cannot_be_kept_are_refused
                hostile_fields_are_nothing_but_fields
                a_thousand_documents_have_fields
                what_is_found_is_of_one_put
                fields_that_many_write_are_those_of_the_last
            }
            names {
                hostile_names_are_nothing_but_names
                names_of_every_length_are_kept
                names_that_cannot_be_kept_are_refused
                names_that_nothing_can_have_find_nothing
            }
            reads {
                documents_that_exist_are_loaded_once_each
                collections_are_apart
                a_scan_goes_by_the_bytes_of_the_keys
                a_scan_begins_after_a_key
                a_scan_has_a_limit
                pages_make_up_a_collection
            }
            revisions {
                each_put_gives_a_new_revision
                a_revision_never_comes_again
                an_expected_revision_lets_the_commit_through
                a_put_at_another_revision_is_stale
                a_removal_at_another_revision_is_stale
                a_document_taken_for_granted_at_another_revision_is_stale
                a_missing_document_is_at_revision_zero
                a_document_taken_for_granted_stays_as_it_is
                what_is_expected_is_expected_before_the_commit
                a_put_that_expects_nothing_is_noticed
                of_many_who_write_a_document_one_does
                two_commits_cannot_both_keep_what_the_other_writes
            }
            writes {
                a_document_is_put_and_replaced
                a_document_is_removed
                writes_of_one_commit_take_effect_in_order
                a_failed_commit_leaves_documents_as_they_were
                a_document_comes_back_to_the_byte
                a_thousand_writes_in_one_commit
                documents_that_many_write_are_what_one_wrote
            }
        }
    };
}

/// Hands the cases of the tier `document_persistence` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_document_persistence {
    ([$($then:tt)+]) => {
        $($then)+! { document_persistence
            reopening {
                documents_survive_reopening
                revisions_go_on_after_reopening
                a_commit_that_was_cut_off_is_whole_or_absent
            }
        }
    };
}

/// Hands the cases of the tier `processes` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_processes {
    ([$($then:tt)+]) => {
        $($then)+! { processes
            contention {
                of_many_who_save_an_instance_one_does
                a_message_is_handled_once_however_many_try
                a_reader_of_a_queue_sees_every_message_once
                of_many_who_add_a_message_one_does
                a_timer_fires_once_however_many_try
                commits_to_the_same_timers_do_not_deadlock
                a_message_delivered_often_is_handled_once
            }
            due {
                timers_are_due_in_the_order_of_their_times
                no_timer_is_due_before_its_time
                timers_at_the_edges_of_time
                due_timers_have_a_limit
            }
            history {
                entries_come_back_equal_and_in_order
                a_history_is_read_from_a_number_on
                entries_are_kept_exactly_if_their_save_is
                an_entry_is_never_changed
                several_saves_in_a_commit_keep_all_entries
                histories_are_apart
                hostile_histories_are_nothing_but_histories
                entries_that_cannot_be_kept_are_refused
            }
            inbox {
                what_came_of_a_message_comes_back_equal
                a_message_is_remembered_once
                a_message_handled_before_undoes_everything
                a_failed_commit_remembers_nothing
                messages_that_were_handled_are_loaded_once_each
                consumers_are_apart
                what_is_old_is_forgotten
                what_is_younger_is_not_forgotten
                much_is_forgotten_at_once
                hostile_consumers_are_nothing_but_consumers
                consumers_that_cannot_be_kept_are_refused
            }
            instances {
                revisions_start_at_one_and_rise_by_one
                another_revision_is_stale
                a_missing_instance_is_at_revision_zero
                one_stale_instance_undoes_the_others
                a_failed_commit_leaves_instances_as_they_were
                an_instance_comes_back_equal
                instances_that_exist_are_loaded_once_each
                instances_are_listed_by_status_and_key
                an_instance_is_listed_as_it_is_now
                hostile_instances_are_nothing_but_instances
            }
            keys {
                messages_of_a_key_are_read_in_order
                messages_of_a_key_are_read_from_a_number_on
                messages_of_a_key_stay_until_they_are_acknowledged
                keys_are_apart
                hostile_keys_are_nothing_but_keys
            }
            queues {
                messages_are_read_in_the_order_they_were_added
                a_message_comes_back_equal
                a_queue_is_read_from_a_number_on
                queues_are_apart
                a_message_stays_until_it_is_acknowledged
                a_message_is_acknowledged_once
                a_stale_acknowledgement_undoes_the_others
                a_message_id_occurs_once_in_a_queue
                a_message_id_may_come_again_once_it_is_gone
                a_number_is_never_used_again
                the_depth_of_a_queue
                hostile_messages_are_nothing_but_messages
            }
            timers {
                a_timer_comes_back_equal
                a_timer_that_is_set_again_is_replaced
                a_timer_stays_until_it_is_fired_or_cancelled
                a_timer_fires_once
                a_timer_may_fire_before_it_is_due
                a_missing_timer_is_cancelled_for_nothing
                a_stale_timer_undoes_everything
                a_failed_commit_leaves_timers_as_they_were
                a_repeated_commit_sets_no_timer_again
                timers_of_processes_are_apart
                hostile_timers_are_nothing_but_timers
                timers_that_cannot_be_kept_are_refused
            }
        }
    };
}

/// Hands the cases of the tier `persistence` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_persistence {
    ([$($then:tt)+]) => {
        $($then)+! { persistence
            reopening {
                events_survive_reopening
                versions_and_positions_go_on_after_reopening
                a_repeat_is_known_after_reopening
                checkpoints_survive_reopening
                leases_and_parked_keys_survive_reopening
                read_models_survive_reopening
                processes_and_queues_survive_reopening
                timers_histories_and_inboxes_survive_reopening
                two_handles_are_one_store
            }
        }
    };
}
