//! A whole application on the store in memory.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use uno::{
    core::{ProcessStatus, SubscriptionName},
    cqrs::ExecuteError,
    prelude::*,
};

use super::account::{Balances, Bank, Deposit, Deposited, Presents};

async fn started() -> App<MemoryStore> {
    let builder = Uno::builder(Arc::new(MemoryStore::new())).command::<Deposit>(Bank);
    let uno = builder
        .documents(Balances)
        .saga::<Presents>()
        .build()
        .unwrap();
    uno.migrate().await.unwrap();
    uno.start().await.unwrap()
}

fn deposit(cents: i64) -> Deposit {
    Deposit {
        account: "ada".into(),
        cents,
    }
}

#[tokio::test]
async fn a_caller_reads_its_own_writes() {
    let app = started().await;
    let name = SubscriptionName::new(Balances::NAME).unwrap();
    for sum in 1..=20 {
        let receipt = app.execute(deposit(1)).await.unwrap();
        app.wait_for(&name, &receipt, Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(
            app.documents::<Balances>().get("ada").await.unwrap(),
            Some(sum)
        );
    }
    app.stop().await;
}

/// A request handler of a web framework is spawned, so what it awaits has to be `Send` wherever the store is not known yet.
#[tokio::test]
async fn documents_are_read_in_tasks_that_know_no_store() {
    async fn read<B: Backend>(app: App<B>) -> Option<i64> {
        let documents = app.documents::<Balances>();
        let reading = tokio::spawn(async move {
            let many = documents.get_many(&["ada".to_owned()]).await.unwrap();
            assert_eq!(
                many.get("ada"),
                documents.get("ada").await.unwrap().as_ref()
            );
            assert_eq!(documents.scan(None, 10).await.unwrap().len(), many.len());
            many.get("ada").copied()
        });
        let status = tokio::spawn(async move { app.status().await });
        assert_eq!(status.await.unwrap().read_models.len(), 1);
        reading.await.unwrap()
    }
    let app = started().await;
    app.execute(deposit(7)).await.unwrap();
    app.until_idle().await.unwrap();
    assert_eq!(read(app.clone()).await, Some(7));
    app.stop().await;
}

#[tokio::test]
async fn a_rejected_command_leaves_no_event() {
    let app = started().await;
    assert!(app.execute(deposit(-1)).await.unwrap_err().is_rejection());
    assert_eq!(
        app.backend().head().await.unwrap().position(),
        Position::START
    );
    app.stop().await;
}

#[tokio::test]
async fn the_bus_is_told_of_what_committed_in_order() {
    let app = started().await;
    let (told, mut heard) = mpsc::unbounded_channel();
    app.bus()
        .subscribe("test", move |event: Arc<Envelope<Deposited>>| {
            let _ = told.send(event.event().cents);
            std::future::ready(Ok(()))
        });
    for cents in [3, 1, 2] {
        app.execute(deposit(cents)).await.unwrap();
    }
    for cents in [3, 1, 2] {
        assert_eq!(heard.recv().await, Some(cents));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_saga_acts_once_and_everything_comes_to_rest() {
    let app = started().await;
    for _ in 0..3 {
        app.execute(deposit(100_000)).await.unwrap();
    }
    app.until_idle().await.unwrap();
    assert_eq!(
        app.documents::<Balances>().get("ada").await.unwrap(),
        Some(300_500)
    );
    let instance = app
        .saga::<Presents>()
        .unwrap()
        .instance("ada")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(instance.status(), ProcessStatus::Completed);
    let status = app.status().await;
    assert_eq!(status.sagas[0].commands.succeeded, 1);
    assert!(
        status
            .subscriptions
            .iter()
            .all(|subscription| subscription.lag_events() == Some(0)),
        "{status:?}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_command_without_a_handler_is_a_typed_error() {
    let uno = Uno::builder(Arc::new(MemoryStore::new())).build().unwrap();
    uno.migrate().await.unwrap();
    let app = uno.start().await.unwrap();
    let error = app.execute(deposit(1)).await.unwrap_err();
    assert!(
        matches!(&error, ExecuteError::UnknownCommand(name) if name == "deposit"),
        "{error}"
    );
    app.stop().await;
}
