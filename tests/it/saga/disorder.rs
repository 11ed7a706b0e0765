//! Inputs before the start, after the end, twice, and in any order.

use std::sync::Arc;

use uno_core::{CommandId, Commit, CommitError, Metadata, ProcessStatus, Transactional as _};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::trip::{
    How, MENDED, Want, answer, feed, person, rejected, say, settle, tell, told, trips,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

pub(super) async fn what_comes_before_the_start_has_no_effect<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    say(&**store, "a", How::Continue, &[Want::Book(1)]).await;
    say(&**store, "a", How::Stop, &[Want::Book(1)]).await;
    feed(&saga, &**store).await.unwrap();
    settle(&saga, &**store, "a", 1, "book", Verdict::Succeeded).await;
    assert_eq!(told(store, "a").await, ["nothing", "0 parked"]);
    // It starts as if nothing had been.
    tell(&saga, &**store, "a", How::StartStrict, &[Want::Book(1)]).await;
    tell(&saga, &**store, "b", How::StartStrict, &[Want::Book(1)]).await;
    assert_eq!(told(store, "a").await, told(store, "b").await);
}

pub(super) async fn what_comes_before_the_start_in_one_batch_has_no_effect<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    say(&**store, "a", How::Continue, &[Want::Complete]).await;
    say(&**store, "a", How::Start, &[Want::Book(1)]).await;
    say(&**store, "a", How::Continue, &[Want::Book(2)]).await;
    feed(&saga, &**store).await.unwrap();
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Running, 2)
    );
    assert_eq!(a.state().seen, ["Start", "Continue"]);
}

pub(super) async fn what_comes_after_the_end_changes_nothing<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    let wants = [Want::Book(1), Want::After(0, "late".into()), Want::Complete];
    tell(&saga, &**store, "completed", How::Start, &wants).await;
    settle(&saga, &**store, "completed", 1, "book", Verdict::Succeeded).await;
    tell(&saga, &**store, "stopped", How::Start, &[]).await;
    tell(&saga, &**store, "stopped", How::Stop, &[]).await;
    tell(
        &saga,
        &**store,
        "compensated",
        How::Start,
        &[Want::Compensate],
    )
    .await;
    tell(&saga, &**store, "cancelled", How::Start, &[Want::Book(1)]).await;
    saga.cancel("cancelled", &person()).await.unwrap();
    for trip in ["completed", "stopped", "compensated", "cancelled"] {
        let before = saga.instance(trip).await.unwrap().unwrap();
        assert_eq!(
            before.status().as_str(),
            if trip == "stopped" { "completed" } else { trip }
        );
        // Also what would start one, and is no stricter than that.
        for how in [How::Continue, How::ContinueStrict, How::Start, How::Stop] {
            tell(&saga, &**store, trip, how, &[Want::Book(9), Want::Complete]).await;
        }
        settle(&saga, &**store, trip, 1, "book", rejected()).await;
        let after = saga.instance(trip).await.unwrap().unwrap();
        assert_eq!(
            (after.status(), after.state()),
            (before.status(), before.state()),
            "{trip}"
        );
        assert_eq!(after.in_flight(), [], "{trip}");
        assert_eq!(saga.parked_inputs(trip).await.unwrap(), [], "{trip}");
    }
    assert_eq!(saga.fire_timers().await.unwrap().count, 0);
    // Two books of the trips that booked, and none of what came late.
    let sent = uno_core::ProcessStore::queue_depth(&**store, "saga.trip.commands").await;
    assert_eq!(sent.unwrap().0, 2);
    // A second start where there must be none is an error also after the end.
    tell(&saga, &**store, "completed", How::StartStrict, &[]).await;
    let parked = saga.parked(None, 10).await.unwrap();
    assert_eq!(
        parked[0].reason.as_deref(),
        Some("instance completed has started already")
    );
    saga.discard_parked("completed", &person()).await.unwrap();
    let status = saga.instance("completed").await.unwrap().unwrap().status();
    assert_eq!(status, ProcessStatus::Completed);
}

pub(super) async fn an_answer_that_comes_twice_counts_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    tell(
        &saga,
        &**store,
        "a",
        How::Start,
        &[Want::Book(1), Want::Book(2)],
    )
    .await;
    answer(&**store, "a", 1, "book", Verdict::Succeeded).await;
    // While the first waits, the store refuses a second under its id.
    let id = CommandId::stable(["trip", "a", "1"]);
    let mut commit = Commit::new();
    let outcome = CommandOutcome::new(id, "book", rejected());
    let message = outcome.to_message("saga.trip.outcomes", "a", Metadata::new());
    commit.messages.push(message.unwrap());
    let error = store.commit(commit).await.unwrap_err();
    assert!(
        matches!(
            error,
            CommitError::Append(uno_core::AppendError::Refused(_))
        ),
        "{error:?}"
    );
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    // Later, the first counts, whatever the second says: what was done is still to be undone.
    settle(&saga, &**store, "a", 1, "book", rejected()).await;
    settle(&saga, &**store, "a", 1, "book", Verdict::Succeeded).await;
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!((a.in_flight().len(), a.to_undo().len()), (1, 2));
    assert_eq!(a.state().seen, ["Start", "book Succeeded"]);
    // The answer of a compensation twice as well.
    settle(&saga, &**store, "a", 2, "book", Verdict::Succeeded).await;
    tell(&saga, &**store, "a", How::Continue, &[Want::Compensate]).await;
    settle(&saga, &**store, "a", 3, "unbook", Verdict::Succeeded).await;
    settle(&saga, &**store, "a", 3, "unbook", rejected()).await;
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.to_undo().len()),
        (ProcessStatus::Compensating, 1)
    );
    settle(&saga, &**store, "a", 4, "unbook", Verdict::Succeeded).await;
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!((a.status(), a.stuck()), (ProcessStatus::Compensated, None));
}

/// Three answers in each of the six orders, with the decision to undo before, between and after them: what was rejected is not
/// undone, all else is, in reverse, and each once.
pub(super) async fn the_end_does_not_depend_on_the_order_of_the_answers<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    let verdict = |n: u32| match n {
        1 => Verdict::Succeeded,
        2 => rejected(),
        _ => Verdict::GaveUp("down".to_owned()),
    };
    for order in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ] {
        for decided in 0..=3 {
            let trip = format!("{order:?} {decided}");
            let wants = [Want::Book(1), Want::Book(2), Want::Book(3)];
            tell(&saga, &**store, &trip, How::Start, &wants).await;
            for (place, n) in order.into_iter().enumerate() {
                if place == decided {
                    tell(&saga, &**store, &trip, How::Continue, &[Want::Compensate]).await;
                }
                settle(&saga, &**store, &trip, n, "book", verdict(n)).await;
            }
            if decided == 3 {
                tell(&saga, &**store, &trip, How::Continue, &[Want::Compensate]).await;
            }
            for n in [4, 5] {
                settle(&saga, &**store, &trip, n, "unbook", Verdict::Succeeded).await;
            }
            let found = saga.instance(&trip).await.unwrap().unwrap();
            assert_eq!(found.status(), ProcessStatus::Compensated, "{trip}");
            assert_eq!(
                (found.in_flight(), found.to_undo().len()),
                (&[][..], 0),
                "{trip}"
            );
            let queue = "saga.trip.commands";
            let sent = uno_core::ProcessStore::read_queue_of(&**store, queue, &trip, 3, 100).await;
            let undone: Vec<_> = sent
                .unwrap()
                .iter()
                .filter(|queued| queued.message().name() == "unbook")
                .map(|queued| queued.message().payload().as_str().to_owned())
                .collect();
            assert_eq!(undone, [r#"{"n":3}"#, r#"{"n":1}"#], "{trip}");
        }
    }
}
