//! Which fault each case must notice: checkpoints.

use crate::conformance::broken::{Fault, Part};

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "checkpoints::moves::a_checkpoint_moves_from_where_it_is_expected",
        &[Fault::LosesTheEventIdOfCheckpoints],
    ),
    (
        "checkpoints::moves::a_checkpoint_that_is_elsewhere_does_not_move",
        &[Fault::MovesCheckpointsUnasked, Fault::SaysNobodyIsStale],
    ),
    (
        "checkpoints::moves::a_missing_checkpoint_is_nowhere",
        &[Fault::TakesAMissingCheckpointForTheStart],
    ),
    (
        "checkpoints::moves::a_checkpoint_may_go_back",
        &[Fault::RefusesToGoBack],
    ),
    (
        "checkpoints::moves::of_many_who_move_it_one_wins",
        &[Fault::ChecksThenActs],
    ),
    (
        "checkpoints::moves::a_checkpoint_moves_with_its_commit",
        &[Fault::WritesOutside(Part::Checkpoints)],
    ),
    (
        "checkpoints::moves::effects_beside_a_checkpoint_happen_once",
        &[Fault::ChecksThenActs],
    ),
    (
        "checkpoints::moves::a_checkpoint_stays_when_its_events_conflict",
        &[Fault::WritesOutside(Part::Checkpoints)],
    ),
    (
        "checkpoints::moves::a_dropped_move_happens_or_does_not",
        &[Fault::StaysBusyWhenDropped],
    ),
    (
        "checkpoints::reads::a_subscription_that_never_saved_has_no_checkpoint",
        &[Fault::MissingCheckpointsAreAtTheStart],
    ),
    (
        "checkpoints::reads::a_checkpoint_comes_back_equal",
        &[
            Fault::LosesTheEventIdOfCheckpoints,
            Fault::LosesTheEpochOfCheckpoints,
        ],
    ),
    (
        "checkpoints::reads::checkpoints_are_listed_by_name",
        &[
            Fault::ListsCheckpointsUnsorted,
            Fault::ListsOneCheckpointLess,
        ],
    ),
    (
        "checkpoints::reads::subscriptions_with_like_names_are_apart",
        &[Fault::FoldsCollections],
    ),
];
