//! Old events on every path, and everything that can be wrong with them.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod faults;
mod feeds;
mod guide;
mod lanes;
mod models;
mod paths;
mod reading;
mod rules;
mod shop;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::paths:
                a_stream_is_read
                a_stream_is_read_as_it_was
                the_log_is_read
                a_subscription_handles_each_stored_event_once
                a_projection_into_documents_is_made_and_made_anew
                a_projection_into_rows_is_made
                a_saga_is_told
                a_saga_that_is_parked_is_told_each_part
                an_aggregate_is_loaded
                an_aggregate_is_loaded_from_a_snapshot_and_its_tail
                an_aggregate_goes_on_and_back);
            crate::support::on_store!($harness; super::paths:
                what_can_not_be_read_stops_every_path);
            crate::support::on_store!($harness; super::feeds:
                a_watch_is_told_each_part
                a_watch_that_goes_on_loses_no_part
                a_watch_of_what_is_stored_asks_for_former_names
                a_bus_calls_handlers_of_the_new_type
                a_layer_tries_the_part_again_that_failed
                a_queue_that_spills_reads_old_events_from_the_log
                the_bus_of_an_application_has_its_decoder);
            crate::support::on_store!($harness; super::lanes:
                handlers_in_lanes_are_told_in_order
                sagas_in_lanes_are_told_in_order
                parts_for_several_instances_come_once
                what_is_parked_is_shown_as_it_is_stored_and_retried);
            crate::support::on_store!($harness; super::models:
                a_read_model_is_rebuilt_and_swapped
                aggregates_are_handed_on_while_snapshots_are_stored);
        }
    };
}

crate::support::on_each_store!(suite);
