//! Which fault each case must notice: log, second part.

use crate::conformance::broken::{Condition, Fault, Field};

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "log::filters::a_filter_by_name",
        &[
            Fault::IgnoresTheFilter(Condition::Names),
            Fault::LoosensTheFilter(Condition::Names),
        ],
    ),
    (
        "log::filters::a_filter_by_no_name_at_all_fits_nothing",
        &[Fault::TakesNoNamesForAll],
    ),
    (
        "log::filters::a_filter_by_a_thousand_names",
        &[Fault::CountsFilteredNames(999)],
    ),
    (
        "log::filters::a_filter_by_category",
        &[
            Fault::IgnoresTheFilter(Condition::Categories),
            Fault::LoosensTheFilter(Condition::Categories),
        ],
    ),
    (
        "log::filters::a_filter_by_correlation",
        &[
            Fault::IgnoresTheFilter(Condition::Correlation),
            Fault::LoosensTheFilter(Condition::Correlation),
        ],
    ),
    (
        "log::filters::a_filter_by_actor",
        &[
            Fault::IgnoresTheFilter(Condition::Actor),
            Fault::LoosensTheFilter(Condition::Actor),
        ],
    ),
    (
        "log::filters::a_filter_by_time_of_recording",
        &[
            Fault::IgnoresTheFilter(Condition::From),
            Fault::IgnoresTheFilter(Condition::Before),
            Fault::LoosensTheFilter(Condition::From),
            Fault::LoosensTheFilter(Condition::Before),
        ],
    ),
    (
        "log::filters::conditions_are_joined_as_the_filter_itself_says",
        &[
            Fault::IgnoresTheFilterBackward,
            Fault::IgnoresTheFilter(Condition::Actor),
        ],
    ),
    (
        "log::filters::a_limit_counts_what_fits",
        &[Fault::FiltersAfterTheLimit],
    ),
    (
        "log::idempotence::repeating_an_exact_append_gives_the_first_receipt",
        &[Fault::GivesRepeatsNewIds, Fault::TakesRepeatsForConflicts],
    ),
    (
        "log::idempotence::repeating_an_append_of_any_version_gives_the_first_receipt",
        &[Fault::GivesRepeatsNewIds, Fault::TakesRepeatsForDuplicates],
    ),
    (
        "log::idempotence::repeating_an_append_to_a_new_stream_gives_the_first_receipt",
        &[Fault::TakesRepeatsForConflicts],
    ),
    (
        "log::idempotence::repeating_an_append_to_an_existing_stream_gives_the_first_receipt",
        &[Fault::GivesRepeatsNewIds],
    ),
    (
        "log::idempotence::a_repeat_is_known_after_the_stream_has_gone_on",
        &[Fault::RepeatHasTheHeadsPosition],
    ),
    (
        "log::idempotence::repeating_an_append_to_several_streams_gives_the_first_receipt",
        &[Fault::RepeatHasTheLastVersions, Fault::ReceiptIsSorted],
    ),
    (
        "log::idempotence::events_in_a_row_are_a_repeat_however_they_were_appended",
        &[Fault::TakesRepeatsForDuplicates],
    ),
    (
        "log::idempotence::an_event_of_another_stream_is_a_duplicate",
        &[Fault::SwallowsDuplicates, Fault::GivesRepeatsNewIds],
    ),
    (
        "log::idempotence::an_event_of_another_place_is_a_duplicate",
        &[Fault::SwallowsDuplicates, Fault::GivesRepeatsNewIds],
    ),
    (
        "log::idempotence::events_in_another_order_are_duplicates",
        &[Fault::SwallowsDuplicates],
    ),
    (
        "log::idempotence::an_overlap_is_a_duplicate_and_stores_nothing",
        &[
            Fault::AppendsTheRestOfAnOverlap,
            Fault::SaysTheFirstIdIsDoubled,
        ],
    ),
    (
        "log::idempotence::an_id_twice_in_one_append_is_a_duplicate",
        &[Fault::SkipsDoubledIds],
    ),
    (
        "log::idempotence::a_repeat_beside_something_new_is_a_duplicate",
        &[Fault::AppendsStreamByStream],
    ),
    (
        "log::idempotence::new_events_at_an_old_version_are_no_repeat",
        &[Fault::SwallowsConflicts],
    ),
    (
        "log::idempotence::what_failed_can_be_appended_again",
        &[Fault::ClaimsIdsBeforeTheCommit],
    ),
    (
        "log::log_reads::the_log_has_every_event_once_in_position_order",
        &[Fault::ShowsTheLogByStream, Fault::ShowsTheLogTwice],
    ),
    (
        "log::log_reads::after_does_not_include_the_start",
        &[Fault::IncludesTheStart, Fault::SkipsOneAtTheStart],
    ),
    (
        "log::log_reads::before_goes_back_and_does_not_include_the_start",
        &[Fault::IncludesTheStart, Fault::ReadsForwardWhenBackward],
    ),
    (
        "log::log_reads::beyond_the_ends_of_the_log_there_is_nothing",
        &[Fault::ScansToTheHead],
    ),
    (
        "log::log_reads::a_full_page_has_come_to_its_last_event",
        &[Fault::ScansToTheHead],
    ),
    (
        "log::log_reads::a_page_that_is_not_full_has_come_to_the_end",
        &[Fault::ScansToTheLastMatch, Fault::ScansNothingBackward],
    ),
    (
        "log::log_reads::a_page_comes_to_an_event_and_never_to_a_hole",
        &[Fault::ScansToANumber],
    ),
    (
        "log::log_reads::a_limit_of_the_log_may_be_zero_or_the_highest",
        &[Fault::TakesALimitOfZeroForNone, Fault::OverflowsLimits],
    ),
    (
        "log::log_reads::a_read_of_the_log_without_a_limit_is_bounded",
        &[Fault::HasNoDefaultLimit],
    ),
    (
        "log::log_reads::pages_make_up_the_log",
        &[Fault::ScansToTheHead, Fault::FiltersAfterTheLimit],
    ),
    (
        "log::log_reads::the_log_as_of_a_position_ends_there",
        &[
            Fault::IgnoresAsOf,
            Fault::ExcludesAsOf,
            Fault::ScansBeyondAsOf,
        ],
    ),
    (
        "log::log_reads::the_log_as_of_a_time_ends_there",
        &[
            Fault::IgnoresAsOf,
            Fault::ExcludesAsOf,
            Fault::ScansBeyondAsOf,
        ],
    ),
    (
        "log::log_reads::the_head_of_an_empty_log_is_the_start",
        &[Fault::HeadOfAnEmptyLogFails, Fault::HeadIsOfAnotherEpoch],
    ),
    (
        "log::log_reads::the_head_is_the_last_event",
        &[Fault::HeadIsTheCount, Fault::HeadIsAhead],
    ),
    (
        "log::refusals::a_payload_that_is_too_large_is_refused",
        &[Fault::CutsLargePayloads],
    ),
    (
        "log::refusals::a_nul_character_is_refused",
        &[Fault::StripsWhatIsRefused, Fault::SaysNothingOfTheField],
    ),
    (
        "log::refusals::a_text_that_is_too_long_is_refused",
        &[Fault::StripsWhatIsRefused, Fault::SaysNothingOfTheField],
    ),
    (
        "log::refusals::a_time_out_of_range_is_refused",
        &[Fault::StripsWhatIsRefused, Fault::SaysNothingOfTheField],
    ),
    (
        "log::refusals::a_refusal_stores_nothing_of_the_append",
        &[Fault::AppendsEventByEvent, Fault::AppendsStreamByStream],
    ),
    (
        "log::stream_reads::a_missing_stream_is_an_empty_stretch",
        &[Fault::FailsOnMissing],
    ),
    (
        "log::stream_reads::a_stretch_includes_both_ends",
        &[
            Fault::ExcludesTheFirst,
            Fault::ExcludesTheLast,
            Fault::IgnoresTheStretch,
        ],
    ),
    (
        "log::stream_reads::a_stretch_may_lie_beyond_the_stream",
        &[Fault::FailsBeyondTheStream],
    ),
    (
        "log::stream_reads::backward_goes_from_new_to_old",
        &[Fault::ReadsForwardWhenBackward],
    ),
    (
        "log::stream_reads::a_limit_keeps_what_is_read_first",
        &[Fault::IgnoresLimits, Fault::LimitsBackwardFromTheOtherEnd],
    ),
    (
        "log::stream_reads::a_limit_may_be_zero_or_the_highest",
        &[Fault::TakesALimitOfZeroForNone, Fault::OverflowsLimits],
    ),
    (
        "log::stream_reads::a_read_without_a_limit_is_bounded",
        &[Fault::HasNoDefaultLimit],
    ),
    (
        "log::stream_reads::pages_make_up_the_stream",
        &[Fault::ExcludesTheFirst, Fault::IgnoresTheStretch],
    ),
    (
        "log::stream_reads::as_of_a_position_shows_what_was_there",
        &[Fault::IgnoresAsOf, Fault::ExcludesAsOf],
    ),
    (
        "log::stream_reads::as_of_a_time_shows_what_was_there",
        &[Fault::IgnoresAsOf, Fault::ExcludesAsOf],
    ),
    (
        "log::stream_reads::as_of_goes_with_everything_else",
        &[Fault::IgnoresAsOf, Fault::ReadsForwardWhenBackward],
    ),
    (
        "log::tailing::a_reader_sees_every_event_once_in_order",
        &[Fault::ShowsEventsBelowTheHead],
    ),
    (
        "log::tailing::readers_of_small_pages_see_every_event_once_in_order",
        &[Fault::ShowsEventsBelowTheHead, Fault::ScansToTheHead],
    ),
    (
        "log::tailing::a_filtered_reader_sees_every_event_that_fits",
        &[Fault::ScansToTheHead],
    ),
    (
        "log::tailing::a_reader_that_waits_to_be_told_misses_nothing",
        &[Fault::NeverTellsOfChanges],
    ),
    (
        "log::tailing::nothing_appears_below_what_was_seen",
        &[Fault::ShowsEventsBelowTheHead],
    ),
    (
        "log::tailing::the_head_is_never_ahead_of_the_log",
        &[Fault::ShowsEventsBelowTheHead, Fault::HeadIsAhead],
    ),
    (
        "log::times::the_time_of_recording_never_falls",
        &[Fault::Distorts(Field::RecordedFalls)],
    ),
    (
        "log::times::the_time_of_recording_never_falls_under_concurrency",
        &[Fault::Distorts(Field::RecordedFalls)],
    ),
    (
        "log::times::the_time_of_recording_has_whole_microseconds",
        &[Fault::Distorts(Field::RecordedNanos)],
    ),
    (
        "log::times::the_time_of_recording_is_the_stores_own",
        &[Fault::Distorts(Field::RecordedIsOccurred)],
    ),
];
