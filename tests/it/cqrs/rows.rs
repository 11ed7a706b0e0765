//! Projections into rows of one's own.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use uno_core::{
    BoxError, CheckpointStore, Decoder, Envelope, EventStoreExt, ExpectedVersion, Lane, StreamId,
};
use uno_cqrs::{Projection, Projector};
use uno_events::{ConsumeError, Consumer, Replay, RetryPolicy, Subscription, SubscriptionManager};
use uno_store_memory::{MemoryStore, MemoryTx};
use uno_testkit::conformance::{BackendHarness, Harness, TxOf};

use super::documents::{batch, name};
use crate::support::{
    account::{AccountEvent, Moved, slip_in},
    faulty::{Fault, Faulty},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Puts a row for each movement of money.
struct Movements<H>(Arc<H>);

impl<H> fmt::Debug for Movements<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Movements")
    }
}

impl<H: BackendHarness> Projection<H::Store> for Movements<H> {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;

    async fn project(
        &self,
        event: &Envelope<AccountEvent>,
        tx: &mut TxOf<H>,
    ) -> Result<(), BoxError> {
        let AccountEvent::Moved(moved) = event.event() else {
            return Ok(());
        };
        let key = format!("{}/{}", event.stream().key(), event.version());
        let put = self.0.put_row(&key, &moved.cents.to_string());
        put(tx).await?;
        match moved.cents {
            13 => Err("an unlucky amount".into()),
            666 => panic!("as asked"),
            _ => Ok(()),
        }
    }
}

fn projector<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
) -> Projector<Movements<H>, H::Store> {
    let movements = Movements(Arc::clone(harness));
    Projector::new(movements, Arc::clone(store), Decoder::new()).unwrap()
}

pub(super) async fn rows_and_checkpoint_commit_together<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    for cents in [1, 2, 3] {
        slip_in(&**store, "ada", cents).await;
    }
    let projector = projector(harness, store);
    projector
        .consume(batch(&**store, None).await)
        .await
        .unwrap();
    for (key, value) in [("ada/1", "1"), ("ada/2", "2"), ("ada/3", "3")] {
        assert_eq!(
            harness.row(store, guard, key).await.unwrap().as_deref(),
            Some(value)
        );
    }
    let last = log(&**store).await[2].position();
    let checkpoint = store.load_checkpoint(&name(), Lane::FIRST).await.unwrap();
    assert_eq!(
        checkpoint.map(|checkpoint| checkpoint.position()),
        Some(last)
    );
    // From a checkpoint that has moved on, nothing is written.
    slip_in(&**store, "ada", 4).await;
    let stale = projector.consume(batch(&**store, None).await).await;
    assert!(matches!(stale, Err(ConsumeError::Stale(_))), "{stale:?}");
    assert_eq!(harness.row(store, guard, "ada/4").await.unwrap(), None);
    projector
        .consume(batch(&**store, Some(last)).await)
        .await
        .unwrap();
    assert_eq!(
        harness.row(store, guard, "ada/4").await.unwrap().as_deref(),
        Some("4")
    );
}

pub(super) async fn a_failing_event_is_named_and_commits_nothing<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    for (unlucky, account) in [(13, "ada"), (666, "grace")] {
        for cents in [1, 2, unlucky, 3] {
            slip_in(&**store, account, cents).await;
        }
        let events = log(&**store).await;
        let unlucky = events[events.len() - 2].position();
        // From the third event before the end of the log on, so that the other account is out of the way.
        let whole = batch(&**store, None).await;
        let (events, checkpoint) = whole.into_parts();
        let here = events
            .into_iter()
            .filter(|event| event.stream().key() == account);
        let batch = uno_events::Batch::new(here.collect(), checkpoint);
        let error = projector(harness, store).consume(batch).await.unwrap_err();
        let names_it =
            matches!(&error, ConsumeError::Handler { position, .. } if *position == unlucky);
        assert!(names_it, "{error:?}");
        let first = format!("{account}/1");
        assert_eq!(harness.row(store, guard, &first).await.unwrap(), None);
        assert_eq!(
            store.load_checkpoint(&name(), Lane::FIRST).await.unwrap(),
            None
        );
    }
}

pub(super) async fn an_event_that_can_not_be_decoded_commits_nothing<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    /// Claims the name of another event.
    #[derive(uno_core::Event, serde::Serialize, serde::Deserialize)]
    #[event(name = "moved")]
    struct MovedElsewhere {
        to: String,
    }
    slip_in(&**store, "ada", 1).await;
    let stream = StreamId::new("account", "ada").unwrap();
    let odd = MovedElsewhere {
        to: "grace".to_owned(),
    };
    store
        .append_events(stream, ExpectedVersion::Any, &[odd])
        .await
        .unwrap();
    let odd = log(&**store).await[1].position();
    let error = projector(harness, store)
        .consume(batch(&**store, None).await)
        .await
        .unwrap_err();
    let names_it = matches!(&error, ConsumeError::Decode(error) if error.position() == odd);
    assert!(names_it, "{error:?}");
    assert_eq!(harness.row(store, guard, "ada/1").await.unwrap(), None);
}

/// Adds up in rows: what is projected twice shows.
#[derive(Debug)]
struct Sums;

impl Projection<Faulty<MemoryStore>> for Sums {
    const NAME: &'static str = "sums";
    type Event = Moved;

    async fn project(&self, event: &Envelope<Moved>, tx: &mut MemoryTx) -> Result<(), BoxError> {
        let key = event.stream().key();
        let sum: i64 = tx.row("sums", key).map_or(Ok(0), |cents| cents.parse())?;
        tokio::task::yield_now().await;
        tx.put_row("sums", key, (sum + event.event().cents).to_string());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn rows_take_every_event_once_whatever_the_store_says() {
    let store = Arc::new(MemoryStore::builder().gaps(3).build());
    for fault in Fault::ALL {
        for number in 1..=3 {
            let account = format!("{fault:?} {number}");
            for cents in 1..=5 {
                slip_in(&*store, &account, cents).await;
            }
            for faulty in [Faulty::at(&store, number, fault), Faulty::sound(&store)] {
                let projector = Projector::new(Sums, Arc::clone(&faulty), Decoder::new()).unwrap();
                let name = uno_core::SubscriptionName::new("sums").unwrap();
                let quick = RetryPolicy::new().base(Duration::from_millis(1));
                let subscription = Subscription::new(name, Replay::Safe, Arc::new(projector));
                let manager = SubscriptionManager::builder(faulty.clone(), faulty.clone())
                    .instance("projector")
                    .build();
                manager
                    .subscribe(subscription.batch_size(2).retry(quick))
                    .unwrap();
                manager.start_all().await.unwrap();
                tokio::select! {
                    idle = in_time(manager.until_idle()) => idle.unwrap(),
                    () = faulty.died() => {}
                }
                faulty.catch_up().await;
            }
            assert_eq!(
                store.row("sums", &account).as_deref(),
                Some("15"),
                "{account}"
            );
        }
    }
    let sums: BTreeMap<_, _> = store.rows("sums");
    assert!(
        sums.values().all(|sum| sum == "15") && sums.len() == 21,
        "{sums:?}"
    );
}
