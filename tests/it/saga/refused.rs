//! Inputs that can't be taken: for instances that are missing, and with effects that the store refuses.

use std::{sync::Arc, time::Duration};

use uno_core::{
    Backend, Commit, EventStore as _, Payload, ProcessStatus, ProcessStore as _, Transactional as _,
};
use uno_cqrs::Verdict;
use uno_events::{ConsumeError, Replay, RetryPolicy, Subscription, SubscriptionManager};
use uno_saga::{HistoryEntry, Saga, SagaRunner};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::trip::{
    DISCARDS, How, MENDED, PARKS, RETRIES, Want, answer, feed, kinds, person, say, settle,
    subscription, tell, trips,
};
use crate::support::rest::in_time;

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Lets a subscription of the saga come to the end of the log.
async fn subscribe<S: Saga, B: Backend>(store: &Arc<B>, saga: &SagaRunner<S, B>) {
    let quick = RetryPolicy::new()
        .retries(2)
        .base(Duration::from_micros(10));
    let consumer = Arc::new(saga.clone());
    let manager = SubscriptionManager::new(store.clone(), store.clone());
    manager
        .subscribe(Subscription::new(subscription(), Replay::Safe, consumer).retry(quick))
        .unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

async fn parked<S: Saga, B: Backend>(saga: &SagaRunner<S, B>, trip: &str) -> usize {
    saga.parked_inputs(trip).await.unwrap().len()
}

pub(super) async fn an_event_for_a_missing_instance_is_left_out_where_that_is_declared<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<DISCARDS, _>(store);
    say(&**store, "nobody", How::ContinueStrict, &[Want::Book(1)]).await;
    say(&**store, "a", How::StartStrict, &[Want::Book(1)]).await;
    say(&**store, "nobody", How::ContinueStrict, &[Want::Book(2)]).await;
    feed(&saga, &**store).await.unwrap();
    assert_eq!((saga.status().discarded, saga.status().parked), (2, 0));
    assert!(saga.instance("nobody").await.unwrap().is_none());
    assert_eq!(saga.list(&[], None, 10).await.unwrap().len(), 1);
    assert_eq!(store.queue_depth("saga.trip.commands").await.unwrap().0, 1);
    // It was left out for good: what starts the instance later starts it anew.
    tell(&saga, &**store, "nobody", How::StartStrict, &[]).await;
    let nobody = saga.instance("nobody").await.unwrap().unwrap();
    assert_eq!(
        (nobody.status(), &*nobody.state().seen),
        (ProcessStatus::Running, &["StartStrict".to_owned()][..])
    );
}

pub(super) async fn an_event_for_a_missing_instance_is_tried_again_and_then_parked<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<RETRIES, _>(store);
    say(&**store, "a", How::StartStrict, &[Want::Book(1)]).await;
    say(&**store, "late", How::ContinueStrict, &[]).await;
    say(&**store, "b", How::StartStrict, &[Want::Book(1)]).await;
    // Not the last attempt: the batch fails at its place, and nothing of it is done.
    let error = feed(&saga, &**store).await.unwrap_err();
    let late = crate::support::log(&**store).await[1].position();
    assert!(
        matches!(&error, ConsumeError::Handler { position, .. } if *position == late),
        "{error:?}"
    );
    assert!(saga.list(&[], None, 10).await.unwrap().is_empty());
    // The subscription tries it by its policy; at the last attempt it is parked, by itself, and the rest goes on.
    subscribe(store, &saga).await;
    for trip in ["a", "b"] {
        assert_eq!(
            kinds(&saga, trip).await,
            ["event", "status", "decided", "sent"],
            "{trip}"
        );
    }
    assert_eq!((parked(&saga, "late").await, saga.status().parked), (1, 1));
    let told = saga.parked(None, 10).await.unwrap();
    assert_eq!(told[0].reason.as_deref(), Some("there is no instance late"));
}

/// While it is tried again, another process starts the instance: then it is handled.
pub(super) async fn an_event_that_is_tried_again_finds_the_instance_that_came_meanwhile<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<RETRIES, _>(store);
    say(&**store, "a", How::ContinueStrict, &[Want::Book(1)]).await;
    assert!(feed(&saga, &**store).await.is_err());
    let body = r#"{"state":{"seen":[]},"sent":0,"in_flight":[],"undo":[]}"#;
    let mut commit = Commit::new();
    let body = Payload::from_json(body).unwrap();
    let write = uno_core::ProcessWrite::new("trip", "a", 0, ProcessStatus::Running, body);
    commit.processes.push(write);
    store.commit(commit).await.unwrap();
    feed(&saga, &**store).await.unwrap();
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (&*a.state().seen, a.in_flight().len()),
        (&["ContinueStrict".to_owned()][..], 1)
    );
}

pub(super) async fn an_event_with_refused_effects_is_parked_by_itself<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<PARKS, _>(store);
    say(&**store, "a", How::Start, &[Want::Book(1)]).await;
    say(&**store, "a", How::Continue, &[Want::Post("mail".into())]).await;
    say(&**store, "a", How::Continue, &[Want::Post(String::new())]).await;
    say(&**store, "b", How::Start, &[Want::Book(1)]).await;
    say(&**store, "a", How::Continue, &[Want::Post("mail".into())]).await;
    subscribe(store, &saga).await;
    // What came before is in effect, and others go on.
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.state().seen.len()),
        (ProcessStatus::Parked, 2)
    );
    assert!(saga.instance("b").await.unwrap().is_some());
    assert_eq!(parked(&saga, "a").await, 2);
    let told = saga.parked(None, 10).await.unwrap();
    let reason = told[0].reason.as_deref().unwrap();
    assert!(
        reason.starts_with("a step of instance a can't be committed: "),
        "{reason}"
    );
    // A retry does not help, and says so; without it, what is behind it takes effect.
    let again = saga.retry_parked("a", &person()).await.unwrap();
    assert_eq!(
        (again.handled, again.parked_again.as_deref()),
        (0, Some(reason))
    );
    saga.skip_parked("a", &person()).await.unwrap();
    let again = saga.retry_parked("a", &person()).await.unwrap();
    assert_eq!((again.handled, again.parked_again), (1, None));
    assert_eq!(store.queue_depth("mail").await.unwrap().0, 2);
}

/// Of several inputs that are handled at once, those before the one that is refused take effect.
pub(super) async fn only_from_the_input_at_fault_on_an_instance_is_parked<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    for trip in ["a", "b"] {
        let wants = [Want::Book(1), Want::Book(2), Want::Book(3)];
        tell(&saga, &**store, trip, How::Start, &wants).await;
    }
    for (n, verdict) in [
        (1, Verdict::Succeeded),
        (2, refused()),
        (3, Verdict::Succeeded),
    ] {
        answer(&**store, "a", n, "book", verdict).await;
        answer(&**store, "b", n, "book", Verdict::Succeeded).await;
    }
    assert_eq!(saga.handle_outcomes().await.unwrap(), 6);
    let (a, b) = (
        saga.instance("a").await.unwrap().unwrap(),
        saga.instance("b").await.unwrap().unwrap(),
    );
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Parked, 2)
    );
    assert_eq!(
        (b.status(), b.in_flight().len()),
        (ProcessStatus::Running, 0)
    );
    assert_eq!((parked(&saga, "a").await, saga.status().parked), (2, 2));
    assert_eq!(store.queue_depth("saga.trip.outcomes").await.unwrap().0, 0);

    // The same with timers.
    let wants = ["one", "to:", "two"].map(|what| Want::After(0, what.to_owned()));
    tell(&saga, &**store, "c", How::Start, &wants).await;
    let due = saga.timeouts("c").await.unwrap();
    let at_fault = due
        .iter()
        .position(|timer| timer.payload().as_str() == r#""to:""#);
    assert_eq!(saga.fire_timers().await.unwrap().count, 3);
    assert_eq!(
        Some(store.queue_depth("mail").await.unwrap().0 as usize),
        at_fault
    );
    assert_eq!(
        Some(parked(&saga, "c").await),
        at_fault.map(|place| 3 - place)
    );
    assert_eq!(saga.timeouts("c").await.unwrap(), []);
}

/// The same in a retry: what stands before the refused one in the queue of what is parked takes effect.
pub(super) async fn a_retry_goes_as_far_as_the_input_at_fault<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (old, saga) = (trips::<PARKS, _>(store), trips::<MENDED, _>(store));
    tell(
        &old,
        &**store,
        "a",
        How::Start,
        &[Want::Book(1), Want::Book(2), Want::Book(3)],
    )
    .await;
    tell(&old, &**store, "a", How::Continue, &[Want::Panic]).await;
    settle(&old, &**store, "a", 1, "book", Verdict::Succeeded).await;
    settle(&old, &**store, "a", 2, "book", refused()).await;
    settle(&old, &**store, "a", 3, "book", Verdict::Succeeded).await;
    let retried = saga.retry_parked("a", &person()).await.unwrap();
    let reason = retried.parked_again.unwrap();
    assert_eq!(retried.handled, 2);
    assert!(
        reason.starts_with("a step of instance a can't be committed"),
        "{reason}"
    );
    assert_eq!(saga.parked(None, 10).await.unwrap()[0].reason, Some(reason));
    saga.skip_parked("a", &person()).await.unwrap();
    let retried = saga.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Running, 0)
    );
    assert_eq!(
        a.state().seen,
        ["Start", "Continue", "book Succeeded", "book Succeeded"]
    );
    // Told once for each retry, with what came of it.
    let retries = saga.history("a", 0, 1000).await.unwrap();
    let verbs = retries
        .iter()
        .filter(|item| matches!(item.entry(), HistoryEntry::Verb { .. }));
    assert_eq!(verbs.count(), 3);
}

/// What is refused and can't be parked, for want of room, keeps its instance waiting, and no other.
pub(super) async fn what_is_refused_without_room_keeps_no_other_waiting<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store).with_parked_limit(0);
    for trip in ["a", "b"] {
        tell(&saga, &**store, trip, How::Start, &[Want::Book(1)]).await;
    }
    answer(&**store, "a", 1, "book", refused()).await;
    answer(&**store, "b", 1, "book", Verdict::Succeeded).await;
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    let failing = saga.status().failing.unwrap();
    assert!(
        failing.starts_with("instance a can't be parked"),
        "{failing}"
    );
    assert_eq!(saga.instance("b").await.unwrap().unwrap().in_flight(), []);
    assert_eq!(store.queue_depth("saga.trip.outcomes").await.unwrap().0, 1);
}

/// An answer, or an event, that is parked already and comes once more is not parked twice, and holds up nothing.
pub(super) async fn what_is_parked_and_comes_again_is_parked_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (old, saga) = (trips::<PARKS, _>(store), trips::<MENDED, _>(store));
    tell(&old, &**store, "a", How::Start, &[Want::Book(1)]).await;
    tell(&old, &**store, "a", How::Continue, &[Want::Panic]).await;
    settle(&old, &**store, "a", 1, "book", Verdict::Succeeded).await;
    settle(&old, &**store, "a", 1, "book", Verdict::Succeeded).await;
    assert_eq!((parked(&saga, "a").await, old.status().failing), (2, None));
    // The log once more, from where it was parked on.
    let event = crate::support::log(&**store).await[1].clone();
    let epoch = store.head().await.unwrap().epoch();
    let to = uno_core::Checkpoint::after(epoch, event.position(), event.id());
    let name = uno_core::SubscriptionName::new("again").unwrap();
    let write = uno_core::CheckpointWrite::new(name, None, to);
    let batch = uno_events::Batch::new(vec![event], write);
    uno_events::Consumer::consume(&old, batch).await.unwrap();
    assert_eq!(parked(&saga, "a").await, 2);
    let retried = saga.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (2, None));
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(a.state().seen, ["Start", "Continue", "book Succeeded"]);
}

/// A verdict that has the saga want something that the store refuses.
fn refused() -> Verdict {
    Verdict::Rejected("post to nowhere".to_owned())
}
