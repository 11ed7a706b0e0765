//! Snapshots: made by policy, and believed only without doubt.

use std::sync::Arc;

use uno_core::{
    Backend, Commit, EventId, Metadata, Payload, Snapshot, StreamId, Transactional, Version,
};
use uno_domain::{Aggregate, AggregateRoot};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::Runner;

use crate::support::{
    account::{Account, Moved, account},
    log,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

fn stream() -> StreamId {
    Account::stream_id(&"ada".to_owned()).unwrap()
}

async fn move_cents<B: Backend>(store: &Arc<B>, moves: usize) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let mut account = uow.load_or_new::<Account>(&"ada".to_owned()).await.unwrap();
    for _ in 0..moves {
        account.record(Moved { cents: 1 });
    }
    drop(account);
    runner.commit(uow).await.unwrap();
}

async fn snapshot_version<B: Backend>(store: &Arc<B>) -> u64 {
    let snapshot = store.load_snapshot(&stream()).await.unwrap();
    snapshot.map_or(0, |snapshot| snapshot.version().get())
}

/// The id of the event with this version.
async fn event_id<B: Backend>(store: &Arc<B>, version: u64) -> EventId {
    let events = log(&**store).await;
    let there = events.iter().find(|event| event.version().get() == version);
    there.unwrap().id()
}

async fn keep<B: Backend>(store: &Arc<B>, snapshot: Snapshot) {
    let mut commit = Commit::new();
    commit.snapshots.push(snapshot);
    store.commit(commit).await.unwrap();
}

/// A snapshot that says what is not so, which shows whether it was believed.
fn lie(version: u64, event: EventId) -> Snapshot {
    let state = Account {
        balance: 1000,
        ..Account::default()
    };
    let body = Payload::encode(&state).unwrap();
    Snapshot::new(
        stream(),
        Version::new(version).unwrap(),
        event,
        "account/1",
        body,
    )
}

pub(super) async fn a_snapshot_is_made_every_so_many_events<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // Every four events since the last one, whatever the number of events in a commit.
    let mut seen = Vec::new();
    for moves in [1, 2, 1, 3, 1, 1, 9, 3, 1] {
        move_cents(store, moves).await;
        seen.push(snapshot_version(store).await);
    }
    assert_eq!(seen, [0, 0, 4, 4, 8, 8, 18, 18, 22]);
    let snapshot = store.load_snapshot(&stream()).await.unwrap().unwrap();
    assert_eq!(snapshot.event_id(), event_id(store, 22).await);
    let root = AggregateRoot::<Account>::from_snapshot("ada".to_owned(), &snapshot).unwrap();
    assert_eq!(root.state().balance, 22);
}

pub(super) async fn a_snapshot_saves_folding<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    move_cents(store, 3).await;
    let third = event_id(store, 3).await;
    keep(store, lie(3, third)).await;
    assert_eq!(account(store, "ada").await.balance, 1000);
    // What comes after it is folded.
    move_cents(store, 2).await;
    assert_eq!(account(store, "ada").await.balance, 1002);
    // A page of exactly as many events as are read at once, and more.
    move_cents(store, 3).await;
    let last = 1 + 5 + 3;
    move_cents(store, 2500).await;
    assert!(snapshot_version(store).await > last);
    assert_eq!(account(store, "ada").await.balance, 3505);
}

pub(super) async fn a_doubtful_snapshot_is_not_believed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    move_cents(store, 3).await;
    let third = event_id(store, 3).await;
    let doubtful = |what: &str| {
        let sound = lie(3, third);
        let (version, event) = (sound.version(), sound.event_id());
        let (shape, sum) = (sound.shape().to_owned(), sound.checksum());
        let body = sound.body().clone();
        match what {
            "of another shape" => Snapshot::new(stream(), version, event, "account/0", body),
            "with another sum" => {
                Snapshot::from_stored(stream(), version, event, shape, sum ^ 1, body)
            }
            "not what is encoded" => {
                let body = Payload::from_stored(r#"{"owner":7}"#);
                Snapshot::new(stream(), version, event, shape, body)
            }
            "with another event" => lie(3, EventId::new()),
            "ahead of the stream" => lie(4, third),
            other => panic!("{other}"),
        }
    };
    // The one that is ahead comes last, since a store keeps the newest.
    let doubts = [
        "of another shape",
        "with another sum",
        "not what is encoded",
        "with another event",
        "ahead of the stream",
    ];
    for what in doubts {
        keep(store, doubtful(what)).await;
        assert_eq!(account(store, "ada").await.balance, 3, "{what}");
    }
}

pub(super) async fn after_a_doubtful_snapshot_a_new_one_is_made<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    move_cents(store, 3).await;
    keep(store, lie(3, EventId::new())).await;
    move_cents(store, 1).await;
    assert_eq!(snapshot_version(store).await, 4);
    assert_eq!(account(store, "ada").await.balance, 4);
}
