//! The list of cases, once, and the macros that go through it.

/// Makes a test of every case of the suite, for one bus. See [`bus_conformance`](mod@crate::bus_conformance).
///
/// Call it once in a module, with an expression that gives the harness; the expression is evaluated anew for each test.
#[macro_export]
macro_rules! bus_conformance {
    ($harness:expr) => {
        fn __harness() -> impl $crate::bus_conformance::BusHarness {
            $harness
        }
        $crate::__bus_conformance!([$crate::__bus_conformance_tests]);
    };
}

/// Makes the tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __bus_conformance_tests {
    ($($group:ident { $($case:ident)* })*) => {
        $(mod $group {
            $(#[test]
            fn $case() {
                $crate::bus_conformance::run(super::__harness, |harness| {
                    ::std::boxed::Box::pin($crate::bus_conformance::$group::$case(harness))
                });
            })*
        })*
    };
}

/// Hands the cases to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __bus_conformance {
    ([$($then:tt)+]) => {
        $($then)+! {
            ending {
                shutdown_handles_what_is_in_queues
                a_closed_bus_refuses_events
                shutdown_tells_when_something_has_not_ended
            }
            groups {
                a_stopped_group_is_not_called_and_the_report_says_so
                a_stopped_group_counts_what_it_misses
                stopping_waits_for_who_runs_and_tells_of_the_rest
                a_group_that_is_started_again_is_called
                who_joins_a_stopped_group_is_stopped
            }
            isolation {
                an_error_is_reported_for_its_handler_alone
                a_panic_is_reported_for_its_handler_alone
                a_panic_before_there_is_a_future_is_one_too
                a_handler_that_takes_too_long_is_dropped
                the_time_limit_of_the_bus_is_for_who_has_none
                what_cannot_be_decoded_is_reported_for_who_needs_it
                the_report_is_in_order_of_priority_then_of_subscription
            }
            ordering {
                publish_returns_when_all_handlers_are_done
                a_higher_priority_is_done_before_the_next_begins
                events_of_a_key_come_one_at_a_time_in_the_order_of_publishes
                no_more_handlers_run_at_once_than_allowed
                as_many_handlers_run_at_once_as_allowed
            }
            queues {
                a_publisher_does_not_wait_for_a_queue
                events_of_a_queue_come_one_at_a_time_in_order
                a_full_queue_that_blocks_has_publishers_wait
                a_full_queue_that_drops_tells_of_the_gap_in_its_place
                a_full_queue_that_spills_loses_nothing_and_doubles_nothing
                a_queue_outlives_whatever_its_handler_does
                who_publishes_into_its_own_full_queue_is_refused
            }
            reentrancy {
                a_handler_publishes_on_its_own_bus_in_its_own_place
                a_handler_subscribes_and_unsubscribes
            }
            routing {
                a_typed_handler_gets_its_type
                a_handler_of_a_set_gets_every_type_of_it
                a_name_comes_to_who_wants_it
                names_of_a_pattern_come_to_who_wants_them
                events_of_a_category_come_to_who_wants_it
                all_events_come_to_who_wants_all
                each_handler_of_an_event_is_called_once
                an_unsubscribed_handler_is_not_called
            }
            trying {
                a_failed_handler_is_tried_again_as_often_as_wanted
                an_attempt_that_works_ends_the_retries
                a_breaker_leaves_a_failing_handler_alone
            }
        }
    };
}
