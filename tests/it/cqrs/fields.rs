//! Documents that are found by their fields.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Decoder, Document, DocumentStore, Envelope, EventStoreExt as _, ExpectedVersion,
    FindDocuments, FoundDocument, StoreError, StreamId, SubscriptionName,
};
use uno_cqrs::{
    AnyField, DocumentProjection, DocumentProjector, Documents, Field, FieldsChanged, Found,
    Generation, Page, PageEnd, ReadDocumentError, ReadModel,
};
use uno_events::{ConsumeError, Consumer as _, Replay, Subscription, SubscriptionManager};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::documents::batch;
use crate::support::{
    account::{AccountEvent, Opened, slip_in},
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// The purse of each account: version 1 is found by its cents alone, version 2 by its owner too, and version 0 by nothing.
#[derive(Debug)]
struct Purses<const VERSION: u32>;

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct Purse {
    owner: String,
    cents: i64,
}

const BY_CENTS: Field<Purse, i64> = Field::new("cents", |purse| Some(purse.cents));
const BY_OWNER: Field<Purse, (String, i64)> = Field::new("owner", |purse| {
    (!purse.owner.is_empty()).then(|| (purse.owner.clone(), purse.cents))
});
/// Of the name of another one, and of another type.
const BY_DEBT: Field<Purse, bool> = Field::new("cents", |purse| Some(purse.cents < 0));

impl<const VERSION: u32> DocumentProjection for Purses<VERSION> {
    const NAME: &'static str = "purses";
    // Code that was given fields and no other version, too.
    const VERSION: u32 = if VERSION == 0 { 1 } else { VERSION };
    const FIELDS: &'static [&'static dyn AnyField<Purse>] = match VERSION {
        0 => &[],
        1 => &[&BY_CENTS],
        _ => &[&BY_CENTS, &BY_OWNER],
    };
    type Event = AccountEvent;
    type Document = Purse;

    fn keys(&self, event: &Envelope<AccountEvent>) -> Vec<String> {
        vec![event.stream().key().to_owned()]
    }

    fn apply(
        &self,
        _: &str,
        purse: Option<Purse>,
        event: &Envelope<AccountEvent>,
    ) -> Option<Purse> {
        let mut purse = purse.unwrap_or_default();
        match event.event() {
            AccountEvent::Opened(opened) => purse.owner.clone_from(&opened.owner),
            AccountEvent::Moved(moved) => purse.cents += moved.cents,
        }
        Some(purse)
    }
}

fn projector<const V: u32, B: Backend>(store: &Arc<B>) -> DocumentProjector<Purses<V>, B> {
    DocumentProjector::new(Purses::<V>, Arc::clone(store), Decoder::new()).unwrap()
}

async fn running<const V: u32, B: Backend>(store: &Arc<B>) -> SubscriptionManager {
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .build();
    let name = SubscriptionName::new("purses").unwrap();
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(projector::<V, _>(store)));
    manager.subscribe(subscription.batch_size(3)).unwrap();
    manager.start_all().await.unwrap();
    manager
}

async fn open<B: Backend>(store: &B, account: &str, owner: &str) {
    let stream = StreamId::new("account", account.to_owned()).unwrap();
    let opened = [Opened {
        owner: owner.to_owned(),
    }];
    let appended = store.append_events(stream, ExpectedVersion::Any, &opened);
    appended.await.unwrap();
}

fn keys(found: &Found<Purse>) -> Vec<&str> {
    let documents = found.documents().iter();
    documents.map(|(key, _)| key.as_str()).collect()
}

fn is_not_indexed(result: &Result<Found<Purse>, ReadDocumentError>) -> bool {
    matches!(
        result,
        Err(ReadDocumentError::NotIndexed {
            projection: "purses",
            ..
        })
    )
}

pub(super) async fn documents_are_found_by_what_is_in_them<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let documents = Documents::<Purses<2>>::new(Arc::clone(store) as _);
    let none = documents.find(BY_CENTS.all(), Page::of(10)).await.unwrap();
    assert_eq!((none.documents(), none.end()), (&[][..], None));

    let manager = running::<2, _>(store).await;
    for (account, owner, cents) in [
        ("a", "ada", 30),
        ("b", "bob", 20),
        ("c", "ada", 10),
        ("d", "ad", 40),
        ("e", "", 50),
    ] {
        if !owner.is_empty() {
            open(&**store, account, owner).await;
        }
        slip_in(&**store, account, cents).await;
    }
    in_time(manager.until_idle()).await.unwrap();
    for (finding, wanted) in [
        (BY_CENTS.all(), &["c", "b", "a", "d", "e"][..]),
        (BY_CENTS.is(&20), &["b"]),
        (BY_CENTS.within(20..40), &["b", "a"]),
        (BY_CENTS.within(..=20), &["c", "b"]),
        (BY_OWNER.all(), &["d", "c", "a", "b"]),
        (BY_OWNER.starting("ada"), &["c", "a"]),
        (BY_OWNER.is(&("ada".to_owned(), 30)), &["a"]),
        (BY_OWNER.starting("a"), &[]),
    ] {
        let found = documents.find(finding.clone(), Page::of(10)).await.unwrap();
        assert_eq!(keys(&found), wanted, "{finding:?}");
        let backward = Page::of(10).backward();
        let mut found = documents
            .find(finding, backward)
            .await
            .unwrap()
            .into_documents();
        found.reverse();
        assert!(found.iter().map(|(key, _)| key).eq(wanted));
    }
    // Another value, and another place.
    slip_in(&**store, "c", 25).await;
    in_time(manager.until_idle()).await.unwrap();
    let found = documents
        .find(BY_OWNER.starting("ada"), Page::of(10))
        .await
        .unwrap();
    assert_eq!(keys(&found), ["a", "c"]);
    assert_eq!(found.documents()[1].1.cents, 35);

    // Page for page; where one ends survives being a text in the hands of a client.
    let (mut all, mut page) = (Vec::new(), Page::of(2));
    loop {
        let found = documents.find(BY_CENTS.all(), page).await.unwrap();
        let Some(end) = found.end() else { break };
        let told: PageEnd = end.to_string().parse().unwrap();
        assert_eq!(told, *end);
        page = Page::of(2).after(told);
        all.extend(keys(&found).into_iter().map(str::to_owned));
    }
    assert_eq!(all, ["b", "a", "c", "d", "e"]);
    for text in ["", "00", "0.a", "xx.a", "é0.a"] {
        assert!(text.parse::<PageEnd>().is_err(), "{text}");
    }
    manager.stop_all().await;
}

pub(super) async fn what_is_not_indexed_is_an_error_and_never_half_an_answer<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // A field that the projection does not list, or not as it is.
    let documents = Documents::<Purses<1>>::new(Arc::clone(store) as _);
    for result in [
        documents.find(BY_OWNER.all(), Page::of(10)).await,
        documents.find(BY_DEBT.all(), Page::of(10)).await,
    ] {
        assert!(is_not_indexed(&result), "{result:?}");
    }
    // Documents that were written by code without the field, of the same version.
    slip_in(&**store, "a", 1).await;
    let all = batch(&**store, None).await;
    projector::<0, _>(store).consume(all.clone()).await.unwrap();
    let result = documents.find(BY_CENTS.all(), Page::of(10)).await;
    assert!(is_not_indexed(&result), "{result:?}");
    // And that code does not write beside them.
    let stopped = projector::<1, _>(store).consume(all).await;
    let Err(ConsumeError::Stop { source, .. }) = stopped else {
        panic!("{stopped:?}");
    };
    let changed: &FieldsChanged = source.downcast_ref().unwrap();
    assert_eq!(changed.collection(), "purses");
    let stays = store.load_documents("purses", &["a".to_owned()]).await;
    assert_eq!(
        stays.unwrap()[0].body().as_str(),
        r#"{"owner":"","cents":1}"#
    );
}

fn model<const V: u32, B: Backend>(store: &Arc<B>) -> (ReadModel<B>, Arc<SubscriptionManager>) {
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .build();
    let manager = Arc::new(manager);
    let (log, backend, feeder) = (Arc::clone(store), Arc::clone(store), Arc::clone(&manager));
    let model = ReadModel::documents(Purses::<V>, log, backend, feeder, Decoder::new()).unwrap();
    (model, manager)
}

pub(super) async fn each_generation_is_found_by_its_own_fields<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for (account, owner, cents) in [("a", "ada", 30), ("b", "bob", 20)] {
        open(&**store, account, owner).await;
        slip_in(&**store, account, cents).await;
    }
    let (old, old_manager) = model::<1, _>(store);
    old.start().await.unwrap();
    in_time(old_manager.until_idle()).await.unwrap();
    let before = Documents::<Purses<1>>::new(Arc::clone(store) as _);
    let after = Documents::<Purses<2>>::new(Arc::clone(store) as _);
    let found = before.find(BY_CENTS.all(), Page::of(10)).await.unwrap();
    assert_eq!(keys(&found), ["b", "a"]);

    let (new, new_manager) = model::<2, _>(store);
    new.start().await.unwrap();
    let switched = in_time(new.rebuild()).await.unwrap();
    assert_eq!(switched.to(), Generation::FIRST.next());
    let found = after
        .find(BY_OWNER.starting("ada"), Page::of(10))
        .await
        .unwrap();
    assert_eq!(keys(&found), ["a"]);
    // The code of before finds by what its own generation has, which is still fed.
    slip_in(&**store, "b", 20).await;
    old.sync().await.unwrap();
    new.sync().await.unwrap();
    in_time(old_manager.until_idle()).await.unwrap();
    in_time(new_manager.until_idle()).await.unwrap();
    let found = before.find(BY_CENTS.all(), Page::of(10)).await.unwrap();
    assert_eq!(keys(&found), ["a", "b"]);
    let found = after
        .find(BY_CENTS.within(35..), Page::of(10))
        .await
        .unwrap();
    assert_eq!(keys(&found), ["b"]);

    // What is dropped takes along what it was found by.
    old_manager.stop_all().await;
    in_time(new.drop_generation(Generation::FIRST))
        .await
        .unwrap();
    let declared = store.scan_documents("uno.document_fields", None, 10).await;
    let declared = declared.unwrap();
    let declared: Vec<_> = declared.iter().map(Document::key).collect();
    assert_eq!(declared, ["purses@2"]);
    let left = FindDocuments::new("purses", "cents");
    assert_eq!(store.find_documents(left).await.unwrap(), []);
    new_manager.stop_all().await;
}

pub(super) async fn live_queries_come_to_what_holds<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let documents = Documents::<Purses<2>>::new(Arc::clone(store) as _);
    let quick = Duration::from_millis(5);
    let purse = documents.watch("a", Arc::clone(store) as _);
    let rich = documents.watch_found(BY_CENTS.within(50..), Page::of(10), Arc::clone(store) as _);
    let (mut purse, mut rich) = (purse.poll_interval(quick), rich.poll_interval(quick));
    assert_eq!(in_time(purse.next()).await.unwrap(), None);
    assert_eq!(keys(&in_time(rich.next()).await.unwrap()), [] as [&str; 0]);
    let manager = running::<2, _>(store).await;
    let (purses, riches) = tokio::join!(
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.last() != Some(&60) {
                let purse = in_time(purse.next()).await.unwrap();
                seen.push(purse.unwrap().cents);
            }
            seen
        }),
        async {
            for _ in 0..60 {
                slip_in(&**store, "a", 1).await;
            }
            // The other one has asked for nothing meanwhile, and is told of what holds now, not of what did.
            in_time(manager.until_idle()).await.unwrap();
            in_time(rich.next()).await.unwrap()
        }
    );
    let seen = purses.unwrap();
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert_eq!(riches.documents()[0].1.cents, 60);
    slip_in(&**store, "b", 99).await;
    let both = in_time(rich.next()).await.unwrap();
    assert_eq!(keys(&both), ["a", "b"]);
    manager.stop_all().await;
}

/// Counts the questions that a store is asked.
#[derive(Debug)]
struct Counted {
    store: Arc<dyn DocumentStore>,
    asked: AtomicUsize,
}

impl Counted {
    fn new(store: Arc<dyn DocumentStore>) -> Arc<Self> {
        let asked = AtomicUsize::new(0);
        Arc::new(Self { store, asked })
    }

    /// How many there were since the last time.
    fn take(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn count(&self) -> &dyn DocumentStore {
        self.asked.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }
}

#[async_trait]
impl DocumentStore for Counted {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        self.count().load_documents(collection, keys).await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        self.count().scan_documents(collection, after, limit).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        self.count().find_documents(find).await
    }
}

pub(super) async fn a_page_asks_the_store_twice<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let counted = Counted::new(Arc::clone(store) as _);
    let documents = Documents::<Purses<2>>::new(Arc::clone(&counted) as _);
    let other = documents.clone();
    let found = async |finding| documents.find(finding, Page::of(10)).await.unwrap();

    // A yes about what is not there yet may be a no the next time, so it is not kept.
    for _ in 0..2 {
        assert_eq!(keys(&found(BY_CENTS.all()).await), [] as [&str; 0]);
        assert!(counted.take() > 3, "nothing is known of what is not there");
    }
    let (model, manager) = model::<2, _>(store);
    model.start().await.unwrap();
    slip_in(&**store, "a", 1).await;
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(keys(&found(BY_CENTS.all()).await), ["a"]);
    assert_eq!(counted.take(), 3, "what it was written with is asked for");
    // The page, and which generation serves; for all fields, and for clones.
    for finding in [BY_CENTS.all(), BY_OWNER.all(), BY_CENTS.is(&1)] {
        found(finding).await;
        assert_eq!(counted.take(), 2);
    }
    let page = other.find(BY_CENTS.all(), Page::of(10)).await.unwrap();
    assert_eq!((keys(&page), counted.take()), (vec!["a"], 2));

    // Another generation, another question. The read that finds out about it is made twice.
    in_time(model.rebuild()).await.unwrap();
    assert_eq!(keys(&found(BY_CENTS.all()).await), ["a"]);
    assert_eq!(counted.take(), 5);
    assert_eq!(keys(&found(BY_CENTS.all()).await), ["a"]);
    assert_eq!(counted.take(), 2);
    manager.stop_all().await;
}

pub(super) async fn a_no_is_not_kept<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "a", 1).await;
    let all = batch(&**store, None).await;
    projector::<1, _>(store).consume(all).await.unwrap();
    // Asked by code of the next version, whose documents are not there yet.
    let documents = Documents::<Purses<2>>::new(Arc::clone(store) as _);
    for _ in 0..2 {
        let result = documents.find(BY_OWNER.all(), Page::of(10)).await;
        assert!(is_not_indexed(&result), "{result:?}");
    }
    // What it has in common with the other one is found, and does not speak for the rest.
    let found = documents.find(BY_CENTS.all(), Page::of(10)).await.unwrap();
    assert_eq!(keys(&found), ["a"]);
    let result = documents.find(BY_OWNER.all(), Page::of(10)).await;
    assert!(is_not_indexed(&result), "{result:?}");
}
