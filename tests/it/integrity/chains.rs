//! A chain gives every event one link, whatever happens.

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

use uno_core::{
    Backend, Category, CorrelationId, EventId, EventName, EventStore, ExpectedVersion, Metadata,
    NewEvent, Payload, Position, RecordedEvent, SchemaVersion, StreamAppend, StreamId, Version,
};
use uno_events::{SubscriptionManager, SubscriptionState};
use uno_integrity::{ChainName, HashChain, Link};
use uno_store_memory::MemoryStore;
use uno_testkit::conformance::{BackendHarness, Harness};

use super::doctored::Doctored;
use crate::support::{
    faulty::{Fault, Faulty},
    log,
    rest::{in_time, until},
};

pub(super) type Store<H> = Arc<<H as Harness>::Store>;
pub(super) type Guard<H> = <H as Harness>::Guard;

pub(super) fn name() -> ChainName {
    ChainName::new("ledger").unwrap()
}

pub(super) fn stream(id: &str) -> StreamId {
    id.parse().unwrap()
}

pub(super) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// So many events at the end of a stream, with everything that an event may have.
pub(super) async fn append(store: &dyn EventStore, id: &str, count: u64) {
    let event = |number| {
        let name = EventName::new("money_deposited").unwrap();
        let payload = Payload::from_json(format!(r#"{{"cents": {number}}}"#)).unwrap();
        let metadata = Metadata::new()
            .with_correlation_id(CorrelationId::new())
            .with_causation_id(*EventId::new().as_uuid())
            .with_actor("ada")
            .with_tenant("north")
            .with_header("channel", "web");
        NewEvent::from_payload(name, SchemaVersion::new(2), payload)
            .with_metadata(metadata)
            .with_tags(["vip", "q4"])
    };
    let events = (1..=count).map(event).collect();
    let append = StreamAppend::new(stream(id), ExpectedVersion::Any, events);
    store.append(vec![append]).await.unwrap();
}

/// A stream of three segments, short ones, and one whose name is longer than the key of a document.
pub(super) async fn fill(store: &dyn EventStore) -> u64 {
    append(store, "account-short", 1).await;
    append(store, "account-long", 100).await;
    append(store, "order-1", 64).await;
    append(store, "account-long", 50).await;
    append(store, &long_name(), 2).await;
    append(store, "account-short", 2).await;
    219
}

pub(super) fn long_name() -> String {
    format!("account-{}", "é".repeat(256))
}

pub(super) fn manager<B: Backend>(
    log: Arc<dyn EventStore>,
    backend: &Arc<B>,
) -> SubscriptionManager {
    SubscriptionManager::new(log, backend.clone())
}

/// Feeds a chain up to the end of the log.
pub(super) async fn run<B: Backend>(
    log: Arc<dyn EventStore>,
    backend: &Arc<B>,
    chain: HashChain<B>,
) {
    let manager = manager(log, backend);
    manager.subscribe(chain.subscription()).unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

pub(super) fn chain<B: Backend>(backend: &Arc<B>) -> HashChain<B> {
    HashChain::new(name(), backend.clone())
}

/// Why a chain that is fed from this log has stopped.
async fn why_it_stops<B: Backend>(manager: &SubscriptionManager, store: &B) -> String {
    let name = name();
    until(store, || async {
        let status = manager.status_of(name.subscription()).await.unwrap();
        matches!(status.state(), SubscriptionState::Stopped { .. })
    })
    .await;
    let status = manager.status_of(name.subscription()).await.unwrap();
    format!("{:?}", status.state())
}

/// What the links must be, folded from the log.
fn links(log: &[Arc<RecordedEvent>]) -> BTreeMap<(String, u64), Link> {
    let mut links = BTreeMap::new();
    for event in log {
        let (stream, version) = (event.stream().to_string(), event.version().get());
        let previous = links.get(&(stream.clone(), version - 1)).copied();
        links.insert((stream, version), Link::of(event, previous, None));
    }
    links
}

async fn all_links_are_right<B: Backend>(store: &Arc<B>) {
    let verifier = chain(store).verifier(store.clone());
    let events = log(&**store).await;
    let links = links(&events);
    assert_eq!(links.len(), events.len());
    for ((id, number), link) in links {
        let stored = verifier.link(&stream(&id), version(number)).await.unwrap();
        assert_eq!(stored, Some(link), "{id} {number}");
    }
}

pub(super) async fn every_event_has_one_link<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let verifier = chain(store).verifier(store.clone());
    let nothing = verifier.verify_all().await.unwrap();
    assert!(nothing.is_good());
    assert_eq!(
        (nothing.streams(), nothing.verified(), nothing.waiting()),
        (0, 0, 0)
    );
    let count = fill(&**store).await;
    // Nothing is linked before the chain has come to it, and that is no breach.
    let early = verifier.verify_all().await.unwrap();
    assert!(early.is_good());
    assert_eq!((early.verified(), early.waiting()), (0, count));
    run(store.clone(), store, chain(store)).await;
    let all = verifier.verify_all().await.unwrap();
    assert!(all.is_good(), "{all}");
    assert_eq!(
        (all.streams(), all.verified(), all.waiting()),
        (4, count, 0)
    );
    all_links_are_right(store).await;
    append(&**store, "account-long", 70).await;
    append(&**store, "order-2", 3).await;
    let one = verifier
        .verify_stream(&stream("account-long"))
        .await
        .unwrap();
    assert!(one.is_good(), "{one}");
    assert_eq!((one.streams(), one.verified(), one.waiting()), (1, 150, 70));
    let all = verifier.verify_all().await.unwrap();
    assert_eq!((all.verified(), all.waiting()), (count, 73));
    assert!(all.is_good(), "{all}");
    run(store.clone(), store, chain(store)).await;
    let all = verifier.verify_all().await.unwrap();
    assert!(all.is_good(), "{all}");
    assert_eq!(
        (all.streams(), all.verified(), all.waiting()),
        (5, count + 73, 0)
    );
    all_links_are_right(store).await;
    let unknown = stream("account-unknown");
    assert_eq!(verifier.link(&unknown, version(1)).await.unwrap(), None);
    assert!(verifier.verify_stream(&unknown).await.unwrap().is_good());
}

pub(super) async fn whatever_dies_every_event_has_one_link<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let mut count = 0;
    for (number, fault) in Fault::ALL.into_iter().enumerate() {
        append(&**store, "account-1", 40).await;
        append(&**store, &format!("order-{number}"), 2).await;
        count += 42;
        let process = Faulty::at(store, 1, fault);
        let manager = manager(store.clone(), &process);
        manager.subscribe(chain(&process).subscription()).unwrap();
        manager.start_all().await.unwrap();
        if fault.is_death() {
            in_time(process.died()).await;
            drop(manager);
        } else {
            in_time(manager.until_idle()).await.unwrap();
            manager.stop_all().await;
        }
        process.catch_up().await;
    }
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .instance("the next one")
        .lease(std::time::Duration::from_secs(1))
        .build();
    manager.subscribe(chain(store).subscription()).unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    let all = chain(store)
        .verifier(store.clone())
        .verify_all()
        .await
        .unwrap();
    assert!(all.is_good(), "{all}");
    assert_eq!((all.verified(), all.waiting()), (count, 0));
    all_links_are_right(store).await;
}

pub(super) async fn a_chain_that_is_read_again_is_compared<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    fill(&**store).await;
    run(store.clone(), store, chain(store)).await;
    // Nothing was done to the log: it goes through, and nothing is written.
    let manager_of_log = manager(store.clone(), store);
    manager_of_log
        .subscribe(chain(store).subscription())
        .unwrap();
    manager_of_log
        .reset(name().subscription(), Position::START)
        .await
        .unwrap();
    manager_of_log.start_all().await.unwrap();
    in_time(manager_of_log.until_idle()).await.unwrap();
    manager_of_log.stop_all().await;
    all_links_are_right(store).await;
    // And now something was.
    let doctored = Doctored::new(store.clone(), |mut parts| {
        if parts.version == version(70) {
            parts.payload = Payload::from_json("{}").unwrap();
        }
        Some(parts)
    });
    let manager = manager(doctored, store);
    manager.subscribe(chain(store).subscription()).unwrap();
    manager
        .reset(name().subscription(), Position::START)
        .await
        .unwrap();
    manager.start_all().await.unwrap();
    let why = why_it_stops(&manager, &**store).await;
    assert!(
        why.contains("version 70 of stream account-long does not fit its link"),
        "{why}"
    );
    manager.stop_all().await;
    all_links_are_right(store).await;
}

pub(super) async fn a_chain_stops_before_what_does_not_fit<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    append(&**store, "account-1", 5).await;
    run(store.clone(), store, chain(store)).await;
    append(&**store, "account-1", 2).await;
    // The next event is taken away before the chain has come to it.
    let doctored = Doctored::new(store.clone(), |parts| {
        (parts.version != version(6)).then_some(parts)
    });
    let manager = manager(doctored, store);
    manager.subscribe(chain(store).subscription()).unwrap();
    manager.start_all().await.unwrap();
    let why = why_it_stops(&manager, &**store).await;
    assert!(
        why.contains("version 7 of stream account-1 is not in the chain"),
        "{why}"
    );
    manager.stop_all().await;
    run(store.clone(), store, chain(store)).await;
    all_links_are_right(store).await;
}

pub(super) async fn a_chain_has_one_lane<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    append(&**store, "account-1", 5).await;
    let manager = manager(store.clone(), store);
    let subscription = chain(store)
        .subscription()
        .lanes(NonZeroU16::new(2).unwrap());
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    let why = why_it_stops(&manager, &**store).await;
    assert!(why.contains("a hash chain has one lane, not 2"), "{why}");
    manager.stop_all().await;
}

pub(super) async fn a_chain_may_be_about_some_categories<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    fill(&**store).await;
    let chain = || chain(store).categories([Category::new("order").unwrap()]);
    run(store.clone(), store, chain()).await;
    let verifier = chain().verifier(store.clone());
    let all = verifier.verify_all().await.unwrap();
    assert!(all.is_good(), "{all}");
    assert_eq!((all.streams(), all.verified(), all.waiting()), (1, 64, 0));
    let other = verifier
        .verify_stream(&stream("account-long"))
        .await
        .unwrap();
    assert_eq!((other.streams(), other.verified()), (0, 0));
}

pub(super) async fn links_may_be_in_another_store<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let elsewhere = Arc::new(MemoryStore::new());
    let count = fill(&**store).await;
    run(store.clone(), &elsewhere, chain(&elsewhere)).await;
    let verifier = chain(&elsewhere).verifier(store.clone());
    let all = verifier.verify_all().await.unwrap();
    assert!(all.is_good(), "{all}");
    assert_eq!((all.verified(), all.waiting()), (count, 0));
    let here = chain(store)
        .verifier(store.clone())
        .verify_all()
        .await
        .unwrap();
    assert_eq!((here.verified(), here.waiting()), (0, count));
}

pub(super) async fn verification_runs_beside_writers<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let manager = manager(store.clone(), store);
    manager.subscribe(chain(store).subscription()).unwrap();
    manager.start_all().await.unwrap();
    let verifier = chain(store).verifier(store.clone());
    let writers = async {
        for round in 0..30 {
            append(&**store, "account-long", 20).await;
            append(&**store, &format!("order-{round}"), 1).await;
        }
    };
    let verify = async {
        let mut verified = 0;
        while verified < 30 * 21 {
            let all = verifier.verify_all().await.unwrap();
            assert!(all.is_good(), "{all}");
            assert!(all.verified() >= verified);
            // A store in memory answers at once, and then nobody else would have a turn.
            tokio::task::yield_now().await;
            verified = all.verified();
            let one = verifier
                .verify_stream(&stream("account-long"))
                .await
                .unwrap();
            assert!(one.is_good(), "{one}");
        }
    };
    in_time(async { tokio::join!(writers, verify) }).await;
    manager.stop_all().await;
}
