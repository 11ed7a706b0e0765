//! One poller for all the subscriptions of a process: however many there are, the server is asked as if there were one.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use uno_core::{
    BoxError, Envelope, EventStoreExt as _, ExpectedVersion, StreamId, SubscriptionName,
};
use uno_events::{EventHandler, Replay, Subscription, SubscriptionManager};
use uno_testkit::conformance::Harness as _;

use super::{PgHarness, Schema, database_url};
use crate::support::{account::Moved, rest::in_time};

const SUBSCRIPTIONS: u64 = 40;
const EVENTS: u64 = 30;

/// Counts what all subscriptions have handled.
#[derive(Clone)]
struct Count(Arc<watch::Sender<u64>>);

impl EventHandler<Moved> for Count {
    async fn handle(&self, _: &Envelope<Moved>) -> Result<(), BoxError> {
        self.0.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Counts every horizon that is asked for, in a sequence, which no transaction takes back.
async fn count_horizons(schema: &Schema, connection: &mut PgConnection) {
    let count = format!(
        "CREATE SEQUENCE {0}.asked;
         ALTER FUNCTION {0}.log_horizon() RENAME TO real_horizon;
         CREATE FUNCTION {0}.log_horizon() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
         BEGIN PERFORM nextval('{0}.asked'); RETURN {0}.real_horizon(); END $$;",
        schema.name
    );
    sqlx::raw_sql(AssertSqlSafe(count))
        .execute(connection)
        .await
        .unwrap();
}

async fn horizons(schema: &Schema, connection: &mut PgConnection) -> u64 {
    let asked = AssertSqlSafe(format!("SELECT last_value FROM {}.asked", schema.name));
    let asked: i64 = sqlx::query(asked)
        .fetch_one(connection)
        .await
        .unwrap()
        .get(0);
    asked.unsigned_abs()
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_subscriptions_ask_for_a_horizon_as_one_does() {
    let harness = PgHarness {
        url: database_url,
        options: |options| options.without_hints(),
    };
    let (store, schema) = harness.open().await.unwrap();
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    count_horizons(&schema, &mut connection).await;
    let count = Count(Arc::new(watch::Sender::new(0)));
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        // Longer than the test: whatever is asked, is asked because something was appended.
        .poll_interval(Duration::from_secs(3600))
        .build();
    for number in 0..SUBSCRIPTIONS {
        let name = SubscriptionName::new(format!("s{number}")).unwrap();
        manager
            .subscribe(Subscription::handler(name, Replay::Safe, count.clone()))
            .unwrap();
    }
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();

    let before = horizons(&schema, &mut connection).await;
    let mut handled = count.0.subscribe();
    for event in 1..=EVENTS {
        let stream = StreamId::new("account", "a").unwrap();
        let moved = [Moved { cents: 1 }];
        store
            .append_events(stream, ExpectedVersion::Any, &moved)
            .await
            .unwrap();
        let all = in_time(handled.wait_for(|count| *count == event * SUBSCRIPTIONS));
        drop(all.await.unwrap());
    }
    let asked = horizons(&schema, &mut connection).await - before;
    // For each event, once because it has come, and a few times because checkpoints were saved, which is a change as well.
    assert!(
        asked <= EVENTS * SUBSCRIPTIONS / 4,
        "asked {asked} times: each subscription for itself would make {}",
        EVENTS * SUBSCRIPTIONS
    );
    manager.stop_all().await;
    harness.close(schema).await;
}
