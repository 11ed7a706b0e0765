//! A projection that fails at one key: what the others see of it, and how it is mended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use uno_core::{Backend, Decoder, Envelope, SubscriptionName};
use uno_cqrs::{DocumentProjection, Documents, Generation, ReadModel, RebuildError};
use uno_events::{RetryPolicy, SubscriptionManager};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::tally::events;
use crate::support::{
    account::{AccountEvent, slip_in},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const SECOND: Generation = Generation::FIRST.next();

/// The cents of each account; it can't stand 13 of them until it is mended.
#[derive(Clone, Debug, Default)]
pub(super) struct Mendable(Arc<AtomicBool>);

impl Mendable {
    pub(super) fn mend(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn cents(&self, event: &AccountEvent) -> Result<i64, &'static str> {
        match event {
            AccountEvent::Opened(_) => Ok(0),
            AccountEvent::Moved(moved) if moved.cents == 13 && !self.0.load(Ordering::Relaxed) => {
                Err("an unlucky number")
            }
            AccountEvent::Moved(moved) => Ok(moved.cents),
        }
    }
}

impl DocumentProjection for Mendable {
    const NAME: &'static str = "mendable";
    type Event = AccountEvent;
    type Document = i64;

    fn keys(&self, event: &Envelope<AccountEvent>) -> Vec<String> {
        vec![event.stream().key().to_owned()]
    }

    fn apply(&self, _: &str, cents: Option<i64>, event: &Envelope<AccountEvent>) -> Option<i64> {
        // All that a document projection can do about it.
        let more = self.cents(event.event()).unwrap();
        Some(cents.unwrap_or(0) + more)
    }
}

pub(super) fn manager<B: Backend>(store: &Arc<B>) -> Arc<SubscriptionManager> {
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .build();
    Arc::new(manager)
}

/// What a bad key does to a read model, whatever it is kept in. `read` gives the cents of an account.
pub(super) async fn one_bad_key<B: Backend>(
    store: &Arc<B>,
    model: ReadModel<B>,
    manager: &SubscriptionManager,
    mend: impl FnOnce(),
    read: impl AsyncFn(&str) -> Option<i64>,
) {
    let quick = RetryPolicy::new()
        .retries(2)
        .base(Duration::from_micros(10));
    let model = model
        .rebuild_batch(10)
        .subscription(move |subscription| subscription.batch_size(20).retry(quick));
    events(&**store, 30).await;
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    let (before, other) = (read("a1").await.unwrap(), read("a2").await.unwrap());
    slip_in(&**store, "a1", 13).await;
    let bad = log(&**store).await.last().unwrap().position();
    slip_in(&**store, "a1", 5).await;
    slip_in(&**store, "a2", 7).await;
    in_time(manager.until_idle()).await.unwrap();

    // Its key is parked, with what comes behind it; the others go on.
    let name = SubscriptionName::new(model.name()).unwrap();
    let parked = store.list_parked(&name, None, 10).await.unwrap();
    let keys: Vec<(&str, u64)> = parked.iter().map(|key| (key.key(), key.events())).collect();
    assert_eq!(keys, [("account-a1", 2)]);
    assert_eq!(read("a1").await, Some(before));
    assert_eq!(read("a2").await, Some(other + 7));

    // Code that is not mended rebuilds up to there, and says where that is. Nobody reads it.
    let failed = in_time(model.rebuild()).await;
    assert!(
        matches!(&failed, Err(RebuildError::Failed { position, .. }) if *position == bad),
        "{failed:?}"
    );
    let behind = model.swap().await;
    assert!(
        matches!(
            behind,
            Err(RebuildError::NotCaughtUp {
                generation: SECOND,
                ..
            })
        ),
        "{behind:?}"
    );
    assert_eq!(read("a2").await, Some(other + 7));

    // Code that is mended goes on where that one stopped.
    mend();
    let switched = in_time(model.rebuild()).await.unwrap();
    assert_eq!(switched.to(), SECOND);
    assert_eq!(read("a1").await, Some(before + 18));
    assert_eq!(read("a2").await, Some(other + 7));
    // There is no way back to one that has not handled everything, until it has.
    let back = model.roll_back().await;
    assert!(
        matches!(
            back,
            Err(RebuildError::Parked {
                generation: Generation::FIRST,
                events: 2
            })
        ),
        "{back:?}"
    );
    assert!(manager.retry_parked(&name, "account-a1").await.unwrap());
    in_time(manager.until_idle()).await.unwrap();
    let back = in_time(model.roll_back()).await.unwrap();
    assert_eq!(back.to(), Generation::FIRST);
    assert_eq!(read("a1").await, Some(before + 18));
    manager.stop_all().await;
}

pub(super) async fn a_key_that_fails_is_parked_and_mended_by_a_rebuild<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (manager, projection) = (manager(store), Mendable::default());
    let model = ReadModel::documents(
        projection.clone(),
        Arc::clone(store) as _,
        Arc::clone(store),
        Arc::clone(&manager),
        Decoder::new(),
    );
    let documents = Documents::<Mendable>::new(Arc::clone(store) as _);
    let read = async |account: &str| documents.get(account).await.unwrap();
    one_bad_key(store, model.unwrap(), &manager, || projection.mend(), read).await;
}
