//! One definition of a projection, run asynchronously and live: the same documents.

use std::{collections::BTreeMap, sync::Arc};

use uno_core::{
    AsOf, Backend, Decoder, EventName, EventStore, ExpectedVersion, NewEvent, Payload, Position,
    SchemaVersion, StreamAppend, SubscriptionName,
};
use uno_cqrs::{DocumentProjection, DocumentProjector, Documents, LiveDocuments, LiveError, Page};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::{
    statements::{BY_CENTS, Statement, Statements, folded, texts},
    tally::{ALL, Tallies, events},
};
use crate::support::{account::slip_in, log, rest::in_time};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Runs projections to the end of the log, by their subscriptions.
async fn kept<P: DocumentProjection + Clone, B: Backend>(projection: &P, store: &Arc<B>) {
    let projector =
        DocumentProjector::new(projection.clone(), Arc::clone(store), Decoder::new()).unwrap();
    let manager =
        SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _).build();
    let name = SubscriptionName::new(P::NAME).unwrap();
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(projector)).batch_size(7);
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

fn live<P: DocumentProjection, B: Backend>(projection: P, store: &Arc<B>) -> LiveDocuments<P> {
    LiveDocuments::new(projection, Arc::clone(store) as _, Decoder::new()).unwrap()
}

/// What is kept and what is folded are the same, as of now and as of any moment before.
async fn agree<P: DocumentProjection + Clone, B: Backend>(projection: P, store: &Arc<B>) {
    kept(&projection, store).await;
    let documents = Documents::<P>::new(Arc::clone(store) as _);
    let head = store.head().await.unwrap().position();
    let all = documents.scan(None, 1_000_000).await.unwrap();
    let all = texts(&all.into_iter().collect::<BTreeMap<_, _>>());
    assert!(!all.is_empty());
    assert_eq!(all, folded(projection.clone(), &**store, head).await);

    let live = live(projection.clone(), store);
    assert_eq!(texts(&live.all().await.unwrap()), all);
    let one = |key: &str, document: Option<P::Document>| {
        let document = document.map(|document| (key.to_owned(), document));
        texts(&document.into_iter().collect::<BTreeMap<_, _>>())
    };
    for (key, text) in &all {
        let alone = one(key, live.get(key).await.unwrap());
        assert_eq!(alone.get(key), Some(text), "{key}");
    }
    assert!(live.get("nobody").await.unwrap().is_none());
    for event in log(&**store).await.iter().step_by(5) {
        let then = live.as_of(AsOf::Position(event.position()));
        let expected = folded(projection.clone(), &**store, event.position()).await;
        assert_eq!(texts(&then.all().await.unwrap()), expected);
        for key in all.keys() {
            let alone = one(key, then.get(key).await.unwrap());
            assert_eq!(alone.get(key), expected.get(key), "{key}");
        }
    }
}

pub(super) async fn what_is_folded_live_is_what_is_kept<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 150).await;
    // An account that is emptied has no statement, and one again when money comes in.
    for cents in [5, -5, 7] {
        slip_in(&**store, "emptied", cents).await;
    }
    slip_in(&**store, "gone", 3).await;
    slip_in(&**store, "gone", -3).await;
    // Many streams and many documents for each event: its own and that of all.
    agree(Tallies::<1>, store).await;
    // One document for each stream.
    agree(Statements::<1>, store).await;
}

pub(super) async fn live_documents_are_as_of_any_time<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 40).await;
    let (statements, tallies) = (live(Statements::<1>, store), live(Tallies::<1>, store));
    for event in log(&**store).await {
        // What was recorded at that moment belongs to it, and several events may have been.
        let time = event.recorded_at();
        let by_then = log(&**store).await;
        let mut by_then = by_then.iter().filter(|event| event.recorded_at() <= time);
        let last = by_then.next_back().unwrap().position();
        let at = AsOf::Time(time);
        let expected = folded(Statements::<1>, &**store, last).await;
        assert_eq!(texts(&statements.as_of(at).all().await.unwrap()), expected);
        let key = event.stream().key();
        let one = statements.as_of(at).get(key).await.unwrap();
        let one: BTreeMap<_, _> = one.map(|one| (key.to_owned(), one)).into_iter().collect();
        assert_eq!(texts(&one).get(key), expected.get(key));
        let expected = folded(Tallies::<1>, &**store, last).await;
        assert_eq!(texts(&tallies.as_of(at).all().await.unwrap()), expected);
    }
    let nothing = statements.as_of(AsOf::Position(Position::START));
    assert!(nothing.all().await.unwrap().is_empty());
}

pub(super) async fn one_stream_is_read_for_its_document_and_no_other<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 5).await;
    let name = EventName::new("moved").unwrap();
    let broken = Payload::from_json("{}").unwrap();
    let broken = NewEvent::from_payload(name, SchemaVersion::new(1), broken);
    let stream = "account-broken".parse().unwrap();
    let append = StreamAppend::new(stream, ExpectedVersion::NoStream, vec![broken]);
    store.append(vec![append]).await.unwrap();
    let statements = live(Statements::<1>, store);
    assert_eq!(statements.get("ada").await.unwrap().unwrap().cents, 5);
    let error = statements.all().await.unwrap_err();
    assert!(matches!(error, LiveError::Decode(_)), "{error:?}");
    // Of many streams: unless it is said that it needs not be read.
    let tallies = live(Tallies::<1>, store);
    assert!(tallies.get(ALL).await.is_err());
    let before = tallies.narrowed(|filter| filter.recorded_before(chrono::DateTime::UNIX_EPOCH));
    assert!(before.get(ALL).await.unwrap().is_none());
    let error = statements.get("").await.unwrap_err();
    assert!(matches!(error, LiveError::Key(_)), "{error:?}");
}

pub(super) async fn what_has_no_document_is_not_seen<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for key in ["a", "b", "c", "d", "e"] {
        slip_in(&**store, key, 5).await;
    }
    for key in ["b", "c", "e"] {
        slip_in(&**store, key, -5).await;
    }
    kept(&Statements::<1>, store).await;
    let documents = Documents::<Statements>::new(Arc::clone(store) as _);
    let keys = |found: &[(String, Statement)]| -> Vec<String> {
        found.iter().map(|(key, _)| key.clone()).collect()
    };
    for limit in [1, 2, 3, 9] {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = documents.scan(after.as_deref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            all.extend(keys(&page));
            after = all.last().cloned();
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(all, ["a", "d"], "in pages of {limit}");
    }
    assert_eq!(documents.get("b").await.unwrap(), None);
    let wanted = ["a", "b", "d", "f"].map(str::to_owned);
    assert_eq!(documents.get_many(&wanted).await.unwrap().len(), 2);
    let found = documents.find(BY_CENTS.all(), Page::of(9)).await.unwrap();
    assert_eq!(keys(found.documents()), ["a", "d"]);
}
