//! The proof that every case can fail: each is run on a bus that is broken in a way it must notice.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use uno_testkit::bus_conformance::{BusCase, BusCaseFn, attempt, cases};

use super::broken::{
    Fault::{self, *},
    Harness,
};

/// How long a case may take on a bus that is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take where it waits for what never comes.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// The faults that a case notices by waiting for what never comes.
const HANGING: [Fault; 9] = [
    OneLaneForAll,
    OneAtATime,
    NoTimeLimits,
    NoTimeLimitOfTheBus,
    WaitsForAPlaceWithin,
    AwaitsQueues,
    PublishesElsewhere,
    DropIsBlock,
    NeverStartsAgain,
];

/// How many cases run at once. More than there are processors, since some only wait.
const THREADS: usize = 6;

/// Every case, with the faults that must make it fail.
const TABLE: &[(&str, &[Fault])] = &[
    (
        "ending::shutdown_handles_what_is_in_queues",
        &[ForgetsQueues, StaysOpen],
    ),
    ("ending::a_closed_bus_refuses_events", &[StaysOpen]),
    (
        "ending::shutdown_tells_when_something_has_not_ended",
        &[SaysAllHasEnded],
    ),
    (
        "groups::a_stopped_group_is_not_called_and_the_report_says_so",
        &[NoGroups, SaysStoppedIsHandled],
    ),
    (
        "groups::a_stopped_group_counts_what_it_misses",
        &[CountsNoMisses, NeverStartsAgain],
    ),
    (
        "groups::stopping_waits_for_who_runs_and_tells_of_the_rest",
        &[StopsWithoutWaiting, SaysNobodyRuns],
    ),
    (
        "groups::a_group_that_is_started_again_is_called",
        &[NeverStartsAgain, NoGroups],
    ),
    (
        "groups::who_joins_a_stopped_group_is_stopped",
        &[GroupsAreThoseOfNow],
    ),
    (
        "isolation::an_error_is_reported_for_its_handler_alone",
        &[HidesErrors, BlamesEveryone, ErrorsWithoutText],
    ),
    (
        "isolation::a_panic_is_reported_for_its_handler_alone",
        &[PanicsAreErrors, PanicsComeOut, HidesErrors],
    ),
    (
        "isolation::a_panic_before_there_is_a_future_is_one_too",
        &[PanicsAreErrors, PanicsComeOut],
    ),
    (
        "isolation::a_handler_that_takes_too_long_is_dropped",
        &[NoTimeLimits, LateOnesGoOn],
    ),
    (
        "isolation::the_time_limit_of_the_bus_is_for_who_has_none",
        &[NoTimeLimitOfTheBus],
    ),
    (
        "isolation::what_cannot_be_decoded_is_reported_for_who_needs_it",
        &[UndecodableStopsAll, DecodesNothing],
    ),
    (
        "isolation::the_report_is_in_order_of_priority_then_of_subscription",
        &[ReportsByName, IgnoresPriorities, ForgetsTheLastInReports],
    ),
    (
        "ordering::publish_returns_when_all_handlers_are_done",
        &[DeliversLater],
    ),
    (
        "ordering::a_higher_priority_is_done_before_the_next_begins",
        &[IgnoresPriorities, LowComesFirst],
    ),
    (
        "ordering::events_of_a_key_come_one_at_a_time_in_the_order_of_publishes",
        &[IgnoresOrder, OneLaneForAll],
    ),
    (
        "ordering::no_more_handlers_run_at_once_than_allowed",
        &[NoBound],
    ),
    (
        "ordering::as_many_handlers_run_at_once_as_allowed",
        &[OneAtATime],
    ),
    (
        "queues::a_publisher_does_not_wait_for_a_queue",
        &[AwaitsQueues, SaysQueuedIsHandled],
    ),
    (
        "queues::events_of_a_queue_come_one_at_a_time_in_order",
        &[SeveralAtATime],
    ),
    (
        "queues::a_full_queue_that_blocks_has_publishers_wait",
        &[TwiceTheSpace, BlockDrops],
    ),
    (
        "queues::a_full_queue_that_drops_tells_of_the_gap_in_its_place",
        &[
            GapsAreSilent,
            GapsAreOneShort,
            GapsBeginLate,
            GapsComeLate,
            DropIsBlock,
            TwiceTheSpace,
        ],
    ),
    (
        "queues::a_full_queue_that_spills_loses_nothing_and_doubles_nothing",
        &[SpillDrops, SpillDoubles],
    ),
    (
        "queues::a_queue_outlives_whatever_its_handler_does",
        &[QueueDiesOfAnError],
    ),
    (
        "queues::who_publishes_into_its_own_full_queue_is_refused",
        &[PublishesElsewhere, BlockDrops],
    ),
    (
        "reentrancy::a_handler_publishes_on_its_own_bus_in_its_own_place",
        &[WaitsForAPlaceWithin, RefusesNested, PublishesElsewhere],
    ),
    (
        "reentrancy::a_handler_subscribes_and_unsubscribes",
        &[ForgetsWhoSubscribesWithin, KeepsTheUnsubscribed],
    ),
    ("routing::a_typed_handler_gets_its_type", &[TypedGetsAll]),
    (
        "routing::a_handler_of_a_set_gets_every_type_of_it",
        &[SetIsItsFirstType],
    ),
    (
        "routing::a_name_comes_to_who_wants_it",
        &[NamesMeanAll, NamesMeanNothing],
    ),
    (
        "routing::names_of_a_pattern_come_to_who_wants_them",
        &[PatternsMeanAll, PatternsAreNames],
    ),
    (
        "routing::events_of_a_category_come_to_who_wants_it",
        &[CategoriesMeanAll, CategoriesAreIgnoredEvents],
    ),
    (
        "routing::all_events_come_to_who_wants_all",
        &[AllMeansOneCategory],
    ),
    (
        "routing::each_handler_of_an_event_is_called_once",
        &[
            DeliversTwice,
            OneHandlerForEachTopic,
            ForgetsTheLastInReports,
        ],
    ),
    (
        "routing::an_unsubscribed_handler_is_not_called",
        &[KeepsTheUnsubscribed],
    ),
    (
        "trying::a_failed_handler_is_tried_again_as_often_as_wanted",
        &[NeverRetries, RetriesOnceMore, SaysOneAttempt],
    ),
    (
        "trying::an_attempt_that_works_ends_the_retries",
        &[NeverRetries, RetriesWhatWorked],
    ),
    (
        "trying::a_breaker_leaves_a_failing_handler_alone",
        &[BreakerNeverOpens, BreakerOpensAtOnce],
    ),
];

#[test]
fn every_case_has_a_fault_to_notice() {
    let cases = cases::<Harness>();
    let cases: HashSet<_> = cases.iter().map(BusCase::name).collect();
    let listed: HashSet<_> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed.len(), TABLE.len(), "a case is listed once");
    assert_eq!(cases, listed);
    let sound = |faults: &[Fault]| !faults.is_empty() && !faults.contains(&Nothing);
    assert!(TABLE.iter().all(|(_, faults)| sound(faults)));
}

/// That every case passes with no fault is what the tests of the suite itself show.
#[test]
fn every_case_fails_on_a_bus_that_is_broken_in_its_way() {
    let jobs = TABLE
        .iter()
        .flat_map(|(case, faults)| faults.iter().map(|fault| (*case, *fault)));
    let (jobs, missed) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    // A function, so that the lock is let go before the case runs.
    let next = || lock(&jobs).next();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, fault)) = next() {
                    let ended = run(name, fault);
                    let noticed = match &ended {
                        Ok(()) => false,
                        Err(reason) => {
                            !reason.starts_with("was not done") || HANGING.contains(&fault)
                        }
                    };
                    if !noticed {
                        lock(&missed).push((name, fault, ended));
                    }
                }
            });
        }
    });
    let missed = lock(&missed);
    assert!(missed.is_empty(), "cases that notice nothing: {missed:#?}");
}

fn run(name: &str, fault: Fault) -> Result<(), String> {
    let case: BusCaseFn<Harness> = cases()
        .into_iter()
        .find_map(|case| (case.name() == name).then(|| case.function()))
        .unwrap();
    let patience = match HANGING.contains(&fault) {
        true => SHORT_PATIENCE,
        false => PATIENCE,
    };
    attempt(|| Harness { fault }, case, patience)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
