//! Projections into documents.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Checkpoint, CheckpointStore, CheckpointWrite, Commit, Decoder, DocumentStore,
    DocumentWrite, Envelope, Lane, Payload, Position, SubscriptionName,
};
use uno_cqrs::{DocumentProjection, DocumentProjector, Documents, ReadDocumentError};
use uno_events::{Batch, ConsumeError, Consumer, StopReason};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::CommandError;

use super::crashes::project;
use crate::support::{
    account::{AccountEvent, slip_in},
    faulty::Faulty,
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Of each account, and of all of them.
#[derive(Debug)]
pub(super) struct Balances;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Balance {
    pub(super) events: u32,
    pub(super) cents: i64,
    /// One cent in as many parts as there are cents: not finite when there are none.
    share: f64,
}

impl DocumentProjection for Balances {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Document = Balance;

    fn keys(&self, event: &Envelope<AccountEvent>) -> Vec<String> {
        let own = event.stream().key().to_owned();
        if own == "in one only" {
            return vec![own];
        }
        vec![own.clone(), "all".to_owned(), own]
    }

    fn apply(
        &self,
        key: &str,
        document: Option<Balance>,
        event: &Envelope<AccountEvent>,
    ) -> Option<Balance> {
        let cents = match event.event() {
            AccountEvent::Opened(_) => 0,
            AccountEvent::Moved(moved) => moved.cents,
        };
        assert_ne!(cents, 13, "as asked");
        let before = document.map_or((0, 0), |balance| (balance.events, balance.cents));
        let cents = before.1 + cents;
        // An account that is emptied is forgotten; the sum of all is not.
        (cents != 0 || key == "all" || key == "not a number").then(|| Balance {
            events: before.0 + 1,
            cents,
            share: if key == "not a number" {
                1.0 / cents as f64
            } else {
                1.0
            },
        })
    }
}

fn projector<B: Backend>(store: &Arc<B>) -> DocumentProjector<Balances, B> {
    DocumentProjector::new(Balances, Arc::clone(store), Decoder::new()).unwrap()
}

/// Everything in the log as one batch.
pub(super) async fn batch<B: Backend>(store: &B, expected: Option<Position>) -> Batch {
    let events = log(store).await;
    let last = events.last().unwrap();
    let epoch = store.head().await.unwrap().epoch();
    let to = Checkpoint::after(epoch, last.position(), last.id());
    Batch::new(events, CheckpointWrite::new(name(), expected, to))
}

pub(super) fn name() -> SubscriptionName {
    SubscriptionName::new("balances").unwrap()
}

async fn positions<B: Backend>(store: &B) -> Vec<Position> {
    log(store)
        .await
        .iter()
        .map(|event| event.position())
        .collect()
}

pub(super) async fn documents_follow_the_log<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    let manager = project(store, "one").await;
    let balance = |events, cents| Balance {
        events,
        cents,
        share: 1.0,
    };
    for (account, cents, expected) in [
        ("ada", 5, Some(balance(1, 5))),
        ("ada", 2, Some(balance(2, 7))),
        ("ada", -7, None),
        ("ada", 1, Some(balance(1, 1))),
    ] {
        slip_in(&**store, account, cents).await;
        in_time(manager.until_idle()).await.unwrap();
        assert_eq!(documents.get(account).await.unwrap(), expected);
    }
    assert_eq!(documents.get("all").await.unwrap(), Some(balance(4, 1)));
    manager.stop_all().await;
}

pub(super) async fn a_document_that_can_not_be_read_stops_at_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    put(&**store, "grace", r#""not a balance""#).await;
    for account in ["ada", "ada", "grace", "ada"] {
        slip_in(&**store, account, 1).await;
    }
    let positions = positions(&**store).await;
    let error = projector(store)
        .consume(batch(&**store, None).await)
        .await
        .unwrap_err();
    let names_it =
        matches!(&error, ConsumeError::Handler { position, .. } if *position == positions[2]);
    assert!(names_it, "{error:?}");
    // Nothing of the batch is kept.
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    assert_eq!(documents.get("ada").await.unwrap(), None);
    assert_eq!(
        store.load_checkpoint(&name(), Lane::FIRST).await.unwrap(),
        None
    );

    // In a subscription, what comes before it is handled, and it goes on once the document can be read.
    let manager = project(store, "one").await;
    assert!(in_time(manager.until_idle()).await.is_err());
    let status = manager.status_of(&name()).await.unwrap();
    let why = status.state().failure().unwrap().clone();
    assert!(
        matches!(why, StopReason::Failed { position, .. } if position == positions[2]),
        "{why:?}"
    );
    assert_eq!(documents.get("ada").await.unwrap().unwrap().events, 2);
    put(&**store, "grace", r#"{"events":1,"cents":1,"share":1.0}"#).await;
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    assert_eq!(documents.get("grace").await.unwrap().unwrap().events, 2);
    assert_eq!(documents.get("ada").await.unwrap().unwrap().events, 3);
}

async fn put<B: Backend>(store: &B, key: &str, body: &str) {
    let mut commit = Commit::new();
    let body = Payload::from_json(body).unwrap();
    commit
        .documents
        .push(DocumentWrite::put("balances", key, body));
    store.commit(commit).await.unwrap();
}

pub(super) async fn a_document_that_can_not_be_stored_names_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for (account, cents) in [
        ("ada", 1),
        ("not a number", 1),
        ("not a number", -1),
        ("ada", 1),
    ] {
        slip_in(&**store, account, cents).await;
    }
    let positions = positions(&**store).await;
    let error = projector(store)
        .consume(batch(&**store, None).await)
        .await
        .unwrap_err();
    let ConsumeError::Handler { position, source } = error else {
        panic!("{error:?}");
    };
    assert_eq!(position, positions[2]);
    assert!(source.to_string().starts_with("payload.share"), "{source}");
    assert_eq!(
        store.scan_documents("balances", None, 10).await.unwrap(),
        []
    );
}

pub(super) async fn a_panic_stops_at_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for cents in [1, 2, 13, 3] {
        slip_in(&**store, "ada", cents).await;
    }
    let positions = positions(&**store).await;
    let manager = project(store, "one").await;
    assert!(in_time(manager.until_idle()).await.is_err());
    let status = manager.status_of(&name()).await.unwrap();
    let why = status.state().failure().unwrap().clone();
    assert!(
        matches!(why, StopReason::Failed { position, .. } if position == positions[2]),
        "{why:?}"
    );
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    assert_eq!(documents.get("ada").await.unwrap().unwrap().cents, 3);
    manager.stop_all().await;
}

pub(super) async fn a_key_named_twice_counts_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // Balances names the account's own key twice. And what was never there is not removed.
    for (account, cents) in [("ada", 1), ("grace", 0)] {
        slip_in(&**store, account, cents).await;
    }
    projector(store)
        .consume(batch(&**store, None).await)
        .await
        .unwrap();
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    assert_eq!(documents.get("ada").await.unwrap().unwrap().events, 1);
    assert_eq!(documents.get("grace").await.unwrap(), None);
    // The same batch again is not taken: the checkpoint has moved.
    let again = projector(store).consume(batch(&**store, None).await).await;
    assert!(matches!(again, Err(ConsumeError::Stale(_))), "{again:?}");
    assert_eq!(documents.get("ada").await.unwrap().unwrap().events, 1);
}

pub(super) async fn documents_are_read_back_typed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for key in ["c", "a", "b"] {
        put(&**store, key, r#"{"events":1,"cents":1,"share":1.0}"#).await;
    }
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    let keys = |found: Vec<(String, Balance)>| -> Vec<String> {
        found.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(documents.scan(None, 2).await.unwrap()), ["a", "b"]);
    assert_eq!(
        keys(documents.scan(Some("a"), 9).await.unwrap()),
        ["b", "c"]
    );
    assert_eq!(documents.get("d").await.unwrap(), None);
    put(&**store, "b", "7").await;
    let error = documents.get("b").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "document b of projection balances is malformed"
    );
    assert!(matches!(&error, ReadDocumentError::Malformed { .. }));
    assert!(CommandError::from(error).store_error().is_none());
    assert!(documents.scan(None, 9).await.is_err());

    // In a handler, a store that is away is seen to be the reason.
    let faulty = Faulty::sound(store);
    faulty.fail_reads(1);
    let error = Documents::<Balances>::new(faulty as _)
        .get("a")
        .await
        .unwrap_err();
    assert!(CommandError::from(error).store_error().is_some());
}
