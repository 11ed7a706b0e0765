//! Outcomes under idempotency keys are kept as long as it was said, and no longer.

use std::{sync::Arc, time::Duration};

use uno::prelude::*;

use super::account::{Bank, Deposit};

fn deposit() -> Deposit {
    Deposit {
        account: "ada".into(),
        cents: 1,
    }
}

async fn started(
    store: &Arc<MemoryStore>,
    options: impl FnOnce(UnoBuilder<MemoryStore>) -> UnoBuilder<MemoryStore>,
) -> App<MemoryStore> {
    let builder = Uno::builder(Arc::clone(store)).command::<Deposit>(Bank);
    let uno = options(builder).build().unwrap();
    uno.migrate().await.unwrap();
    uno.start().await.unwrap()
}

#[tokio::test]
async fn a_key_is_as_good_as_new_when_its_outcome_was_kept_long_enough() {
    let store = Arc::new(MemoryStore::new());
    let app = started(&store, |builder| {
        builder.keep_outcomes(Duration::from_millis(1))
    })
    .await;
    let key: IdempotencyKey = "one wish".parse().unwrap();
    let first = app.execute_once(key.clone(), deposit()).await.unwrap();
    // Again and again, until nothing is known of the first time.
    loop {
        let again = app.execute_once(key.clone(), deposit()).await.unwrap();
        if again != first {
            assert!(again.position() > first.position());
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn an_outcome_outlives_the_process_unless_it_is_old() {
    let store = Arc::new(MemoryStore::new());
    let key: IdempotencyKey = "one wish".parse().unwrap();
    let app = started(&store, |builder| builder).await;
    let first = app.execute_once(key.clone(), deposit()).await.unwrap();
    app.stop().await;
    let keepers: [fn(UnoBuilder<MemoryStore>) -> UnoBuilder<MemoryStore>; 3] = [
        |builder| builder,
        |builder| builder.keep_outcomes(Duration::from_secs(3_600)),
        |builder| builder.keep_outcomes_for_good(),
    ];
    for keeper in keepers {
        let app = started(&store, keeper).await;
        let again = app.execute_once(key.clone(), deposit()).await.unwrap();
        assert_eq!(again, first);
        app.stop().await;
    }
}
