//! What a projection needs to know beside the events is asked for once for each batch.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use uno_core::{Backend, BoxError, Decoder, DocumentWrite, Envelope, Payload};
use uno_cqrs::{
    DocumentProjection, DocumentProjector, Documents, LiveDocuments, Projection, Projector,
    ReadModel,
};
use uno_events::{Consumer, SubscriptionManager};
use uno_store_memory::{MemoryStore, MemoryTx};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::documents::batch;
use crate::support::{
    account::{AccountEvent, slip_in},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Cents by the name of the account's owner, who stands elsewhere.
#[derive(Debug)]
struct ByOwner<B> {
    store: Arc<B>,
    owners: BTreeMap<String, String>,
    questions: Arc<AtomicUsize>,
}

impl<B> Clone for ByOwner<B> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            owners: self.owners.clone(),
            questions: Arc::clone(&self.questions),
        }
    }
}

impl<B: Backend> ByOwner<B> {
    fn new(store: &Arc<B>) -> Self {
        Self {
            store: Arc::clone(store),
            owners: BTreeMap::new(),
            questions: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.questions.swap(0, Ordering::Relaxed)
    }

    async fn load(&self, events: &[Envelope<AccountEvent>]) -> Result<Self, BoxError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let accounts = events.iter().map(|event| event.stream().key().to_owned());
        let accounts: Vec<String> = accounts.collect();
        let found = self.store.load_documents("owners", &accounts).await?;
        let owner = |found: &uno_core::Document| {
            let owner = serde_json::from_str(found.body().as_str());
            Ok::<_, serde_json::Error>((found.key().to_owned(), owner?))
        };
        let owners = found.iter().map(owner).collect::<Result<_, _>>()?;
        Ok(Self {
            owners,
            ..self.clone()
        })
    }

    fn owner(&self, event: &Envelope<AccountEvent>) -> String {
        let account = event.stream().key();
        let owner = self.owners.get(account).map(String::as_str);
        owner.unwrap_or("nobody").to_owned()
    }
}

fn cents(event: &Envelope<AccountEvent>) -> i64 {
    match event.event() {
        AccountEvent::Opened(_) => 0,
        AccountEvent::Moved(moved) => moved.cents,
    }
}

impl<B: Backend> DocumentProjection for ByOwner<B> {
    const NAME: &'static str = "by_owner";
    type Event = AccountEvent;
    type Document = i64;

    async fn enrich(&self, events: &[Envelope<AccountEvent>]) -> Result<Option<Self>, BoxError> {
        Ok(Some(self.load(events).await?))
    }

    fn keys(&self, event: &Envelope<AccountEvent>) -> Vec<String> {
        vec![self.owner(event)]
    }

    fn apply(&self, _: &str, sum: Option<i64>, event: &Envelope<AccountEvent>) -> Option<i64> {
        Some(sum.unwrap_or_default() + cents(event))
    }
}

impl Projection<MemoryStore> for ByOwner<MemoryStore> {
    const NAME: &'static str = "rows_by_owner";
    type Event = AccountEvent;

    async fn enrich(&self, events: &[Envelope<AccountEvent>]) -> Result<Option<Self>, BoxError> {
        Ok(Some(self.load(events).await?))
    }

    async fn project(
        &self,
        event: &Envelope<AccountEvent>,
        tx: &mut MemoryTx,
    ) -> Result<(), BoxError> {
        let owner = self.owner(event);
        let sum: i64 = tx.row("sums", &owner).map_or(Ok(0), |sum| sum.parse())?;
        tx.put_row("sums", owner, (sum + cents(event)).to_string());
        Ok(())
    }
}

/// Accounts a0 to a8 of three owners, and movements of them.
async fn owned<B: Backend>(store: &B, movements: usize) -> BTreeMap<String, i64> {
    let mut commit = uno_core::Commit::new();
    for account in 0..9 {
        let owner = Payload::encode(&format!("owner {}", account % 3)).unwrap();
        let put = DocumentWrite::put("owners", format!("a{account}"), owner);
        commit.documents.push(put);
    }
    store.commit(commit).await.unwrap();
    let mut sums = BTreeMap::new();
    for turn in 0..movements {
        slip_in(store, &format!("a{}", turn % 9), turn as i64).await;
        *sums.entry(format!("owner {}", turn % 9 % 3)).or_default() += turn as i64;
    }
    sums
}

async fn sums<B: Backend>(store: &Arc<B>) -> BTreeMap<String, i64> {
    let documents = Documents::<ByOwner<B>>::new(Arc::clone(store) as _);
    let found = documents.scan(None, 100).await.unwrap();
    found.into_iter().collect()
}

pub(super) async fn a_batch_is_one_question_whatever_its_size<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let expected = owned(&**store, 90).await;
    let projection = ByOwner::new(store);
    let projector =
        DocumentProjector::new(projection.clone(), Arc::clone(store), Decoder::new()).unwrap();
    let all = batch(&**store, None).await;
    assert_eq!(all.events().len(), 90);
    projector.consume(all).await.unwrap();
    assert_eq!(projection.asked(), 1);
    assert_eq!(sums(store).await, expected);
    // Nothing is asked for a batch of nothing.
    let none = batch(
        &**store,
        Some(log(&**store).await.last().unwrap().position()),
    )
    .await;
    let none = uno_events::Batch::new(Vec::new(), none.checkpoint().clone());
    projector.consume(none).await.unwrap();
    assert_eq!(projection.asked(), 0);

    // Live, once for each page.
    let live = LiveDocuments::new(projection.clone(), Arc::clone(store) as _, Decoder::new());
    assert_eq!(live.unwrap().all().await.unwrap(), expected);
    assert_eq!(projection.asked(), 1);

    // A rebuild asks once for each of its batches.
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _);
    let (manager, log) = (Arc::new(manager.build()), Arc::clone(store) as _);
    let (rows, feeder) = (Arc::clone(store), Arc::clone(&manager));
    let model = ReadModel::documents(projection.clone(), log, rows, feeder, Decoder::new());
    let model = model.unwrap().rebuild_batch(40);
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    projection.asked();
    let generation = model.begin().await.unwrap();
    in_time(model.build(generation)).await.unwrap();
    assert_eq!(projection.asked(), 3, "of 40, 40 and 10 events");
    in_time(model.swap()).await.unwrap();
    assert_eq!(sums(store).await, expected);
    manager.stop_all().await;
}

#[tokio::test]
async fn rows_are_enriched_before_the_transaction() {
    let store = Arc::new(MemoryStore::new());
    owned(&*store, 90).await;
    let projection = ByOwner::new(&store);
    let projector = Projector::new(projection.clone(), Arc::clone(&store), Decoder::new());
    let all = batch(&*store, None).await;
    projector.unwrap().consume(all).await.unwrap();
    assert_eq!(projection.asked(), 1);
    let mut commit = uno_core::Commit::new();
    let (send, receive) = tokio::sync::oneshot::channel();
    commit.work.push(Box::new(move |tx: &mut MemoryTx| {
        Box::pin(async move {
            let _ = send.send(tx.rows("sums").len());
            Ok(())
        })
    }));
    uno_core::Transactional::commit(&*store, commit)
        .await
        .unwrap();
    assert_eq!(receive.await.unwrap(), 3);
}
