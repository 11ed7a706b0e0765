//! Old events in read models that are rebuilt, and in aggregates that are handed on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use uno_core::{EventStoreExt as _, Metadata, Version};
use uno_cqrs::{Documents, Generation, ReadModel};
use uno_domain::{Aggregate, Snapshots};
use uno_testkit::conformance::BackendHarness;
use uno_uow::{Runner, Warm};

use super::{
    paths::{Guard, Sightings, Store, manager, texts},
    shop::{GivenUp, ShopEvent, append, decoder, old, read, store_all, stream},
};
use crate::support::rest::in_time;

pub(super) async fn a_read_model_is_rebuilt_and_swapped<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let manager = Arc::new(manager(store));
    let (log, feeder) = (store.clone(), Arc::clone(&manager));
    let model = ReadModel::documents(Sightings, log, Arc::clone(store), feeder, decoder());
    let model = model.unwrap().rebuild_batch(4);
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    let documents = Documents::<Sightings>::new(store.clone());
    let seen = async || documents.get("all").await.unwrap().unwrap().events;
    assert_eq!(seen().await, texts(&read()));

    let switched = in_time(model.rebuild()).await.unwrap();
    assert_eq!(switched.to(), Generation::FIRST.next());
    assert_eq!(seen().await, texts(&read()));

    // Both generations are fed with what comes under a former name.
    append(
        &**store,
        vec![old("item_put_in", 1, &json!({ "sku": "z" }))],
    )
    .await;
    in_time(manager.until_idle()).await.unwrap();
    let all = store
        .read_events::<ShopEvent>(&stream(), &decoder())
        .await
        .unwrap();
    let all: Vec<ShopEvent> = all.into_iter().map(|event| event.into_event()).collect();
    assert_eq!(all.len(), read().len() + 1);
    assert_eq!(seen().await, texts(&all));
    in_time(model.roll_back()).await.unwrap();
    assert_eq!(seen().await, texts(&all));
    manager.stop_all().await;
}

/// Remembers every event, and itself at every other one, after the commit.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Order {
    seen: Vec<String>,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = u32;
    type Event = ShopEvent;

    fn apply(&mut self, event: &ShopEvent) {
        self.seen.push(format!("{event:?}"));
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(2).shape("order/warm").in_background())
    }
}

pub(super) async fn aggregates_are_handed_on_while_snapshots_are_stored<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let runner = || Runner::new(Arc::clone(store)).with_decoder(decoder());
    let (warm_runner, mut warm) = (runner(), Warm::default());
    let mut expected = texts(&read());
    for n in 0..6_u64 {
        let given_up = GivenUp { why: n.to_string() };
        let event = format!("{:?}", ShopEvent::from(given_up.clone()));
        let run = warm_runner.run_warm(Metadata::new(), &mut warm, |uow| {
            let given_up = given_up.clone();
            Box::pin(async move {
                let mut order = uow.load::<Order>(&7).await?;
                order.record(given_up);
                Ok(order.state().seen.clone())
            })
        });
        let (seen, _) = in_time(run).await.unwrap();
        expected.push(event);
        assert_eq!(seen, expected, "after {n}");
        assert!(warm.contains(&stream()), "the next one need not read");
        // Somebody who has nothing handed on sees the same, from a snapshot of then or of before.
        let fresh = runner();
        let mut uow = fresh.begin(Metadata::new());
        let order = uow.load::<Order>(&7).await.unwrap();
        assert_eq!(order.state().seen, expected);
        assert_eq!(order.version(), Version::new(16 + n).unwrap());
        assert_eq!(fresh.snapshot_counts().rejected, 0);
    }
    in_time(warm_runner.snapshots_settled()).await;
    let counts = warm_runner.snapshot_counts();
    // At 16 the 15 before make it due; then at 18 and 20.
    assert_eq!((counts.stored, counts.skipped, counts.rejected), (3, 0, 0));
    let kept = uno_core::Transactional::load_snapshot(&**store, &stream()).await;
    let kept = kept.unwrap().unwrap();
    assert_eq!(
        kept.version(),
        Version::new(20).unwrap(),
        "the newest stays"
    );
    let cold = runner();
    let mut uow = cold.begin(Metadata::new());
    let order = uow.load::<Order>(&7).await.unwrap();
    assert_eq!(
        (order.state().seen.clone(), cold.snapshot_counts().used),
        (expected, 1)
    );
}
