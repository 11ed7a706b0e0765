//! The server of two processes that share a subscription goes away and comes back, while they renew their leases.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::Row as _;
use tokio::time::{sleep, timeout};
use uno::{
    PgStore,
    events::{
        Batch, ConsumeError, Consumer, Replay, RetryPolicy, Subscription, SubscriptionManager,
        SubscriptionState, SubscriptionStatus,
    },
};
use uno_core::{
    AppendError, Commit, EventFilter, EventName, EventStore as _, ExpectedVersion, NewEvent,
    Payload, SchemaVersion, StreamAppend, StreamId, SubscriptionName, Transactional as _,
};
use uno_store_postgres::{PgOptions, PgTx};
use uno_torture::{server::SecondServer, session::Database};

use crate::begin;

const LEASE: Duration = Duration::from_secs(1);
const LANES: u16 = 4;
const STREAMS: u64 = 8;
/// How many events are appended before the server is killed, and again when it is back.
const EVENTS: u64 = 60;
const TABLE: &str = "CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, stream text NOT NULL, position bigint NOT NULL)";

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_taken_again_when_the_server_is_back_and_nothing_is_skipped_or_doubled() {
    let (grounds, seed) = begin("restart");
    let second = SecondServer::start(&grounds.database, "restart")
        .await
        .unwrap();
    let (server, database) = (second.server(), second.database());
    let store = open(database);
    store.migrate().await.unwrap();
    let mut session = database.connect("test").await.unwrap();
    sqlx::raw_sql(TABLE).execute(&mut session).await.unwrap();
    let managers = [manager(database, "one"), manager(database, "other")];
    for manager in &managers {
        manager.start_all().await.unwrap();
    }
    let mut appended = BTreeMap::new();
    let mut rng = fastrand::Rng::with_seed(seed);
    for leases_run_out in [false, true, false] {
        until("they share the lanes", async || share(&managers).await).await;
        append(&store, &mut rng, &mut appended).await;
        let killed = Instant::now();
        server.kill().await.unwrap();
        until("both say that the server is away", async || {
            let mut all = true;
            for manager in &managers {
                let state = status(manager).await.state().clone();
                // Once leases have run out, that is what it says.
                all &= match &state {
                    SubscriptionState::Retrying { attempt, error } => {
                        *attempt > 0 && !error.is_empty()
                    }
                    SubscriptionState::Unheld { error, .. } => error.is_some(),
                    _ => false,
                };
            }
            all
        })
        .await;
        if leases_run_out {
            sleep(LEASE.saturating_sub(killed.elapsed())).await;
        }
        server.start().await.unwrap();
        append(&store, &mut rng, &mut appended).await;
        until("all is handled", async || {
            let mut all = true;
            for manager in &managers {
                let status = status(manager).await;
                all &= *status.state() == SubscriptionState::CaughtUp
                    && status.lag_events() == Some(0);
            }
            all
        })
        .await;
    }
    until("they share the lanes again", async || {
        share(&managers).await
    })
    .await;
    for manager in &managers {
        let status = status(manager).await;
        assert!(
            status.last_error().is_some(),
            "seed {seed}: what went wrong can be read afterwards"
        );
        assert_eq!(status.parked(), Some(0), "seed {seed}");
        manager.stop_all().await;
    }
    let mut session = database.connect_patiently("test").await.unwrap();
    let rows = sqlx::query("SELECT stream, position FROM effects ORDER BY n")
        .fetch_all(&mut session)
        .await
        .unwrap();
    let mut handled: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let of = handled.entry(row.get(0)).or_default();
        of.push(row.get::<i64, _>(1).cast_unsigned());
    }
    assert_eq!(handled, appended, "seed {seed}");
}

/// Whether each has its half of the lanes.
async fn share(managers: &[SubscriptionManager; 2]) -> bool {
    for manager in managers {
        let status = status(manager).await;
        let here = status.lanes().iter().filter(|lane| lane.is_here());
        if status.head().is_none() || here.count() != usize::from(LANES) / 2 {
            return false;
        }
    }
    true
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = timeout(Duration::from_secs(60), waiting).await;
    assert!(in_time.is_ok(), "waited in vain until {what}");
}

fn open(database: &Database) -> PgStore {
    PgStore::new(
        PgOptions::from_url(database.url())
            .unwrap()
            .max_connections(4),
    )
}

fn name() -> SubscriptionName {
    SubscriptionName::new("effects").unwrap()
}

async fn status(manager: &SubscriptionManager) -> SubscriptionStatus {
    manager.status_of(&name()).await.unwrap()
}

/// A manager as in a process of its own, with connections of its own.
fn manager(database: &Database, instance: &str) -> SubscriptionManager {
    let store = Arc::new(open(database));
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .instance(instance)
        .lease(LEASE)
        .poll_interval(Duration::from_millis(20))
        .build();
    let retry = RetryPolicy::new()
        .base(Duration::from_millis(10))
        .longest(Duration::from_millis(100));
    let subscription = Subscription::new(name(), Replay::Safe, Arc::new(Effects { store }))
        .lanes(NonZeroU16::new(LANES).unwrap())
        .batch_size(5)
        .retry(retry);
    manager.subscribe(subscription).unwrap();
    manager
}

/// Appends to some streams, and keeps where.
async fn append(
    store: &PgStore,
    rng: &mut fastrand::Rng,
    appended: &mut BTreeMap<String, Vec<u64>>,
) {
    for _ in 0..EVENTS {
        let stream = StreamId::new("thing", rng.u64(..STREAMS).to_string()).unwrap();
        let event = NewEvent::from_payload(
            EventName::new("happened").unwrap(),
            SchemaVersion::FIRST,
            Payload::from_json("{}").unwrap(),
        );
        // With an id of its own, the same again is the same event.
        let append = StreamAppend::new(stream.clone(), ExpectedVersion::Any, vec![event]);
        let receipt = loop {
            match store.append(vec![append.clone()]).await {
                Ok(receipt) => break receipt,
                // Connections that the server's death has cut are found one by one.
                Err(AppendError::Unknown(_)) => {}
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        let position = receipt.position().unwrap().get();
        appended
            .entry(stream.to_string())
            .or_default()
            .push(position);
    }
}

/// Writes a row for each event, in the transaction of the checkpoint.
#[derive(Debug)]
struct Effects {
    store: Arc<PgStore>,
}

#[async_trait]
impl Consumer for Effects {
    fn filter(&self) -> EventFilter {
        EventFilter::all()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (events, write) = batch.into_parts();
        let mut commit = Commit::<PgTx>::new();
        commit.work.push(Box::new(move |tx: &mut PgTx| {
            Box::pin(async move {
                for event in events {
                    sqlx::query("INSERT INTO public.effects (stream, position) VALUES ($1, $2)")
                        .bind(event.stream().to_string())
                        .bind(event.position().get().cast_signed())
                        .execute(tx.connection())
                        .await?;
                }
                Ok(())
            })
        }));
        commit.checkpoints.push(write);
        self.store.commit(commit).await?;
        Ok(())
    }
}
