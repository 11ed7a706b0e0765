//! The list of cases, of what durable subscriptions need: checkpoints, leases and parking.

/// Hands the cases of the tier `checkpoints` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_checkpoints {
    ([$($then:tt)+]) => {
        $($then)+! { checkpoints
            fences {
                a_held_lane_moves_under_its_fence_only
                a_held_lane_does_not_move_without_a_fence
                a_lease_that_has_run_out_counts_until_the_lane_is_taken
                a_lane_given_back_is_on_nobodys_lease
                a_stale_lease_undoes_everything
            }
            lanes {
                lanes_have_checkpoints_of_their_own
                checkpoints_are_listed_by_name_and_lane
                a_commit_moves_several_lanes
                a_lane_that_is_not_there_is_not_written_to
            }
            moves {
                a_checkpoint_moves_from_where_it_is_expected
                a_checkpoint_that_is_elsewhere_does_not_move
                a_missing_checkpoint_is_nowhere
                a_checkpoint_may_go_back
                of_many_who_move_it_one_wins
                a_checkpoint_moves_with_its_commit
                effects_beside_a_checkpoint_happen_once
                a_checkpoint_stays_when_its_events_conflict
                a_dropped_move_happens_or_does_not
            }
            reads {
                a_subscription_that_never_saved_has_no_checkpoint
                a_checkpoint_comes_back_equal
                checkpoints_are_listed_by_name
                subscriptions_with_like_names_are_apart
            }
        }
    };
}

/// Hands the cases of the tier `leases` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_leases {
    ([$($then:tt)+]) => {
        $($then)+! { leases
            attempts {
                the_last_attempt_is_told_until_it_is_past
                an_attempt_is_noted_under_its_fence_only
                an_unclean_end_is_told_to_who_comes_next
                a_late_release_is_a_clean_end
            }
            contention {
                no_lane_is_held_by_two
                each_lease_has_a_fence_of_its_own
                who_lost_its_lane_changes_nothing
                of_many_first_claims_one_makes_the_lanes
                of_many_who_find_lanes_drained_one_changes_them
                a_dropped_claim_was_made_or_not
            }
            holding {
                a_held_lane_is_granted_to_nobody_else
                a_lane_given_back_is_granted_to_another
                a_lane_whose_lease_has_run_out_is_granted_to_another
                no_lease_runs_out_before_its_time
                fences_rise_when_a_lane_changes_hands
                a_claim_renews_what_its_owner_holds
                a_lane_that_was_taken_is_not_granted_any_more
                a_release_disturbs_nobody_else
                lanes_are_listed_as_they_are
                hostile_names_of_owners_are_nothing_but_names
            }
            renumbering {
                more_lanes_begin_where_all_were_drained_to
                fewer_lanes_and_more_again
                lanes_that_never_saved_are_drained
                what_was_wanted_last_counts
                a_holder_that_drags_on_moves_the_place
                lanes_are_granted_while_they_are_drained
            }
            resetting {
                a_reset_puts_every_lane_to_one_place
                a_reset_takes_off_what_is_parked_after_it
                a_reset_carries_out_another_number
                a_reset_makes_what_was_never_claimed
                a_reset_is_one_step
            }
            sharing {
                lanes_are_shared_evenly
                more_owners_than_lanes_share_them
                the_remainder_is_for_those_who_hold_most
                free_lanes_are_taken_lowest_first
                a_surplus_is_kept_until_it_is_given_back
                who_has_not_claimed_within_its_lease_is_not_counted
                who_leaves_is_not_counted
            }
            starting {
                the_first_claim_makes_the_lanes_it_wants
                a_lane_starts_once
                what_was_written_before_the_first_claim_stays
                a_subscription_has_as_many_lanes_as_there_can_be
            }
            taking_over {
                a_later_run_takes_the_lanes_of_its_name
                only_the_same_name_is_taken_over
                who_takes_over_keeps_its_own_and_its_share
            }
            unexplained {
                an_unexplained_end_is_told_until_an_attempt_explains_it
                an_end_is_explained_by_an_attempt_that_is_told
                lanes_that_begin_anew_have_no_unexplained_end
            }
        }
    };
}

/// Hands the cases of the tier `parking` to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_parking {
    ([$($then:tt)+]) => {
        $($then)+! { parking
            contention {
                an_event_is_taken_off_once_however_many_try
                moves_and_requests_do_not_deadlock
            }
            moves {
                parking_happens_if_the_move_does
                parking_needs_the_fence
                what_is_not_parked_undoes_everything
                a_failed_commit_parks_nothing
                a_repeated_commit_parks_nothing_again
                keys_that_cannot_be_kept_are_refused
            }
            reads {
                keys_are_listed_by_their_bytes
                events_of_a_key_are_read_in_order
                ten_thousand_events_of_one_key
                keys_are_grouped_by_their_fingerprints
                hostile_keys_are_nothing_but_keys
                what_is_not_parked_is_not_found
            }
            requests {
                a_request_is_noted_for_a_parked_key
                requests_are_listed_oldest_first
                a_request_for_all_whose_failures_look_alike
                a_request_ends_with_its_key
            }
            writes {
                an_event_that_failed_parks_its_key
                a_key_is_told_anew_why_it_is_parked
                an_event_is_parked_once
                an_event_behind_needs_its_key
                an_event_is_taken_off_once
                a_key_is_emptied_once
                what_is_parked_and_taken_off_takes_effect_in_order
                a_failure_comes_back_equal
            }
        }
    };
}
