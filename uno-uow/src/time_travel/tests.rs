//! As of a version, a position, a time; with snapshots that are of use and snapshots that are not.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use uno_core::{Event, ManualClock, Metadata, Position, Transactional as _, Version};
use uno_domain::{Aggregate, Snapshots};
use uno_store_memory::MemoryStore;

use super::{FieldChange, Moment};
use crate::{LoadError, Runner};

#[derive(Event, Serialize, Deserialize, Debug)]
struct Added {
    product: String,
    cents: i64,
}

#[derive(Serialize, Deserialize, Default, Debug, PartialEq)]
struct Cart<const SNAPSHOTS: bool> {
    total: i64,
    products: Vec<String>,
    first: Option<String>,
}

impl<const SNAPSHOTS: bool> Aggregate for Cart<SNAPSHOTS> {
    const CATEGORY: &'static str = "cart";
    type Id = u32;
    type Event = Added;

    fn apply(&mut self, added: &Added) {
        self.total += added.cents;
        self.products.push(added.product.clone());
        self.first.get_or_insert_with(|| added.product.clone());
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        SNAPSHOTS.then(|| Snapshots::every(3).shape("cart/1"))
    }
}

/// Ten additions of 1, 2, 3, … cents, one a minute from midnight on, each behind an event of somebody else.
async fn carts() -> Runner<MemoryStore> {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let runner = Runner::new(Arc::new(store));
    for n in 1..=10 {
        for id in [8, 7] {
            let mut uow = runner.begin(Metadata::new());
            let mut cart = uow.load_or_new::<Cart<true>>(&id).await.unwrap();
            cart.record(Added {
                product: format!("p{n}"),
                cents: n,
            });
            drop(cart);
            runner.commit(uow).await.unwrap();
        }
        clock.advance(Duration::from_secs(60));
    }
    let stream = Cart::<true>::stream_id(&7).unwrap();
    let snapshot = runner.backend().load_snapshot(&stream).await.unwrap();
    assert_eq!(snapshot.unwrap().version().get(), 9);
    runner
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

#[tokio::test]
async fn every_moment_shows_what_was_there_then() {
    let runner = carts().await;
    for n in 0..=10_u64 {
        let midnight: chrono::DateTime<chrono::Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let minute = i64::try_from(n).unwrap() - 1;
        let moments: [Moment; 4] = [
            version(n).into(),
            // The cart has every other position.
            Position::new(2 * n).unwrap().into(),
            Position::new(2 * n + 1).unwrap().into(),
            (midnight + chrono::TimeDelta::seconds(60 * minute + 59)).into(),
        ];
        for moment in moments {
            let root = runner.load_as_of::<Cart<true>>(&7, moment).await.unwrap();
            let total = i64::try_from(n * (n + 1) / 2).unwrap();
            assert_eq!(
                (
                    root.version(),
                    root.state().total,
                    root.state().products.len() as u64
                ),
                (version(n), total, n),
                "{moment:?}"
            );
            // The same without snapshots.
            let plain = runner.load_as_of::<Cart<false>>(&7, moment).await.unwrap();
            assert_eq!(plain.state().products, root.state().products, "{moment:?}");
        }
    }
    assert_eq!(
        runner.snapshot_counts().rejected,
        0,
        "a later snapshot is no doubtful one"
    );
}

#[tokio::test]
async fn a_version_that_never_was_is_an_error() {
    let runner = carts().await;
    let error = runner
        .load_as_of::<Cart<true>>(&7, version(11))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cart-7 is at version 10, and has never been at version 11"
    );
    assert!(matches!(error, LoadError::NeverThere { .. }));
    let nobody = runner
        .load_as_of::<Cart<true>>(&9, Position::MAX)
        .await
        .unwrap();
    assert_eq!(nobody.version(), Version::EMPTY);
}

#[tokio::test]
async fn two_moments_are_compared() {
    let runner = carts().await;
    let diff = runner
        .diff::<Cart<true>>(&7, version(1), Position::new(6).unwrap())
        .await
        .unwrap();
    let products: Vec<_> = diff
        .events()
        .iter()
        .map(|event| &*event.event().product)
        .collect();
    assert_eq!(products, ["p2", "p3"]);
    assert_eq!(
        (diff.before().version(), diff.after().version()),
        (version(1), version(3))
    );
    let change = |path: &str, before, after| FieldChange {
        path: path.to_owned(),
        before,
        after,
    };
    assert_eq!(
        diff.changes().unwrap(),
        [
            change("products[1]", None, Some(json!("p2"))),
            change("products[2]", None, Some(json!("p3"))),
            change("total", Some(json!(1)), Some(json!(6))),
        ]
    );
    let same = runner
        .diff::<Cart<true>>(&7, version(4), version(4))
        .await
        .unwrap();
    assert_eq!((same.events().len(), same.changes().unwrap()), (0, vec![]));
    let back = runner
        .diff::<Cart<true>>(&7, version(1), Version::EMPTY)
        .await
        .unwrap();
    assert_eq!(back.events().len(), 0);
    assert_eq!(
        back.changes().unwrap(),
        [
            change("first", Some(json!("p1")), Some(json!(null))),
            change("products[0]", Some(json!("p1")), None),
            change("total", Some(json!(1)), Some(json!(0))),
        ]
    );
}
