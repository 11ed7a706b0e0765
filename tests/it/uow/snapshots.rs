//! Snapshots: made by policy, and believed only without doubt.

use std::sync::Arc;

use uno_core::{
    Backend, Commit, EventId, Metadata, Payload, Snapshot, StreamId, Transactional, Version,
};
use uno_domain::{Aggregate, AggregateRoot, Snapshots};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::Runner;

use serde::{Deserialize, Serialize};

use crate::support::{
    account::{Account, AccountEvent, Moved, account, slip_in},
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

/// The same account under policies of its own.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Watched<const POLICY: u8> {
    balance: i64,
}

const IN_BACKGROUND: u8 = 0;
const IN_DEBT: u8 = 1;

impl<const POLICY: u8> Aggregate for Watched<POLICY> {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Moved(moved) = event {
            self.balance += moved.cents;
        }
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(match POLICY {
            IN_BACKGROUND => Snapshots::every(2).in_background(),
            _ => Snapshots::when(|account: &Self| account.balance < 0).at_least(2),
        })
    }
}

/// One movement, in a unit of work that is not committed yet.
async fn moved<const POLICY: u8, B: Backend>(
    runner: &Runner<B>,
    cents: i64,
) -> uno_uow::UnitOfWork<B> {
    let mut uow = runner.begin(Metadata::new());
    let id = "ada".to_owned();
    let mut account = uow.load_or_new::<Watched<POLICY>>(&id).await.unwrap();
    account.record(Moved { cents });
    drop(account);
    uow
}

pub(super) async fn what_becomes_of_snapshots_is_counted<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    move_cents(store, 5).await;
    let runner = Runner::new(Arc::clone(store));
    let load = async || {
        let mut uow = runner.begin(Metadata::new());
        let account = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
        assert_eq!(account.state().balance, 5);
        let counts = runner.clone().snapshot_counts();
        (counts.used, counts.rejected)
    };
    assert_eq!(load().await, (1, 0));
    assert_eq!(load().await, (2, 0));
    keep(store, lie(5, EventId::new())).await;
    assert_eq!(load().await, (2, 1));
}

pub(super) async fn a_snapshot_in_the_background_comes_after_its_events<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut seen = Vec::new();
    for cents in [1, 2, 4, 8] {
        let uow = moved::<IN_BACKGROUND, _>(&runner, cents).await;
        runner.commit(uow).await.unwrap();
        runner.snapshots_settled().await;
        seen.push(snapshot_version(store).await);
    }
    assert_eq!(seen, [0, 2, 2, 4]);
    let counts = runner.snapshot_counts();
    assert_eq!((counts.stored, counts.skipped, counts.rejected), (2, 0, 0));
    let snapshot = store.load_snapshot(&stream()).await.unwrap().unwrap();
    assert_eq!(snapshot.event_id(), event_id(store, 4).await);
    let root = AggregateRoot::<Watched<IN_BACKGROUND>>::from_snapshot("ada".to_owned(), &snapshot);
    assert_eq!(root.unwrap().state().balance, 15);
}

/// Neither in the commit nor in the background is a snapshot stored of events that are not.
pub(super) async fn a_commit_that_fails_leaves_no_snapshot<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 1).await;
    let runner = Runner::new(Arc::clone(store));
    let later = moved::<IN_BACKGROUND, _>(&runner, 2).await;
    let within = moved::<IN_DEBT, _>(&runner, -7).await;
    slip_in(&**store, "ada", 4).await;
    assert!(runner.commit(later).await.unwrap_err().is_conflict());
    assert!(runner.commit(within).await.unwrap_err().is_conflict());
    runner.snapshots_settled().await;
    assert_eq!(snapshot_version(store).await, 0);
    assert_eq!(runner.snapshot_counts().stored, 0);
}

pub(super) async fn a_snapshot_may_be_due_for_what_the_state_is_like<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut seen = Vec::new();
    for cents in [-1, 2, 3, -9, -1, -1, 20] {
        let uow = moved::<IN_DEBT, _>(&runner, cents).await;
        runner.commit(uow).await.unwrap();
        seen.push(snapshot_version(store).await);
    }
    assert_eq!(seen, [0, 0, 0, 4, 4, 6, 6]);
}
