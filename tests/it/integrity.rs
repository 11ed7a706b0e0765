//! Hash chains, on every store.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod behind;
mod chains;
mod doctored;
mod tampering;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::chains:
                every_event_has_one_link
                whatever_dies_every_event_has_one_link
                a_chain_that_is_read_again_is_compared
                a_chain_stops_before_what_does_not_fit
                a_chain_has_one_lane
                a_chain_may_be_about_some_categories
                links_may_be_in_another_store
                verification_runs_beside_writers);
            crate::support::on_store!($harness; super::tampering:
                every_field_that_was_changed_is_noticed
                what_is_missing_is_named
                links_that_were_changed_or_taken_away_are_named
                another_key_does_not_fit
                there_is_an_end_to_what_is_told_in_full);
        }
    };
}

crate::support::on_each_store!(suite);
