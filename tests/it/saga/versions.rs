//! A definition that changes under running instances.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, BoxError, Decoder, Envelope, ProcessStatus};
use uno_cqrs::Verdict;
use uno_saga::{Input, Outputs, Route, Saga, SagaError, SagaRunner, TransitionError};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::trip::{Book, Booking, How, Said, Unbook, Want, answer, person, settle, tell};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Versions of one definition: each calls what it remembers by another name.
macro_rules! version {
    ($name:ident, $version:literal, from $oldest:literal, $field:ident) => {
        #[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
        struct $name {
            $field: Vec<String>,
        }

        impl Saga for $name {
            const NAME: &'static str = "trip";
            const VERSION: u32 = $version;
            const OLDEST: u32 = $oldest;
            type Event = Said;
            type Command = Booking;
            type Timeout = String;

            fn route(event: &Envelope<Said>) -> Route {
                let trip = event.event().trip.clone();
                match event.event().how {
                    How::Start => Route::Start(trip),
                    // The third version has another idea of what such an event concerns.
                    How::Stop if $version == 3 => Route::Stop(format!("{trip}, too")),
                    _ => Route::ContinueStrict(trip),
                }
            }

            fn react(&mut self, input: Input<'_, Said, String>) -> Outputs<Booking, String> {
                match input {
                    Input::Event(event) => {
                        self.$field.push(format!("event in {}", $version));
                        let said = event.event();
                        assert!($version > 1 || !said.wants.contains(&Want::Panic), "as asked");
                        let wants = said.wants.iter();
                        wants.fold(Outputs::none(), |outputs, want| match want {
                            Want::Book(n) => outputs.and_send(Book { n: *n }).undo(Unbook { n: *n }),
                            Want::After(_, what) => {
                                outputs.and_after(std::time::Duration::ZERO, what.clone())
                            }
                            Want::Compensate => outputs.and_compensate(),
                            _ => outputs,
                        })
                    }
                    Input::Outcome(_) => {
                        self.$field.push(format!("outcome in {}", $version));
                        Outputs::none()
                    }
                    _ => {
                        self.$field.push(format!("timeout in {}", $version));
                        Outputs::none()
                    }
                }
            }

            fn upgrade(from: u32, state: serde_json::Value) -> Result<serde_json::Value, BoxError> {
                let name = ["", "one", "two"][from as usize];
                let next = ["", "two", "three"][from as usize];
                let seen = state.get(name).ok_or_else(|| format!("no field {name}"))?;
                if seen.as_array().is_some_and(|seen| seen.len() > 9) {
                    return Err("too much was seen".into());
                }
                Ok(serde_json::json!({ next: seen }))
            }
        }
    };
}

version!(First, 1, from 1, one);
version!(Second, 2, from 1, two);
version!(Third, 3, from 2, three);

fn runner<S: Saga, B: Backend>(store: &Arc<B>) -> SagaRunner<S, B> {
    SagaRunner::new(Arc::clone(store), Decoder::new()).unwrap()
}

/// The status of an instance in the store, and its body.
async fn stored<B: Backend>(store: &B, trip: &str) -> (ProcessStatus, String) {
    let found = store
        .load_processes("trip", &[trip.to_owned()])
        .await
        .unwrap();
    (found[0].status(), found[0].body().as_str().to_owned())
}

async fn reason<S: Saga, B: Backend>(saga: &SagaRunner<S, B>) -> String {
    saga.parked(None, 10)
        .await
        .unwrap()
        .remove(0)
        .reason
        .unwrap()
}

pub(super) async fn what_is_under_way_goes_on_under_a_new_version<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (first, second) = (runner::<First, _>(store), runner::<Second, _>(store));
    let wants = [Want::Book(1), Want::Book(2), Want::After(0, "soon".into())];
    tell(&first, &**store, "a", How::Start, &wants).await;
    settle(&first, &**store, "a", 1, "book", Verdict::Succeeded).await;
    // Its commands, timeouts and compensations are the same ones.
    settle(&second, &**store, "a", 2, "book", Verdict::Succeeded).await;
    assert_eq!(second.fire_timers().await.unwrap().count, 1);
    tell(&second, &**store, "a", How::Continue, &[Want::Compensate]).await;
    for n in [3, 4] {
        settle(&second, &**store, "a", n, "unbook", Verdict::Succeeded).await;
    }
    let a = second.instance("a").await.unwrap().unwrap();
    assert_eq!(a.status(), ProcessStatus::Compensated);
    assert_eq!(
        a.state().two,
        [
            "event in 1",
            "outcome in 1",
            "outcome in 2",
            "timeout in 2",
            "event in 2"
        ]
    );
    assert!(stored(&**store, "a").await.1.contains(r#""version":2"#));
}

pub(super) async fn a_version_that_is_too_new_or_too_old_parks_and_waits_for_one_that_fits<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (first, second, third) = (
        runner::<First, _>(store),
        runner::<Second, _>(store),
        runner::<Third, _>(store),
    );
    tell(&first, &**store, "a", How::Start, &[Want::Book(1)]).await;
    let body = stored(&**store, "a").await.1;
    // Too old for the third.
    tell(&third, &**store, "a", How::Continue, &[Want::Book(2)]).await;
    assert_eq!(
        stored(&**store, "a").await,
        (ProcessStatus::Parked, body.clone())
    );
    let why = "instance a was saved by version 1 of the saga, and the oldest that this program can go on with is 2";
    assert_eq!(reason(&third).await, why);
    let error = third.instance("a").await.unwrap_err();
    assert!(
        matches!(
            &error,
            SagaError::Transition(TransitionError::OlderVersion {
                found: 1,
                oldest: 2,
                ..
            })
        ),
        "{error:?}"
    );
    let retried = third.retry_parked("a", &person()).await.unwrap();
    assert_eq!(
        (retried.handled, retried.parked_again.as_deref()),
        (0, Some(why))
    );
    assert_eq!(stored(&**store, "a").await, (ProcessStatus::Parked, body));
    // By way of the second.
    let retried = second.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    settle(&third, &**store, "a", 1, "book", Verdict::Succeeded).await;
    let a = third.instance("a").await.unwrap().unwrap();
    assert_eq!(
        a.state().three,
        ["event in 1", "event in 2", "outcome in 3"]
    );
    // Too new for the second and the first, which park what comes, in order.
    let body = stored(&**store, "a").await.1;
    settle(&second, &**store, "a", 2, "book", Verdict::Succeeded).await;
    tell(&first, &**store, "a", How::Continue, &[]).await;
    assert_eq!(stored(&**store, "a").await, (ProcessStatus::Parked, body));
    let why =
        "instance a was saved by version 3 of the saga, and this program knows only version 2";
    assert_eq!(reason(&first).await, why);
    let retried = third.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (2, None));
    let a = third.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Running, 0)
    );
    assert_eq!(a.state().three[3..], ["outcome in 3", "event in 3"]);
}

/// What is left out under a new version is saved in its shape, and not brought up a second time.
pub(super) async fn what_persons_do_under_a_new_version_saves_it_whole<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (first, second) = (runner::<First, _>(store), runner::<Second, _>(store));
    for trip in ["discarded", "skipped", "cancelled"] {
        tell(&first, &**store, trip, How::Start, &[Want::Book(1)]).await;
        // An answer that nobody can read, which leaves the engine nothing to settle.
        let mut commit = uno_core::Commit::new();
        let payload = uno_core::Payload::from_json("{}").unwrap();
        let id = *uno_core::CommandId::new().as_uuid();
        let metadata = uno_core::Metadata::new();
        let queue = "saga.trip.outcomes";
        let message =
            uno_core::NewMessage::new(queue, id, trip, "command_outcome", payload, metadata);
        commit.messages.push(message);
        uno_core::Transactional::commit(&**store, commit)
            .await
            .unwrap();
        assert_eq!(first.handle_outcomes().await.unwrap(), 1);
    }
    second.discard_parked("discarded", &person()).await.unwrap();
    second.skip_parked("skipped", &person()).await.unwrap();
    second.cancel("cancelled", &person()).await.unwrap();
    for trip in ["discarded", "skipped", "cancelled"] {
        assert!(
            stored(&**store, trip).await.1.contains(r#""version":2"#),
            "{trip}"
        );
        tell(&second, &**store, trip, How::Continue, &[]).await;
        settle(&second, &**store, trip, 1, "book", Verdict::Succeeded).await;
        let found = second.instance(trip).await.unwrap().unwrap();
        let (status, seen): (_, &[&str]) = match trip {
            "cancelled" => (ProcessStatus::Cancelled, &["event in 1"]),
            _ => (
                ProcessStatus::Running,
                &["event in 1", "event in 2", "outcome in 2"],
            ),
        };
        assert_eq!(found.status(), status, "{trip}");
        assert_eq!(found.state().two, seen, "{trip}");
    }
}

pub(super) async fn what_parked_under_an_old_version_is_handled_by_a_mended_one<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (first, second, third) = (
        runner::<First, _>(store),
        runner::<Second, _>(store),
        runner::<Third, _>(store),
    );
    tell(&first, &**store, "a", How::Start, &[Want::Book(1)]).await;
    tell(&first, &**store, "a", How::Continue, &[Want::Panic]).await;
    tell(&first, &**store, "a", How::Stop, &[]).await;
    assert_eq!(reason(&first).await, "the saga panicked in instance a");
    let retried = second.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (2, None));
    // An event that waits for an instance, and is of another one by the time it is handled, stays.
    answer(&**store, "a", 1, "book", Verdict::Succeeded).await;
    assert_eq!(third.handle_outcomes().await.unwrap(), 1);
    assert_eq!(third.instance("a").await.unwrap().unwrap().in_flight(), []);
    // The second does not know what the third has saved: it parks what comes.
    tell(&second, &**store, "a", How::Stop, &[]).await;
    let retried = third.retry_parked("a", &person()).await.unwrap();
    let why = "an event that was parked for instance a is not routed to it any more";
    assert_eq!(
        (retried.handled, retried.parked_again.as_deref()),
        (0, Some(why))
    );
    third.skip_parked("a", &person()).await.unwrap();
    let a = third.instance("a").await.unwrap().unwrap();
    assert_eq!(a.status(), ProcessStatus::Running);
}

pub(super) async fn an_upgrade_that_fails_parks_the_instance_as_it_is<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (first, second) = (runner::<First, _>(store), runner::<Second, _>(store));
    tell(&first, &**store, "a", How::Start, &[]).await;
    for _ in 0..9 {
        tell(&first, &**store, "a", How::Continue, &[]).await;
    }
    let body = stored(&**store, "a").await.1;
    tell(&second, &**store, "a", How::Continue, &[]).await;
    assert_eq!(stored(&**store, "a").await, (ProcessStatus::Parked, body));
    assert_eq!(
        reason(&second).await,
        "instance a can't be read: too much was seen"
    );
    // Back to the old version: nothing is lost.
    let retried = first.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    assert_eq!(
        first
            .instance("a")
            .await
            .unwrap()
            .unwrap()
            .state()
            .one
            .len(),
        11
    );
}
