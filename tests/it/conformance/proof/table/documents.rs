//! Which fault each case must notice: documents.

use crate::conformance::broken::{Fault, Part};

pub(crate) const TABLE: &[(&str, &[Fault])] = &[
    (
        "documents::names::hostile_names_are_nothing_but_names",
        &[Fault::FoldsCollections],
    ),
    (
        "documents::names::names_of_every_length_are_kept",
        &[Fault::CutsLongNames],
    ),
    (
        "documents::names::names_that_cannot_be_kept_are_refused",
        &[Fault::SkipsBadNames, Fault::SaysNothingOfTheField],
    ),
    (
        "documents::names::names_that_nothing_can_have_find_nothing",
        &[Fault::LoadsMissing],
    ),
    (
        "documents::reads::documents_that_exist_are_loaded_once_each",
        &[Fault::LoadsAsOftenAsAsked, Fault::LoadsMissing],
    ),
    (
        "documents::reads::collections_are_apart",
        &[Fault::FoldsCollections],
    ),
    (
        "documents::reads::a_scan_goes_by_the_bytes_of_the_keys",
        &[Fault::ScansByLetters],
    ),
    (
        "documents::reads::a_scan_begins_after_a_key",
        &[Fault::ScansIncludeAfter, Fault::ScansNeedAfter],
    ),
    (
        "documents::reads::a_scan_has_a_limit",
        &[
            Fault::IgnoresLimits,
            Fault::TakesALimitOfZeroForNone,
            Fault::OverflowsLimits,
        ],
    ),
    (
        "documents::reads::pages_make_up_a_collection",
        &[Fault::ScansIncludeAfter],
    ),
    (
        "documents::writes::a_document_is_put_and_replaced",
        &[Fault::NeverReplaces],
    ),
    (
        "documents::writes::a_document_is_removed",
        &[Fault::NeverRemoves],
    ),
    (
        "documents::writes::writes_of_one_commit_take_effect_in_order",
        &[Fault::AppliesRemovalsLast, Fault::KeepsTheFirstWrite],
    ),
    (
        "documents::writes::a_failed_commit_leaves_documents_as_they_were",
        &[Fault::WritesOutside(Part::Documents)],
    ),
    (
        "documents::writes::a_document_comes_back_to_the_byte",
        &[Fault::DistortsBodies],
    ),
    (
        "documents::writes::a_thousand_writes_in_one_commit",
        &[Fault::ForgetsDocumentsBeyond(500)],
    ),
    (
        "documents::writes::documents_that_many_write_are_what_one_wrote",
        &[Fault::WritesDocumentsOneByOne],
    ),
];
