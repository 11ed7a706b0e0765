//! The ways in which an application runs projections: in the commits of commands, folded when they are asked for, and sinks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use uno::{
    core::SubscriptionName,
    cqrs::{Marked, Upsert},
    prelude::*,
};

use super::account::{Account, Bank, Deposit, Deposited};

/// What is in each account, and nothing of one with nothing in it.
#[derive(Clone, Copy, Debug)]
struct Sums;

impl StreamProjection for Sums {
    const NAME: &'static str = "sums";
    const CATEGORY: &'static str = Account::CATEGORY;
    type Event = Deposited;
    type Document = i64;

    fn fold(&self, sum: Option<i64>, event: &Fact<'_, Deposited>) -> Option<i64> {
        Some(sum.unwrap_or_default() + event.event().cents).filter(|sum| *sum != 0)
    }
}

/// The last deposit of each account, elsewhere.
#[derive(Clone, Debug, Default)]
struct Elsewhere(Arc<Mutex<BTreeMap<String, (u64, String)>>>);

impl Sink for Elsewhere {
    const NAME: &'static str = "elsewhere";
    type Event = Deposited;

    fn upserts(&self, event: &Envelope<Deposited>) -> Result<Vec<Upsert>, BoxError> {
        let deposited = event.event();
        Ok(vec![Upsert::put(
            deposited.account.clone(),
            &deposited.cents,
        )?])
    }

    async fn take(&self, upserts: &[Marked]) -> Result<(), BoxError> {
        let mut entries = self.0.lock().map_err(|_| "poisoned")?;
        for upsert in upserts {
            let there = entries.get(upsert.key()).map_or(0, |(mark, _)| *mark);
            if let Some(body) = upsert.body()
                && upsert.mark() > there
            {
                let entry = (upsert.mark(), body.as_str().to_owned());
                entries.insert(upsert.key().to_owned(), entry);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn inline_live_and_outside() {
    let (store, elsewhere) = (Arc::new(MemoryStore::new()), Elsewhere::default());
    let uno = Uno::builder(Arc::clone(&store))
        .command::<Deposit>(Bank)
        .inline(Sums)
        .sink(elsewhere.clone())
        .poll_interval(Duration::from_millis(10))
        .build()
        .unwrap();
    let catalogue = uno.describe("bank");
    let kinds: Vec<(&str, &str)> = catalogue
        .projections
        .iter()
        .map(|entry| (&*entry.name, &*entry.kind))
        .collect();
    assert_eq!(kinds, [("elsewhere", "sink"), ("sums", "documents")]);
    uno.migrate().await.unwrap();
    let app = uno.start().await.unwrap();
    let sums = app.documents::<Sums>();
    let live = app.live(Sums).unwrap();
    let mut receipts = Vec::new();
    for (cents, expected) in [(5, Some(5)), (2, Some(7)), (-7, None), (3, Some(3))] {
        let account = "ada".to_owned();
        receipts.push(app.execute(Deposit { account, cents }).await.unwrap());
        assert_eq!(sums.get("ada").await.unwrap(), expected, "at once");
        assert_eq!(live.get("ada").await.unwrap(), expected);
    }
    let before = live.as_of(AsOf::Position(receipts[1].position().unwrap()));
    assert_eq!(before.get("ada").await.unwrap(), Some(7));
    // Another one, which is not inline, is folded without being registered.
    let balances = app.live(super::account::Balances).unwrap();
    assert_eq!(balances.get("ada").await.unwrap(), Some(3));
    // A rebuild goes on with it.
    app.read_model("sums").unwrap().rebuild().await.unwrap();
    let account = "ada".to_owned();
    let last = app.execute(Deposit { account, cents: 1 }).await.unwrap();
    assert_eq!(sums.get("ada").await.unwrap(), Some(4));
    let name = SubscriptionName::new("elsewhere").unwrap();
    app.wait_for(&name, &last, Duration::from_secs(60))
        .await
        .unwrap();
    let outside = elsewhere.0.lock().unwrap().get("ada").cloned();
    assert_eq!(outside.map(|(_, body)| body), Some("1".to_owned()));
    app.stop().await;
}
