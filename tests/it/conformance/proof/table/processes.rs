//! Which fault each case must notice: processes.

use crate::conformance::broken::{Fault, Part};

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "processes::contention::of_many_who_save_an_instance_one_does",
        &[Fault::ChecksThenActs, Fault::SavesProcessesUnasked],
    ),
    (
        "processes::contention::a_message_is_handled_once_however_many_try",
        &[Fault::ChecksThenActs, Fault::AcknowledgesNothing],
    ),
    (
        "processes::contention::a_reader_of_a_queue_sees_every_message_once",
        &[Fault::ShowsMessagesLate, Fault::ReadsQueuesInclusive],
    ),
    (
        "processes::contention::of_many_who_add_a_message_one_does",
        &[Fault::SkipsDoubledMessages],
    ),
    (
        "processes::instances::revisions_start_at_one_and_rise_by_one",
        &[Fault::RevisionsStartAtZero],
    ),
    (
        "processes::instances::another_revision_is_stale",
        &[Fault::SavesProcessesUnasked, Fault::SaysNobodyIsStale],
    ),
    (
        "processes::instances::a_missing_instance_is_at_revision_zero",
        &[Fault::SavesProcessesUnasked],
    ),
    (
        "processes::instances::one_stale_instance_undoes_the_others",
        &[Fault::SavesProcessesUnasked, Fault::SwallowsStale],
    ),
    (
        "processes::instances::a_failed_commit_leaves_instances_as_they_were",
        &[Fault::WritesOutside(Part::Processes)],
    ),
    (
        "processes::instances::an_instance_comes_back_equal",
        &[Fault::LosesStatuses, Fault::DistortsBodies],
    ),
    (
        "processes::instances::instances_that_exist_are_loaded_once_each",
        &[Fault::LoadsAsOftenAsAsked, Fault::FoldsCollections],
    ),
    (
        "processes::instances::instances_are_listed_by_status_and_key",
        &[
            Fault::IgnoresStatuses,
            Fault::ScansByLetters,
            Fault::ScansIncludeAfter,
            Fault::IgnoresLimits,
        ],
    ),
    (
        "processes::instances::an_instance_is_listed_as_it_is_now",
        &[Fault::LosesStatuses],
    ),
    (
        "processes::instances::hostile_instances_are_nothing_but_instances",
        &[Fault::FoldsCollections],
    ),
    (
        "processes::queues::messages_are_read_in_the_order_they_were_added",
        &[Fault::ReadsQueuesById],
    ),
    (
        "processes::queues::a_message_comes_back_equal",
        &[Fault::LosesMetadataOfMessages, Fault::DistortsBodies],
    ),
    (
        "processes::queues::a_queue_is_read_from_a_number_on",
        &[
            Fault::ReadsQueuesInclusive,
            Fault::OverflowsQueueNumbers,
            Fault::IgnoresLimits,
        ],
    ),
    (
        "processes::queues::queues_are_apart",
        &[Fault::FoldsCollections],
    ),
    (
        "processes::queues::a_message_stays_until_it_is_acknowledged",
        &[Fault::ReadsQueuesOnce, Fault::AcknowledgesNothing],
    ),
    (
        "processes::queues::a_message_is_acknowledged_once",
        &[Fault::AcknowledgesUnasked, Fault::SaysNobodyIsStale],
    ),
    (
        "processes::queues::a_stale_acknowledgement_undoes_the_others",
        &[Fault::AcknowledgesUnasked],
    ),
    (
        "processes::queues::a_message_id_occurs_once_in_a_queue",
        &[Fault::SkipsDoubledMessages],
    ),
    (
        "processes::queues::a_message_id_may_come_again_once_it_is_gone",
        &[Fault::RemembersMessagesForEver],
    ),
    (
        "processes::queues::a_number_is_never_used_again",
        &[Fault::RestartsQueueNumbers],
    ),
    (
        "processes::queues::the_depth_of_a_queue",
        &[Fault::DepthIsOneMore, Fault::DepthHasNoOldest],
    ),
    (
        "processes::queues::hostile_messages_are_nothing_but_messages",
        &[Fault::FoldsCollections],
    ),
];
