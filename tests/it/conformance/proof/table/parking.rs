//! Which fault each case must notice: parking.

use crate::conformance::broken::{Fault, Part};

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "parking::contention::an_event_is_taken_off_once_however_many_try",
        &[Fault::TakesOffUnasked, Fault::ChecksThenActs],
    ),
    (
        "parking::contention::moves_and_requests_do_not_deadlock",
        &[Fault::LocksInTheOrderOfTheRequest],
    ),
    (
        "parking::moves::parking_happens_if_the_move_does",
        &[Fault::WritesOutside(Part::Parking)],
    ),
    (
        "parking::moves::parking_needs_the_fence",
        &[Fault::IgnoresFences, Fault::MovesHeldLanesWithoutAFence],
    ),
    (
        "parking::moves::what_is_not_parked_undoes_everything",
        &[
            Fault::ParksBehindNothing,
            Fault::TakesOffUnasked,
            Fault::EmptiesUnasked,
            Fault::WritesOutside(Part::Documents),
            Fault::WritesOutside(Part::Rows),
        ],
    ),
    (
        "parking::moves::a_failed_commit_parks_nothing",
        &[Fault::WritesOutside(Part::Parking)],
    ),
    (
        "parking::moves::a_repeated_commit_parks_nothing_again",
        &[Fault::RepeatsCommits],
    ),
    (
        "parking::moves::keys_that_cannot_be_kept_are_refused",
        &[Fault::SkipsBadNames, Fault::SaysNothingOfTheField],
    ),
    (
        "parking::reads::keys_are_listed_by_their_bytes",
        &[
            Fault::ScansByLetters,
            Fault::ScansIncludeAfter,
            Fault::ScansNeedAfter,
            Fault::IgnoresLimits,
        ],
    ),
    (
        "parking::reads::events_of_a_key_are_read_in_order",
        &[
            Fault::ReversesParked,
            Fault::ReadsQueuesInclusive,
            Fault::IgnoresLimits,
        ],
    ),
    (
        "parking::reads::ten_thousand_events_of_one_key",
        &[Fault::CountsAThousandAtMost, Fault::CapsPagesAt(500)],
    ),
    (
        "parking::reads::keys_are_grouped_by_their_fingerprints",
        &[
            Fault::GroupsUnsorted,
            Fault::GroupsTellTheLastError,
            Fault::GroupsCountOnlyKeys,
        ],
    ),
    (
        "parking::reads::hostile_keys_are_nothing_but_keys",
        &[Fault::FoldsCollections],
    ),
    (
        "parking::reads::what_is_not_parked_is_not_found",
        &[Fault::FindsEveryKeyParked, Fault::FoldsCollections],
    ),
    (
        "parking::requests::a_request_is_noted_for_a_parked_key",
        &[Fault::RequestsNothing, Fault::FindsEveryKeyParked],
    ),
    (
        "parking::requests::requests_are_listed_oldest_first",
        &[
            Fault::ListsRequestsByKey,
            Fault::ListsRequestsByTheirFirst,
            Fault::KeepsTheFirstRequest,
            Fault::IgnoresLimits,
        ],
    ),
    (
        "parking::requests::a_request_for_all_whose_failures_look_alike",
        &[Fault::RequestsForAll],
    ),
    (
        "parking::requests::a_request_ends_with_its_key",
        &[Fault::KeepsRequests],
    ),
    (
        "parking::writes::an_event_that_failed_parks_its_key",
        &[Fault::LosesTimes, Fault::CutsFailuresAt(3)],
    ),
    (
        "parking::writes::a_key_is_told_anew_why_it_is_parked",
        &[
            Fault::KeepsTheFirstFailure,
            Fault::KeepsRequests,
            Fault::ParkedSinceNow,
        ],
    ),
    (
        "parking::writes::an_event_is_parked_once",
        &[Fault::ParksEventsTwice],
    ),
    (
        "parking::writes::an_event_behind_needs_its_key",
        &[Fault::ParksBehindNothing],
    ),
    (
        "parking::writes::an_event_is_taken_off_once",
        &[Fault::TakesOffUnasked],
    ),
    (
        "parking::writes::a_key_is_emptied_once",
        &[Fault::EmptiesUnasked, Fault::EmptiesOneEvent],
    ),
    (
        "parking::writes::what_is_parked_and_taken_off_takes_effect_in_order",
        &[Fault::ReversesParking, Fault::ChecksParkingBeforeTheWrite],
    ),
    (
        "parking::writes::a_failure_comes_back_equal",
        &[Fault::CutsFailuresAt(255)],
    ),
];
