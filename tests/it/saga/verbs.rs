//! What persons do with instances: whole or not at all wherever a process dies, once however often it is asked for, and with an
//! error of its own where it can't be done.

use std::sync::Arc;

use uno_core::{Backend, ProcessStatus};
use uno_cqrs::Verdict;
use uno_saga::{SagaRunner, VerbError};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::trip::{
    Book, Booking, How, MENDED, PARKS, Trip, Unbook, Want, person, rejected, settle, tell, told,
    trips,
};
use crate::support::faulty::{Fault, Faulty};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    RetryParked,
    SkipParked,
    DiscardParked,
    CancelParked,
    Retry,
    Resume,
    EditAndRetry,
    CancelStuck,
    CancelRunning,
}

impl Deed {
    const ALL: [Self; 9] = [
        Self::RetryParked,
        Self::SkipParked,
        Self::DiscardParked,
        Self::CancelParked,
        Self::Retry,
        Self::Resume,
        Self::EditAndRetry,
        Self::CancelStuck,
        Self::CancelRunning,
    ];

    /// Makes an instance that it can be done to.
    async fn prepare<B: Backend>(self, store: &Arc<B>, trip: &str) {
        let saga = trips::<PARKS, B>(store);
        let say = async |how, wants: &[Want]| tell(&saga, &**store, trip, how, wants).await;
        match self {
            Self::RetryParked | Self::SkipParked | Self::DiscardParked | Self::CancelParked => {
                say(
                    How::Start,
                    &[Want::Book(1), Want::After(90_000, "late".into())],
                )
                .await;
                say(How::Continue, &[Want::Panic, Want::Book(2)]).await;
                say(How::Continue, &[Want::Book(3), Want::Cancel("late".into())]).await;
                settle(&saga, &**store, trip, 1, "book", Verdict::Succeeded).await;
            }
            Self::Retry | Self::Resume | Self::EditAndRetry | Self::CancelStuck => {
                stick(&saga, store, trip).await;
            }
            Self::CancelRunning => {
                say(
                    How::Start,
                    &[Want::Book(1), Want::After(90_000, "late".into())],
                )
                .await;
            }
        }
    }

    async fn perform<B: Backend>(
        self,
        saga: &SagaRunner<Trip<MENDED>, B>,
        trip: &str,
    ) -> Result<(), VerbError> {
        let why = person();
        match self {
            Self::RetryParked => saga.retry_parked(trip, &why).await.map(drop),
            Self::SkipParked => saga.skip_parked(trip, &why).await,
            Self::DiscardParked => saga.discard_parked(trip, &why).await,
            Self::Retry => saga.retry(trip, &why).await,
            Self::Resume => saga.resume(trip, &why).await,
            Self::EditAndRetry => saga.edit_and_retry(trip, Unbook { n: 22 }, &why).await,
            Self::CancelParked | Self::CancelStuck | Self::CancelRunning => {
                saga.cancel(trip, &why).await
            }
        }
    }
}

/// An instance with two things to be undone, the undoing of the second of which has failed.
async fn stick<B: Backend>(saga: &SagaRunner<Trip<PARKS>, B>, store: &Arc<B>, trip: &str) {
    tell(
        saga,
        &**store,
        trip,
        How::Start,
        &[Want::Book(1), Want::Book(2)],
    )
    .await;
    for n in [1, 2] {
        settle(saga, &**store, trip, n, "book", Verdict::Succeeded).await;
    }
    tell(saga, &**store, trip, How::Continue, &[Want::Compensate]).await;
    settle(saga, &**store, trip, 3, "unbook", rejected()).await;
}

/// A person asks until it is done, as one does who gets an error or no answer: with a look at how the instance stands, when
/// the same would be done a second time otherwise.
async fn insist<B: Backend>(store: &Arc<Faulty<B>>, deed: Deed, trip: &str, before: u64) -> bool {
    let saga = trips::<MENDED, Faulty<B>>(store);
    for _ in 0..4 {
        let result = tokio::select! {
            biased;
            () = store.died() => return false,
            result = deed.perform(&saga, trip) => result,
        };
        match result {
            Ok(())
            | Err(
                VerbError::NotParked { .. } | VerbError::NotStuck { .. } | VerbError::Ended { .. },
            ) => return true,
            Err(VerbError::Raced(_) | VerbError::Saga(_)) => {}
            Err(other) => panic!("{deed:?}: {other}"),
        }
        // To leave out one input is not the same as to leave out two.
        store.catch_up().await;
        if deed == Deed::SkipParked && revision(store, trip).await > before {
            return true;
        }
    }
    panic!("{deed:?} is never done");
}

async fn revision<B: Backend>(store: &Arc<B>, trip: &str) -> u64 {
    let found = store.load_processes("trip", &[trip.to_owned()]).await;
    found.unwrap()[0].revision()
}

/// Does it to an instance under a fault; afterwards, in a process of its own, it is made sure that it is done. How many commits that took.
async fn once<B: Backend>(
    store: &Arc<B>,
    deed: Deed,
    trip: &str,
    faulty: &Arc<Faulty<B>>,
) -> usize {
    deed.prepare(store, trip).await;
    let before = revision(store, trip).await;
    if !insist(faulty, deed, trip, before).await {
        faulty.catch_up().await;
        if deed != Deed::SkipParked || revision(store, trip).await == before {
            insist(&Faulty::sound(store), deed, trip, before).await;
        }
    }
    faulty.commits()
}

pub(super) async fn what_a_person_does_is_done_once_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for deed in Deed::ALL {
        let sound = format!("{deed:?}");
        once(store, deed, &sound, &Faulty::sound(store)).await;
        let expected = told(store, &sound).await;
        for fault in Fault::ALL {
            let mut number = 1;
            loop {
                let trip = format!("{deed:?} {fault:?} {number}");
                let faulty = Faulty::at(store, number, fault);
                let commits = once(store, deed, &trip, &faulty).await;
                assert_eq!(told(store, &trip).await, expected, "{trip}");
                if commits < number {
                    break;
                }
                number += 1;
            }
            assert!(number > 1, "{deed:?} commits nothing");
        }
    }
}

pub(super) async fn what_a_person_does_is_what_it_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    use ProcessStatus::{Cancelled, Compensating, Parked, Running};
    let saga = trips::<MENDED, _>(store);
    // How it stands, what it awaits, what it has sent, and how many are to be undone, pending and parked.
    for (deed, status, awaits, sent, counts) in [
        (
            Deed::RetryParked,
            Running,
            "book book",
            "book 1, book 2, book 3",
            (3, 0, 0),
        ),
        // The outcome waits behind: it is still awaited.
        (Deed::SkipParked, Parked, "book", "book 1", (1, 1, 2)),
        // Left out, it is settled all the same.
        (Deed::DiscardParked, Running, "", "book 1", (1, 1, 0)),
        (Deed::CancelParked, Cancelled, "", "book 1", (1, 0, 0)),
        (
            Deed::Retry,
            Compensating,
            "unbook",
            "book 1, book 2, unbook 2, unbook 2",
            (2, 0, 0),
        ),
        (
            Deed::Resume,
            Compensating,
            "unbook",
            "book 1, book 2, unbook 2, unbook 1",
            (1, 0, 0),
        ),
        (
            Deed::EditAndRetry,
            Compensating,
            "unbook",
            "book 1, book 2, unbook 2, unbook 22",
            (2, 0, 0),
        ),
        (
            Deed::CancelStuck,
            Cancelled,
            "",
            "book 1, book 2, unbook 2",
            (2, 0, 0),
        ),
        // What is under way goes on.
        (Deed::CancelRunning, Cancelled, "book", "book 1", (1, 0, 0)),
    ] {
        let trip = format!("{deed:?}");
        deed.prepare(store, &trip).await;
        deed.perform(&saga, &trip).await.unwrap();
        let instance = saga.instance(&trip).await.unwrap().unwrap();
        let in_flight: Vec<_> = instance
            .in_flight()
            .iter()
            .map(|sent| sent.command())
            .collect();
        let timers = saga.timeouts(&trip).await.unwrap().len();
        let parked = saga.parked_inputs(&trip).await.unwrap().len();
        assert_eq!(
            (instance.status(), &*in_flight.join(" ")),
            (status, awaits),
            "{deed:?}"
        );
        assert_eq!(commands(&**store, &trip).await, sent, "{deed:?}");
        assert_eq!(
            (instance.to_undo().len(), timers, parked),
            counts,
            "{deed:?}"
        );
        assert_eq!(instance.stuck(), None, "{deed:?}");
    }
}

/// The commands that a trip has sent.
async fn commands<B: Backend>(store: &B, trip: &str) -> String {
    let sent = store
        .read_queue_of("saga.trip.commands", trip, 0, 100)
        .await
        .unwrap();
    let sent = sent.iter().map(|queued| {
        let body: Book = serde_json::from_str(queued.message().payload().as_str()).unwrap();
        format!("{} {}", queued.message().name(), body.n)
    });
    sent.collect::<Vec<_>>().join(", ")
}

/// Two persons, in two processes, at once: one does it, and the other is told.
pub(super) async fn of_two_persons_at_once_one_is_told_of_the_other<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for deed in Deed::ALL {
        // To leave out an input after the other has left out the one before is no race.
        if deed == Deed::SkipParked {
            continue;
        }
        let alone = format!("{deed:?} alone");
        once(store, deed, &alone, &Faulty::sound(store)).await;
        let expected = told(store, &alone).await;
        for round in 0..4 {
            let trip = format!("{deed:?} {round}");
            deed.prepare(store, &trip).await;
            let (one, other) = (trips::<MENDED, _>(store), trips::<MENDED, _>(store));
            let (one, other) = tokio::join!(deed.perform(&one, &trip), deed.perform(&other, &trip));
            let lost = match (one, other) {
                (Ok(()), Err(lost)) | (Err(lost), Ok(())) => lost,
                both => panic!("{deed:?}: {both:?}"),
            };
            assert!(
                matches!(
                    lost,
                    VerbError::Raced(_)
                        | VerbError::NotParked { .. }
                        | VerbError::NotStuck { .. }
                        | VerbError::Ended { .. }
                ),
                "{deed:?}: {lost:?}"
            );
            assert_eq!(told(store, &trip).await, expected, "{trip}");
        }
    }
}

/// Somebody else comes between a person's look and his commit: that is told as such, and nothing is done.
pub(super) async fn a_verb_that_is_too_late_is_raced<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for deed in Deed::ALL {
        let trip = format!("{deed:?}");
        deed.prepare(store, &trip).await;
        let before = told(store, &trip).await;
        let faulty = Faulty::at(store, 1, Fault::Conflict);
        let saga = trips::<MENDED, _>(&faulty);
        let error = deed.perform(&saga, &trip).await.unwrap_err();
        assert!(
            matches!(&error, VerbError::Raced(key) if *key == trip),
            "{error:?}"
        );
        assert_eq!(told(store, &trip).await, before, "{deed:?}");
    }
}

pub(super) async fn what_does_not_fit_is_a_typed_error<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let saga = trips::<MENDED, _>(store);
    for deed in Deed::ALL {
        let error = deed.perform(&saga, "nobody").await.unwrap_err();
        assert!(
            matches!(&error, VerbError::NoInstance(key) if key == "nobody"),
            "{error:?}"
        );
    }
    Deed::CancelRunning.prepare(store, "running").await;
    Deed::RetryParked.prepare(store, "parked").await;
    Deed::Retry.prepare(store, "stuck").await;
    tell(&saga, &**store, "ended", How::Start, &[Want::Complete]).await;
    let mut before = Vec::new();
    for trip in ["running", "parked", "stuck", "ended"] {
        before.push(told(store, trip).await);
    }
    for (trip, status) in [
        ("running", ProcessStatus::Running),
        ("parked", ProcessStatus::Parked),
        ("ended", ProcessStatus::Completed),
    ] {
        for deed in [Deed::Retry, Deed::Resume, Deed::EditAndRetry] {
            let error = deed.perform(&saga, trip).await.unwrap_err();
            assert!(
                matches!(&error, VerbError::NotStuck { key, status: found } if key == trip && *found == status),
                "{deed:?} of {trip}: {error:?}"
            );
        }
    }
    for (trip, status) in [
        ("running", ProcessStatus::Running),
        ("stuck", ProcessStatus::Stuck),
        ("ended", ProcessStatus::Completed),
    ] {
        for deed in [Deed::RetryParked, Deed::SkipParked, Deed::DiscardParked] {
            let error = deed.perform(&saga, trip).await.unwrap_err();
            assert!(
                matches!(&error, VerbError::NotParked { key, status: found } if key == trip && *found == status),
                "{deed:?} of {trip}: {error:?}"
            );
        }
    }
    let error = saga.cancel("ended", &person()).await.unwrap_err();
    assert!(
        matches!(&error, VerbError::Ended { key, status } if key == "ended" && *status == ProcessStatus::Completed),
        "{error:?}"
    );
    let other = Booking::from(Book { n: 2 });
    let error = saga
        .edit_and_retry("stuck", other, &person())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, VerbError::OtherCommand { failed, .. } if failed == "unbook"),
        "{error:?}"
    );
    // Nothing has changed.
    for (trip, before) in ["running", "parked", "stuck", "ended"].iter().zip(before) {
        assert_eq!(told(store, trip).await, before, "{trip}");
    }
}
