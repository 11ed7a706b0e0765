//! The ways in which a projection is run: by a subscription, inline, and live.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use uno_core::{
    Backend, Checkpoint, CheckpointWrite, Commit, Decoder, ExpectedVersion, NewEvent, Payload,
    Position, ReadLog, StreamAppend, SubscriptionName,
};
use uno_cqrs::{
    DocumentProjection, DocumentProjector, Documents, InlineDocuments, LiveDocuments, ReadModel,
    StreamProjection,
};
use uno_events::{Batch, Consumer, SubscriptionManager};
use uno_uow::BeforeCommit;

use super::GivenProjection;

/// Documents as they are stored, by their keys.
type Texts = BTreeMap<String, String>;

impl<P: DocumentProjection + Clone> GivenProjection<P> {
    /// Then a subscription keeps the same documents, byte for byte, that are folded live, after every event.
    ///
    /// `open` gives a store that has nothing in it.
    ///
    /// # Panics
    /// When they differ, or the store can't be used.
    pub async fn then_the_same_live<B: Backend, F: Future<Output = Arc<B>>>(
        &self,
        open: impl Fn() -> F,
    ) {
        let store = open().await;
        let projector = self.projector(&store);
        let mut at = None;
        for event in self.events_to_append() {
            commit(&*store, event_alone(event)).await;
            at = feed::<P, B>(&projector, &store, at).await;
            let kept = kept::<P, B>(&store).await;
            let live = self.live(&store).await;
            assert!(
                kept == live,
                "a subscription keeps {kept:#?}, and live it is {live:#?}"
            );
        }
    }

    fn projector<B: Backend>(&self, store: &Arc<B>) -> DocumentProjector<P, B> {
        let projection = self.projection.clone();
        sure(DocumentProjector::new(
            projection,
            Arc::clone(store),
            Decoder::new(),
        ))
    }

    async fn live<B: Backend>(&self, store: &Arc<B>) -> Texts {
        let (projection, log) = (self.projection.clone(), Arc::clone(store) as _);
        let live = sure(LiveDocuments::new(projection, log, Decoder::new()));
        texts(sure(live.all().await))
    }

    /// The events as they were given, to be appended to their streams.
    fn events_to_append(&self) -> Vec<StreamAppend> {
        let append = |record: &uno_core::RecordedEvent| {
            let name = record.name().clone();
            let payload = record.payload().clone();
            let event = NewEvent::from_payload(name, record.schema_version(), payload)
                .with_id(record.id())
                .with_occurred_at(record.occurred_at())
                .with_metadata(record.metadata().clone())
                .with_tags(record.tags().iter().map(Arc::clone));
            let expected = ExpectedVersion::Exact(record.version().previous());
            StreamAppend::new(record.stream().clone(), expected, vec![event])
        };
        let events = self.events.iter();
        events.map(|event| append(event.record())).collect()
    }
}

impl<P: StreamProjection + Clone> GivenProjection<P> {
    /// Then the documents are the same, byte for byte, whether they are kept by a subscription, kept in the commits of the events, kept by
    /// both in turns, or folded live: after every event.
    ///
    /// `open` gives a store that has nothing in it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::Event;
    /// # use uno_cqrs::{Fact, StreamProjection};
    /// # use uno_store_memory::MemoryStore;
    /// # #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)] struct ItemAdded { cents: i64 }
    /// # #[derive(Clone, Debug)] struct OrderTotals;
    /// # impl StreamProjection for OrderTotals {
    /// #     const NAME: &'static str = "order_totals";
    /// #     const CATEGORY: &'static str = "order";
    /// #     type Event = ItemAdded;
    /// #     type Document = i64;
    /// #     fn fold(&self, total: Option<i64>, event: &Fact<'_, ItemAdded>) -> Option<i64> { Some(total.unwrap_or(0) + event.event().cents) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use uno_testkit::GivenProjection;
    ///
    /// let given = GivenProjection::of(OrderTotals)
    ///     .event("order-1", ItemAdded { cents: 500 })
    ///     .event("order-2", ItemAdded { cents: 100 })
    ///     .event("order-1", ItemAdded { cents: 1499 });
    /// given.then("1", 1999);
    /// given.then_the_same_in_every_way(|| async { Arc::new(MemoryStore::new()) }).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// When they differ, or the store can't be used.
    #[expect(
        clippy::future_not_send,
        reason = "a test awaits it where it is, and may open its stores as it likes"
    )]
    pub async fn then_the_same_in_every_way<B: Backend, F: Future<Output = Arc<B>>>(
        &self,
        open: impl Fn() -> F,
    ) {
        self.then_the_same_live(&open).await;
        for every in [1, 2, 3] {
            self.inline_is_live(&open().await, every).await;
        }
    }

    /// One in so many events is appended behind the back of whoever keeps the documents inline, and one in so many is handled by the
    /// subscription, later.
    async fn inline_is_live<B: Backend>(&self, store: &Arc<B>, every: usize) {
        let manager = SubscriptionManager::new(Arc::clone(store) as _, Arc::clone(store) as _);
        let (manager, projection) = (Arc::new(manager), self.projection.clone());
        let (log, backend, feeder) = (
            Arc::clone(store) as _,
            Arc::clone(store),
            Arc::clone(&manager),
        );
        let model = ReadModel::documents(projection, log, backend, feeder, Decoder::new());
        sure(sure(model).start().await);
        // It is there, and from here on nobody feeds it but as is said.
        manager.stop_all().await;
        let inline = sure(InlineDocuments::new(
            self.projection.clone(),
            Decoder::new(),
        ));
        let projector = self.projector(store);
        let mut at = None;
        for (number, append) in self.events_to_append().into_iter().enumerate() {
            let mut to_commit = event_alone(append);
            let behind = every > 1 && number % every == 0;
            if !behind {
                sure(inline.complete(&**store, &mut to_commit).await);
            }
            commit(&**store, to_commit).await;
            if behind || number % 2 == 0 {
                at = feed::<P, B>(&projector, store, at).await;
            }
            let (kept, live) = (kept::<P, B>(store).await, self.live(store).await);
            assert!(
                kept == live,
                "kept inline it is {kept:#?}, and live it is {live:#?}"
            );
        }
        feed::<P, B>(&projector, store, at).await;
        let (kept, live) = (kept::<P, B>(store).await, self.live(store).await);
        assert!(
            kept == live,
            "after the subscription it is {kept:#?}, and live it is {live:#?}"
        );
    }
}

fn event_alone<Tx>(append: StreamAppend) -> Commit<Tx> {
    let mut commit = Commit::new();
    commit.appends.push(append);
    commit
}

async fn commit<B: Backend>(store: &B, commit: Commit<B::Tx>) {
    sure(store.commit(commit).await);
}

/// Feeds what has come since.
async fn feed<P: DocumentProjection, B: Backend>(
    projector: &DocumentProjector<P, B>,
    store: &Arc<B>,
    at: Option<Position>,
) -> Option<Position> {
    let (head, from) = (sure(store.head().await), at.unwrap_or(Position::START));
    let read = ReadLog::after(from)
        .filter(projector.filter())
        .limit(1_000_000);
    let page = sure(store.read_log(read).await);
    let Some((to, id)) = page.scanned() else {
        return at;
    };
    // The one of its own name is in the hands of a manager, stopped as it is.
    let name = sure(SubscriptionName::new("uno.testkit.ways"));
    let checkpoint = Checkpoint::after(head.epoch(), to, id);
    let write = CheckpointWrite::new(name, at, checkpoint);
    sure(
        projector
            .consume(Batch::new(page.into_events(), write))
            .await,
    );
    Some(to)
}

async fn kept<P: DocumentProjection, B: Backend>(store: &Arc<B>) -> Texts {
    let documents = Documents::<P>::new(Arc::clone(store) as _);
    let found = sure(documents.scan(None, 1_000_000).await);
    texts(found.into_iter().collect())
}

fn texts<D: serde::Serialize>(documents: BTreeMap<String, D>) -> Texts {
    let text = |(key, document)| (key, sure(Payload::encode(&document)).as_str().to_owned());
    documents.into_iter().map(text).collect()
}

#[track_caller]
fn sure<T, E: std::error::Error>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store or the projection failed: {error:?}"),
    }
}
