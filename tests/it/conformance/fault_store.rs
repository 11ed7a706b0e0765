//! The store that fails by plan: it does what the plan says, and without a plan it is the store within.

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::Instant};
use uno_core::{
    AppendError, BoxError, Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError,
    DocumentStore as _, DocumentWrite, EventName, EventStore as _, ExpectedVersion, Fence, Lane,
    LaneAttempt, LaneClaim, LaneRecord, LaneRelease, LeaseOwner, LeaseStore as _, NewEvent,
    ParkingRequest, ParkingStore as _, Payload, Position, ReadStream, SchemaVersion, Stale,
    StoreEpoch, StreamAppend, StreamId, SubscriptionName, Transactional as _, Work,
};
use uno_store_memory::{MemoryStore, MemoryTx};
use uno_testkit::{
    conformance::{BackendHarness, Harness, PersistentHarness, TIME_LIMIT, attempt, cases},
    faults::{Call, Fault, FaultStore, Faults},
};

use super::memory::MemoryHarness;

type Store = FaultStore<MemoryStore>;

struct Faultless;

const ROWS: MemoryHarness = MemoryHarness { gaps: None };

impl Harness for Faultless {
    type Store = Store;
    type Guard = Store;

    async fn open(&self) -> Result<(Arc<Store>, Store), BoxError> {
        let store = store(Faults::none());
        Ok((Arc::new(store.clone()), store))
    }
}

impl BackendHarness for Faultless {
    const ONE_WRITER: bool = false;

    fn put_row(&self, key: &str, value: &str) -> Work<MemoryTx> {
        ROWS.put_row(key, value)
    }

    fn copy_row(&self, from: &str, to: &str) -> Work<MemoryTx> {
        ROWS.copy_row(from, to)
    }

    async fn row(&self, store: &Store, _: &Store, key: &str) -> Result<Option<String>, BoxError> {
        ROWS.row(store.inner(), &(), key).await
    }
}

impl PersistentHarness for Faultless {
    async fn reopen(&self, store: &Store) -> Result<Arc<Store>, BoxError> {
        Ok(Arc::new(FaultStore::new(
            Arc::clone(store.inner()),
            Faults::none(),
        )))
    }
}

#[test]
fn without_a_plan_it_passes_every_case() {
    for case in cases::<Faultless>() {
        let ended = attempt(|| Faultless, case.function(), TIME_LIMIT);
        assert_eq!(ended, Ok(()), "{}", case.name());
    }
}

#[tokio::test]
async fn a_call_that_is_picked_fails_and_the_next_does_not() -> Result<(), BoxError> {
    let store = store(Faults::none().nth(Call::Append, 2, Fault::Unavailable).nth(
        Call::Head,
        1,
        Fault::Broken,
    ));
    store.append(noted()).await?;
    assert!(
        store
            .append(noted())
            .await
            .is_err_and(|error| error.is_transient())
    );
    store.append(noted()).await?;
    assert!(store.head().await.is_err_and(|error| !error.is_transient()));
    store.head().await?;
    assert_eq!(
        (
            stored(&store).await?,
            store.calls(Call::Append),
            store.calls(Call::Commit)
        ),
        (2, 3, 0)
    );
    store.set(Faults::none().from(Call::Append, 4, Fault::Unavailable));
    assert!(
        store.append(noted()).await.is_err(),
        "calls go on being counted"
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_outcome_may_be_stored_or_lost() -> Result<(), BoxError> {
    for (fault, count) in [(Fault::UnknownStored, 1), (Fault::UnknownLost, 0)] {
        let (store, append) = (
            store(
                Faults::none()
                    .nth(Call::Append, 1, fault)
                    .nth(Call::Commit, 1, fault),
            ),
            noted(),
        );
        assert!(matches!(
            store.append(append.clone()).await,
            Err(AppendError::Unknown(_))
        ));
        assert_eq!(stored(&store).await?, count, "{fault:?}");
        store.append(append).await?;
        assert_eq!(stored(&store).await?, 1, "and again, it is definite");

        let ended = store.commit(document()).await;
        assert!(matches!(
            ended,
            Err(CommitError::Append(AppendError::Unknown(_)))
        ));
        assert_eq!(
            store.scan_documents("notes", None, 9).await?.len(),
            count,
            "{fault:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_outcome_may_come_late() -> Result<(), BoxError> {
    let (store, append) = (
        store(Faults::none().nth(Call::Append, 1, Fault::UnknownLate)),
        noted(),
    );
    assert!(matches!(
        store.append(append.clone()).await,
        Err(AppendError::Unknown(_))
    ));
    assert_eq!(stored(&store).await?, 0, "who looks does not find it");
    assert_eq!(stored(&store).await?, 0, "however often");
    let receipt = store.append(append).await?;
    assert_eq!(
        (stored(&store).await?, receipt.streams()[0].last().get()),
        (1, 1),
        "and who appends it again finds it there"
    );
    Ok(())
}

#[tokio::test]
async fn a_conflict_says_what_is() -> Result<(), BoxError> {
    let store = store(Faults::none().nth(Call::Append, 2, Fault::Conflict).every(
        Call::Commit,
        1,
        Fault::Conflict,
    ));
    store.append(noted()).await?;
    match store.append(noted()).await {
        Err(AppendError::Conflict {
            expected, actual, ..
        }) => assert!(!expected.allows(actual) || expected == ExpectedVersion::Any),
        other => panic!("expected a conflict, and got {other:?}"),
    }
    let name = SubscriptionName::new("mail")?;
    let mut commit = Commit::new();
    commit.checkpoints.push(CheckpointWrite::new(
        name.clone(),
        None,
        Checkpoint::start(StoreEpoch::new()),
    ));
    let ended = store.commit(commit).await;
    assert!(
        matches!(&ended, Err(CommitError::Stale(Stale::Checkpoint(stale))) if *stale == name),
        "{ended:?}"
    );
    assert_eq!(
        (
            stored(&store).await?,
            store.load_checkpoint(&name, Lane::FIRST).await?
        ),
        (1, None)
    );
    Ok(())
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_was_made_or_not() -> Result<(), BoxError> {
    let held = |listed: &[LaneRecord]| listed.iter().any(|lane| lane.holder().is_some());
    for (fault, made, then) in [
        (Fault::Unavailable, false, false),
        (Fault::UnknownStored, true, true),
        (Fault::UnknownLost, false, false),
        (Fault::UnknownLate, false, true),
    ] {
        let store = store(Faults::none().nth(Call::ClaimLanes, 1, fault));
        let (name, owner) = (SubscriptionName::new("mail")?, LeaseOwner::new("ada"));
        let claim = LaneClaim::new(name.clone(), owner, Duration::from_secs(3600));
        let lost = store.claim_lanes(claim).await;
        assert!(lost.is_err_and(|error| error.is_transient()), "{fault:?}");
        let listed = store.list_lanes(&name).await?;
        assert_eq!(held(&listed), made, "{fault:?}");
        // The next write, whatever it is, comes after what is late.
        let other = LeaseOwner::new("bob");
        let release = LaneRelease::leaving(name.clone(), other);
        store.release_lanes(release).await?;
        let listed = store.list_lanes(&name).await?;
        assert_eq!(held(&listed), then, "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_call_of_a_subscription_fails_by_plan() -> Result<(), BoxError> {
    let calls = [
        Call::LoadCheckpoint,
        Call::SaveCheckpoint,
        Call::ListCheckpoints,
        Call::ClaimLanes,
        Call::ReleaseLanes,
        Call::NoteAttempt,
        Call::ResetLanes,
        Call::ListLanes,
        Call::ListParked,
        Call::ParkedKey,
        Call::ParkedEvents,
        Call::ParkedGroups,
        Call::CountParked,
        Call::Request,
        Call::RequestAll,
        Call::ListRequests,
    ];
    let (name, owner) = (SubscriptionName::new("mail")?, LeaseOwner::new("ada"));
    let claim = LaneClaim::new(name.clone(), owner.clone(), Duration::from_secs(3600));
    let place = Checkpoint::start(StoreEpoch::new());
    let (lane, fence, retry) = (Lane::FIRST, Fence::new(1), ParkingRequest::Retry);
    let attempt = LaneAttempt::new(name.clone(), lane, fence, Position::START, 1);
    let release = LaneRelease::leaving(name.clone(), owner);
    let write = CheckpointWrite::new(name.clone(), None, place).fenced(lane, fence);
    for call in calls {
        let store = store(Faults::none().from(call, 1, Fault::Unavailable));
        let failed = [
            store.claim_lanes(claim.clone()).await.is_err(),
            store.load_checkpoint(&name, lane).await.is_err(),
            store.list_checkpoints().await.is_err(),
            store.list_lanes(&name).await.is_err(),
            store.list_parked(&name, None, 9).await.is_err(),
            store.parked_key(&name, "a").await.is_err(),
            store
                .parked_events(&name, "a", Position::START, 9)
                .await
                .is_err(),
            store.parked_groups(&name).await.is_err(),
            store.count_parked(&name).await.is_err(),
            store.request(&name, "a", retry).await.is_err(),
            store.request_all(&name, "a", retry).await.is_err(),
            store.list_requests(&name, 9).await.is_err(),
            // These find the lane held, unless the claim was what failed.
            call != Call::ClaimLanes && store.save_checkpoint(write.clone()).await.is_err(),
            call != Call::ClaimLanes && store.note_attempt(attempt.clone()).await.is_err(),
            store.reset_lanes(&name, place).await.is_err(),
            store.release_lanes(release.clone()).await.is_err(),
        ];
        let failed = failed.into_iter().filter(|failed| *failed).count();
        assert_eq!(failed, 1, "{call:?}");
        assert_eq!(store.calls(call), 1, "{call:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_dies_never_hears_again() -> Result<(), BoxError> {
    for (fault, count) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let store = store(Faults::none().nth(Call::Commit, 1, fault));
        let process = tokio::spawn({
            let store = store.clone();
            async move { store.commit(document()).await }
        });
        store.crashed().await;
        let late = tokio::spawn({
            let store = store.clone();
            async move { store.head().await }
        });
        for _ in 0..20 {
            yield_now().await;
        }
        assert!(
            !process.is_finished() && !late.is_finished() && store.has_crashed(),
            "{fault:?}"
        );
        process.abort();
        late.abort();
        let again = FaultStore::new(Arc::clone(store.inner()), Faults::none());
        assert_eq!(
            again.scan_documents("notes", None, 9).await?.len(),
            count,
            "{fault:?}"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_late() -> Result<(), BoxError> {
    let store = store(Faults::none().nth(Call::Append, 1, Fault::Delay(Duration::from_secs(60))));
    let start = Instant::now();
    store.append(noted()).await?;
    assert!(start.elapsed() >= Duration::from_secs(60));
    Ok(())
}

#[tokio::test]
async fn a_call_may_panic() -> Result<(), BoxError> {
    let store = store(Faults::none().nth(Call::Commit, 1, Fault::Panic));
    let ended = tokio::spawn({
        let store = store.clone();
        async move { store.commit(document()).await }
    });
    assert!(ended.await.is_err_and(|error| error.is_panic()));
    store.commit(document()).await?;
    Ok(())
}

fn store(faults: Faults) -> Store {
    FaultStore::new(Arc::new(MemoryStore::new()), faults)
}

fn noted() -> Vec<StreamAppend> {
    let name = EventName::new("noted").expect("a name");
    let event = NewEvent::from_payload(name, SchemaVersion::FIRST, Payload::from_stored("{}"));
    vec![StreamAppend::new(
        notes(),
        ExpectedVersion::Any,
        vec![event],
    )]
}

fn notes() -> StreamId {
    StreamId::new("note", "a").expect("a stream")
}

fn document() -> Commit<MemoryTx> {
    let mut commit = Commit::new();
    commit
        .documents
        .push(DocumentWrite::put("notes", "a", Payload::from_stored("1")));
    commit
}

async fn stored(store: &Store) -> Result<usize, BoxError> {
    Ok(store
        .inner()
        .read_stream(ReadStream::forward(notes()))
        .await?
        .len())
}
