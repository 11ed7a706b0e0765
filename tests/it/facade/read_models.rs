//! Read models in an application: fed, rebuilt while it runs, and brought up to newer code by themselves.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use uno::{
    Upkeep,
    core::{BoxError, SubscriptionName},
    cqrs::{Generation, Serving, VersionedProjection},
    prelude::*,
};
use uno_store_memory::MemoryTx;

use super::account::{Balances, Bank, Deposit, Deposited};

/// The same read model in later versions of the code: how often something was deposited, and what that came to.
#[derive(Debug)]
struct Later<const VERSION: u32>;

impl<const VERSION: u32> DocumentProjection for Later<VERSION> {
    const NAME: &'static str = Balances::NAME;
    const VERSION: u32 = VERSION;
    type Event = Deposited;
    type Document = (u32, i64);

    fn keys(&self, event: &Envelope<Deposited>) -> Vec<String> {
        vec![event.event().account.clone()]
    }

    fn apply(
        &self,
        _: &str,
        sum: Option<(u32, i64)>,
        event: &Envelope<Deposited>,
    ) -> Option<(u32, i64)> {
        assert!(VERSION < 9, "this version of the code is broken");
        let (count, cents) = sum.unwrap_or_default();
        Some((count + 1, cents + event.event().cents))
    }
}

/// The same as rows of one's own.
#[derive(Debug)]
struct Rows {
    table: String,
}

impl Projection<MemoryStore> for Rows {
    const NAME: &'static str = "rows";
    type Event = Deposited;

    async fn project(
        &self,
        event: &Envelope<Deposited>,
        tx: &mut MemoryTx,
    ) -> Result<(), BoxError> {
        let account = &event.event().account;
        let sum: i64 = tx
            .row(&self.table, account)
            .map_or(Ok(0), |sum| sum.parse())?;
        let sum = sum + event.event().cents;
        tx.put_row(&self.table, account.clone(), sum.to_string());
        Ok(())
    }
}

impl VersionedProjection<MemoryStore> for Rows {
    fn of_generation(&self, generation: Generation) -> Self {
        Self {
            table: generation.table("rows").into_owned(),
        }
    }

    async fn create(&self, _: &mut MemoryTx) -> Result<(), BoxError> {
        Ok(())
    }

    async fn discard(&self, tx: &mut MemoryTx) -> Result<(), BoxError> {
        for (key, _) in tx.rows(&self.table) {
            tx.remove_row(&self.table, key);
        }
        Ok(())
    }
}

async fn started<P: DocumentProjection>(
    store: &Arc<MemoryStore>,
    projection: P,
) -> App<MemoryStore> {
    let uno = Uno::builder(Arc::clone(store))
        .command::<Deposit>(Bank)
        .documents(projection)
        .poll_interval(Duration::from_millis(10))
        .build()
        .unwrap();
    uno.migrate().await.unwrap();
    uno.start().await.unwrap()
}

fn lanes(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

async fn deposit(app: &App<MemoryStore>, cents: i64) -> Receipt {
    let account = "ada".into();
    app.execute(Deposit { account, cents }).await.unwrap()
}

async fn upkeep(app: &App<MemoryStore>) -> Upkeep {
    app.status().await.read_models[0].upkeep
}

#[tokio::test]
async fn rebuilt_while_it_runs_it_is_waited_for_by_its_plain_name() {
    let app = started(&Arc::new(MemoryStore::new()), Balances).await;
    let name = SubscriptionName::new(Balances::NAME).unwrap();
    let model = Arc::clone(app.read_model(Balances::NAME).unwrap());
    for round in 1..=5 {
        deposit(&app, 1).await;
        let switched = model.rebuild().await.unwrap();
        model.drop_generation(switched.from()).await.unwrap();
        let receipt = deposit(&app, 1).await;
        app.wait_for(&name, &receipt, Duration::from_secs(60))
            .await
            .unwrap();
        let sum = app.documents::<Balances>().get("ada").await.unwrap();
        assert_eq!(sum, Some(round * 2));
    }
    assert!(app.read_model("nothing of the kind").is_none());
    app.stop().await;
    let running = app.subscriptions().status().await;
    assert!(
        running.iter().all(|status| status.state().is_stopped()),
        "{running:?}"
    );
}

#[tokio::test]
async fn newer_code_rebuilds_and_older_code_goes_on_with_what_it_has() {
    let store = Arc::new(MemoryStore::new());
    let old = started(&store, Balances).await;
    deposit(&old, 3).await;

    let new = started(&store, Later::<2>).await;
    new.until_idle().await.unwrap();
    assert_eq!(upkeep(&new).await, Upkeep::Current);
    let receipt = deposit(&new, 4).await;
    let name = SubscriptionName::new(Balances::NAME).unwrap();
    for app in [&new, &old] {
        app.wait_for(&name, &receipt, Duration::from_secs(60))
            .await
            .unwrap();
    }
    assert_eq!(
        new.documents::<Later<2>>().get("ada").await.unwrap(),
        Some((2, 7))
    );
    assert_eq!(
        old.documents::<Balances>().get("ada").await.unwrap(),
        Some(7)
    );
    old.stop().await;

    // Started once more, old code reads what is kept, and leaves alone what serves.
    let old = started(&store, Balances).await;
    old.until_idle().await.unwrap();
    assert_eq!(upkeep(&old).await, Upkeep::Current);
    assert_eq!(
        old.documents::<Balances>().get("ada").await.unwrap(),
        Some(7)
    );
    old.stop().await;
    let model = new.read_model(Balances::NAME).unwrap();
    model.drop_generation(Generation::FIRST).await.unwrap();
    let old = started(&store, Balances).await;
    old.until_idle().await.unwrap();
    assert_eq!(upkeep(&old).await, Upkeep::Stuck);
    assert!(old.documents::<Balances>().get("ada").await.is_err());
    assert_eq!(
        Serving::new(store, Balances::NAME, 2)
            .generation()
            .await
            .unwrap(),
        Generation::FIRST.next()
    );
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_fails_is_told_and_waited_for_no_longer() {
    let store = Arc::new(MemoryStore::new());
    let old = started(&store, Balances).await;
    deposit(&old, 3).await;
    old.stop().await;
    let broken = started(&store, Later::<9>).await;
    broken.until_idle().await.unwrap();
    assert_eq!(upkeep(&broken).await, Upkeep::Stuck);
    broken.stop().await;
    let old = started(&store, Balances).await;
    old.until_idle().await.unwrap();
    let sum = old.documents::<Balances>().get("ada").await.unwrap();
    assert_eq!(sum, Some(3), "the old code has gone on with what it had");
    old.stop().await;
}

#[tokio::test]
async fn rows_of_ones_own_are_rebuilt_with_the_options_that_were_chosen() {
    let rows = Rows {
        table: "rows".into(),
    };
    let uno = Uno::builder(Arc::new(MemoryStore::new()))
        .command::<Deposit>(Bank)
        .rows_with(rows, |model| {
            model.subscription(|subscription| subscription.lanes(lanes(3)))
        })
        .documents_with(Balances, |model| {
            model.subscription(|subscription| subscription.lanes(lanes(2)))
        })
        .build()
        .unwrap();
    uno.migrate().await.unwrap();
    let app = uno.start().await.unwrap();
    deposit(&app, 5).await;
    app.read_model("rows").unwrap().rebuild().await.unwrap();
    deposit(&app, 6).await;
    app.until_idle().await.unwrap();
    let backend = Arc::clone(app.backend());
    let serving = app.read_model("rows").unwrap().serving();
    let generation = serving.generation().await.unwrap();
    assert_eq!(generation, Generation::FIRST.next());
    let sum = backend.row(&generation.table("rows"), "ada");
    assert_eq!(sum, Some("11".to_owned()));
    let status = app.status().await;
    let names: Vec<_> = status
        .read_models
        .iter()
        .map(|report| report.name)
        .collect();
    assert_eq!(names, ["rows", "balances"]);
    let generations = status.read_models[0].generations.as_ref().unwrap();
    assert_eq!(generations.generations.len(), 2);
    let lanes_of = |name: &str| {
        let mut all = status.subscriptions.iter();
        let found = all.find(|subscription| subscription.name().as_str() == name);
        found.map(|subscription| subscription.lanes().len())
    };
    assert_eq!(
        (lanes_of("rows"), lanes_of("rows@2"), lanes_of("balances")),
        (Some(3), Some(3), Some(2))
    );
    app.stop().await;
}
