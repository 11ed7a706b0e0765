//! A projection whose documents show it if an event was missed, doubled or taken out of order; and the read model of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Decoder, DocumentStore, Envelope, EventStore, EventStoreExt, ExpectedVersion,
    NewMessage, Payload, Position, ReadLog, StreamId,
};
use uno_cqrs::{DocumentProjection, Generation, ReadModel};
use uno_events::SubscriptionManager;

use crate::support::account::{AccountEvent, Moved};

/// Of each account, and of all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tallies<const VERSION: u32 = 1, const SENDS: bool = false>;

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) version: u32,
    pub(crate) events: u64,
    pub(crate) cents: i64,
    /// Of all positions in their order: another one if one is missing, doubled or out of order.
    pub(crate) chain: u64,
}

pub(crate) const ALL: &str = "all";

impl<const VERSION: u32, const SENDS: bool> DocumentProjection for Tallies<VERSION, SENDS> {
    const NAME: &'static str = "tallies";
    const VERSION: u32 = VERSION;
    const SENDS: bool = SENDS;
    type Event = AccountEvent;
    type Document = Tally;

    fn keys(&self, event: &Envelope<AccountEvent>) -> Vec<String> {
        vec![event.stream().key().to_owned(), ALL.to_owned()]
    }

    fn apply(
        &self,
        _: &str,
        tally: Option<Tally>,
        event: &Envelope<AccountEvent>,
    ) -> Option<Tally> {
        let cents = match event.event() {
            AccountEvent::Opened(_) => 0,
            AccountEvent::Moved(moved) => moved.cents,
        };
        assert_ne!(cents, 13, "as asked");
        let tally = tally.unwrap_or_default();
        Some(Tally {
            version: VERSION,
            events: tally.events + 1,
            cents: tally.cents + cents,
            chain: tally
                .chain
                .wrapping_mul(0x0100_0000_01b3)
                .wrapping_add(event.position().get()),
        })
    }

    fn messages(&self, event: &Envelope<AccountEvent>) -> Vec<NewMessage> {
        let payload = Payload::from_stored(event.position().get().to_string());
        let (id, metadata) = (*event.id().as_uuid(), event.metadata().clone());
        vec![NewMessage::new(
            "tallied", id, "one", "tallied", payload, metadata,
        )]
    }
}

/// A process that runs the read model.
pub(crate) struct Process<B: Backend, const VERSION: u32 = 1, const SENDS: bool = false> {
    pub(crate) model: ReadModel<B>,
    pub(crate) manager: Arc<SubscriptionManager>,
}

impl<B: Backend, const VERSION: u32, const SENDS: bool> Process<B, VERSION, SENDS> {
    /// Documents in the store that the log is in.
    pub(crate) fn new(store: &Arc<B>) -> Self {
        Self::apart(Arc::clone(store) as _, store)
    }

    /// Documents of one store, of the log of another.
    pub(crate) fn apart(log: Arc<dyn EventStore>, store: &Arc<B>) -> Self {
        let manager = SubscriptionManager::builder(Arc::clone(&log), Arc::clone(store) as _)
            .poll_interval(Duration::from_millis(5))
            .build();
        let manager = Arc::new(manager);
        let projection = Tallies::<VERSION, SENDS>;
        let (store, feeder) = (Arc::clone(store), Arc::clone(&manager));
        let model = ReadModel::documents(projection, log, store, feeder, Decoder::new()).unwrap();
        let quick = uno_events::RetryPolicy::new()
            .retries(2)
            .base(Duration::from_micros(10));
        let model =
            model.subscription(move |subscription| subscription.batch_size(20).retry(quick));
        Self { model, manager }
    }

    pub(crate) async fn started(store: &Arc<B>) -> Self {
        let process = Self::new(store);
        process.model.start().await.unwrap();
        process
    }
}

/// Appends so many events to a few accounts, a few in each append.
pub(crate) async fn events<S: EventStore + ?Sized>(store: &S, count: usize) {
    let mut left = count;
    while left > 0 {
        let now = left.min(1 + left % 7);
        let stream = StreamId::new("account", format!("a{}", left % 5)).unwrap();
        let moved: Vec<Moved> = (0..now)
            .map(|n| Moved {
                cents: (left + n) as i64 % 12,
            })
            .collect();
        store
            .append_events(stream, ExpectedVersion::Any, &moved)
            .await
            .unwrap();
        left -= now;
    }
}

/// What a fold of the log comes to, as it is stored.
pub(crate) async fn folded<S: EventStore + ?Sized>(
    store: &S,
    version: u32,
) -> BTreeMap<String, String> {
    let read = ReadLog::after(Position::START).limit(1_000_000);
    let log = store.read_log(read).await.unwrap().into_events();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let decoder = Decoder::new();
    for record in &log {
        let event = decoder.decode::<AccountEvent>(record).unwrap();
        for key in Tallies::<1>.keys(&event) {
            let before = tallies.remove(&key);
            let after = Tallies::<1>.apply(&key, before, &event).unwrap();
            tallies.insert(key, Tally { version, ..after });
        }
    }
    let stored = |(key, tally)| (key, Payload::encode(&tally).unwrap().as_str().to_owned());
    tallies.into_iter().map(stored).collect()
}

/// What is stored of a generation.
pub(crate) async fn stored<S: DocumentStore + ?Sized>(
    store: &S,
    generation: Generation,
) -> BTreeMap<String, String> {
    let collection = generation.name_of("tallies");
    let found = store
        .scan_documents(&collection, None, 1_000_000)
        .await
        .unwrap();
    let body =
        |found: &uno_core::Document| (found.key().to_owned(), found.body().as_str().to_owned());
    found.iter().map(body).collect()
}
