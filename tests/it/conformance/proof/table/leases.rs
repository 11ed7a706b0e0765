//! Which fault each case must notice: leases.

use crate::conformance::broken::Fault;

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "leases::attempts::the_last_attempt_is_told_until_it_is_past",
        &[Fault::ForgetsAttempts, Fault::AttemptsOutlive],
    ),
    (
        "leases::attempts::an_attempt_is_noted_under_its_fence_only",
        &[Fault::NotesUnasked],
    ),
    (
        "leases::attempts::an_unclean_end_is_told_to_who_comes_next",
        &[
            Fault::HidesUncleanEnds,
            Fault::CallsEveryEndUnclean,
            Fault::TellsUncleanEndsAgain,
            Fault::ForgetsAttempts,
        ],
    ),
    (
        "leases::attempts::a_late_release_is_a_clean_end",
        &[Fault::TakesNoLateRelease, Fault::ReleasesLanesOfOthers],
    ),
    (
        "leases::contention::no_lane_is_held_by_two",
        &[Fault::StealsLanes],
    ),
    (
        "leases::contention::each_lease_has_a_fence_of_its_own",
        &[Fault::FencesStay],
    ),
    (
        "leases::contention::who_lost_its_lane_changes_nothing",
        &[Fault::IgnoresFences],
    ),
    (
        "leases::contention::of_many_first_claims_one_makes_the_lanes",
        &[Fault::FailsWhenClaimsMeet, Fault::StealsLanes],
    ),
    (
        "leases::contention::of_many_who_find_lanes_drained_one_changes_them",
        &[Fault::NeverChangesTheNumber, Fault::StealsLanes],
    ),
    (
        "leases::contention::a_dropped_claim_was_made_or_not",
        &[Fault::StaysBusyWhenDropped],
    ),
    (
        "leases::holding::a_held_lane_is_granted_to_nobody_else",
        &[Fault::StealsLanes],
    ),
    (
        "leases::holding::a_lane_given_back_is_granted_to_another",
        &[Fault::ReleasesNothing, Fault::ReleasesEverything],
    ),
    (
        "leases::holding::a_lane_whose_lease_has_run_out_is_granted_to_another",
        &[Fault::GrantsNoRunOutLanes],
    ),
    (
        "leases::holding::no_lease_runs_out_before_its_time",
        &[Fault::LeasesRunOutEarly],
    ),
    (
        "leases::holding::fences_rise_when_a_lane_changes_hands",
        &[Fault::FencesStay, Fault::RenewalsRaiseFences],
    ),
    (
        "leases::holding::a_claim_renews_what_its_owner_holds",
        &[Fault::RenewsNothing],
    ),
    (
        "leases::holding::a_lane_that_was_taken_is_not_granted_any_more",
        &[Fault::GrantsWhatWasTaken],
    ),
    (
        "leases::holding::a_release_disturbs_nobody_else",
        &[Fault::ReleasesLanesOfOthers],
    ),
    (
        "leases::holding::lanes_are_listed_as_they_are",
        &[Fault::ListsLanesByLetters, Fault::LosesNamesOfOwners],
    ),
    (
        "leases::holding::hostile_names_of_owners_are_nothing_but_names",
        &[Fault::FoldsCollections, Fault::LosesNamesOfOwners],
    ),
    (
        "leases::renumbering::more_lanes_begin_where_all_were_drained_to",
        &[
            Fault::ChangesTheNumberAtOnce,
            Fault::NeverChangesTheNumber,
            Fault::DrainsToTheNearest,
        ],
    ),
    (
        "leases::renumbering::fewer_lanes_and_more_again",
        &[
            Fault::ChangesTheNumberAtOnce,
            Fault::NeverChangesTheNumber,
            Fault::FencesStay,
        ],
    ),
    (
        "leases::renumbering::lanes_that_never_saved_are_drained",
        &[Fault::ChangesTheNumberAtOnce, Fault::NeverChangesTheNumber],
    ),
    (
        "leases::renumbering::what_was_wanted_last_counts",
        &[Fault::KeepsTheFirstWish, Fault::NeverChangesTheNumber],
    ),
    (
        "leases::renumbering::a_holder_that_drags_on_moves_the_place",
        &[Fault::FixesThePlaceOnce],
    ),
    (
        "leases::renumbering::lanes_are_granted_while_they_are_drained",
        &[Fault::GrantsNothingWhileDraining],
    ),
    (
        "leases::resetting::a_reset_puts_every_lane_to_one_place",
        &[
            Fault::ResetsNothing,
            Fault::ResetsUnderTheLeases,
            Fault::FencesStay,
        ],
    ),
    (
        "leases::resetting::a_reset_takes_off_what_is_parked_after_it",
        &[Fault::ResetKeepsParked, Fault::ResetTakesEverythingOff],
    ),
    (
        "leases::resetting::a_reset_carries_out_another_number",
        &[Fault::ResetForgetsTheWish],
    ),
    (
        "leases::resetting::a_reset_makes_what_was_never_claimed",
        &[Fault::ResetsNothing, Fault::StartsAgain],
    ),
    (
        "leases::resetting::a_reset_is_one_step",
        &[Fault::ResetsLaneByLane],
    ),
    (
        "leases::sharing::lanes_are_shared_evenly",
        &[
            Fault::SharesAreWhole,
            Fault::CountsOneOwner,
            Fault::LeavesNothing,
        ],
    ),
    (
        "leases::sharing::more_owners_than_lanes_share_them",
        &[Fault::SharesAreWhole, Fault::CountsOneOwner],
    ),
    (
        "leases::sharing::the_remainder_is_for_those_who_hold_most",
        &[Fault::SharesTheRemainderTheOtherWay],
    ),
    (
        "leases::sharing::free_lanes_are_taken_lowest_first",
        &[Fault::GrantsTheLastLanesFirst],
    ),
    (
        "leases::sharing::a_surplus_is_kept_until_it_is_given_back",
        &[Fault::TakesTheSurplusAway, Fault::ReleasesEverything],
    ),
    (
        "leases::sharing::who_has_not_claimed_within_its_lease_is_not_counted",
        &[Fault::RemembersOwnersForEver],
    ),
    (
        "leases::sharing::who_leaves_is_not_counted",
        &[Fault::LeavesNothing, Fault::LeavesWithTheLastLane],
    ),
    (
        "leases::starting::the_first_claim_makes_the_lanes_it_wants",
        &[Fault::IgnoresWantedLanes, Fault::IgnoresStarts],
    ),
    (
        "leases::starting::a_lane_starts_once",
        &[Fault::StartsAgain],
    ),
    (
        "leases::starting::what_was_written_before_the_first_claim_stays",
        &[Fault::StartsAgain],
    ),
    (
        "leases::starting::a_subscription_has_as_many_lanes_as_there_can_be",
        &[Fault::CapsLanesAt(1_000)],
    ),
    (
        "leases::taking_over::a_later_run_takes_the_lanes_of_its_name",
        &[Fault::TakesNothingOver, Fault::IgnoresFences],
    ),
    (
        "leases::taking_over::only_the_same_name_is_taken_over",
        &[
            Fault::TakesOverFromAll,
            Fault::TakesOverUnasked,
            Fault::FoldsNamesOfOwners,
        ],
    ),
    (
        "leases::taking_over::who_takes_over_keeps_its_own_and_its_share",
        &[
            Fault::TakesOverFromAll,
            Fault::RenewalsRaiseFences,
            Fault::TellsUncleanEndsAgain,
        ],
    ),
];
