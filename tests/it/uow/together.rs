//! What is in a unit of work commits together, or not at all.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno_core::{
    Acknowledgement, Command, CommandId, CommitError, CorrelationId, DocumentStore, Metadata,
    NewMessage, Payload, ProcessStore, Stale,
};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, RunError, Runner, StagingError};

use crate::support::{
    account::{Account, Moved, account, put_in, slip_in},
    log, names,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

#[derive(Command, Serialize, Deserialize)]
struct SendStatement {
    rate: f64,
}

pub(super) async fn several_aggregates_commit_together<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let ((), receipt) = runner
        .run(Metadata::new(), |uow| {
            Box::pin(async move {
                put_in(uow, "ada", 5).await?;
                put_in(uow, "grace", 7).await?;
                put_in(uow, "ada", 1).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let streams: Vec<_> = receipt
        .streams()
        .iter()
        .map(|stream| {
            (
                stream.stream().to_string(),
                stream.first().get(),
                stream.last().get(),
            )
        })
        .collect();
    assert_eq!(
        streams,
        [
            ("account-ada".to_owned(), 1, 3),
            ("account-grace".to_owned(), 1, 2)
        ]
    );
    let events = log(&**store).await;
    assert_eq!(receipt.position(), Some(events.last().unwrap().position()));
    assert_eq!(
        names(&**store, "account-ada").await,
        ["opened", "moved", "moved"]
    );
    assert_eq!(names(&**store, "account-grace").await, ["opened", "moved"]);
}

pub(super) async fn a_failing_closure_commits_nothing<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let row = std::sync::Mutex::new(Some(harness.put_row("k", "v")));
    let result = runner
        .run(Metadata::new(), |uow| {
            let row = row.lock().unwrap().take().unwrap();
            Box::pin(async move {
                put_in(uow, "ada", 5).await?;
                uow.work(row);
                uow.put_document("c", "k", &1)?;
                uow.send(
                    "q",
                    *CommandId::new().as_uuid(),
                    "k",
                    &SendStatement { rate: 1.0 },
                )?;
                Err::<(), _>(CommandError::rejected("on second thoughts"))
            })
        })
        .await;
    assert!(result.unwrap_err().is_rejection());
    assert_nothing(harness, store, guard).await;
}

/// That neither events nor anything beside them is there.
async fn assert_nothing<H: BackendHarness>(harness: &Arc<H>, store: &Store<H>, guard: &Guard<H>) {
    assert_eq!(log(&**store).await, []);
    assert_eq!(
        store.load_documents("c", &["k".to_owned()]).await.unwrap(),
        []
    );
    assert_eq!(store.queue_depth("q").await.unwrap().0, 0);
    assert_eq!(harness.row(store, guard, "k").await.unwrap(), None);
}

pub(super) async fn one_conflict_commits_nothing<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    put_in(&mut uow, "grace", 5).await.unwrap();
    uow.work(harness.put_row("k", "v"));
    uow.put_document("c", "k", &1).unwrap();
    slip_in(&**store, "grace", 1).await;
    assert!(runner.commit(uow).await.unwrap_err().is_conflict());
    assert_eq!(names(&**store, "account-ada").await, Vec::<String>::new());
    assert_eq!(names(&**store, "account-grace").await, ["moved"]);
    assert_eq!(
        store.load_documents("c", &["k".to_owned()]).await.unwrap(),
        []
    );
    assert_eq!(harness.row(store, guard, "k").await.unwrap(), None);
}

pub(super) async fn rows_commit_with_the_events<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    // In this order, in one transaction: the second sees what the first has written.
    uow.work(harness.put_row("one", "v"));
    uow.work(harness.copy_row("one", "two"));
    runner.commit(uow).await.unwrap();
    assert_eq!(
        harness.row(store, guard, "two").await.unwrap().as_deref(),
        Some("v")
    );
    assert_eq!(account(store, "ada").await.balance, 5);
}

pub(super) async fn failing_work_commits_nothing<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    uow.work(harness.put_row("k", "v"));
    uow.work(|_| Box::pin(async { Err("no".into()) }));
    uow.put_document("c", "k", &1).unwrap();
    let error = runner.commit(uow).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Commit(CommitError::Work(_))),
        "{error:?}"
    );
    assert!(!error.is_conflict() && !error.is_transient());
    assert_nothing(harness, store, guard).await;
}

pub(super) async fn documents_commit_with_the_events<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    for (value, expected) in [(Some(1), Some("1")), (Some(2), Some("2")), (None, None)] {
        let mut uow = runner.begin(Metadata::new());
        put_in(&mut uow, "ada", 5).await.unwrap();
        match value {
            Some(value) => uow.put_document("c", "k", &value).unwrap(),
            None => uow.remove_document("c", "k"),
        }
        runner.commit(uow).await.unwrap();
        let found = store.load_documents("c", &["k".to_owned()]).await.unwrap();
        assert_eq!(
            found.first().map(|document| document.body().as_str()),
            expected
        );
    }
    assert_eq!(account(store, "ada").await.balance, 15);
}

pub(super) async fn a_number_that_is_not_finite_is_refused<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    // JSON has no such numbers: serde_json would write null, which nobody could read back.
    let runner = Runner::new(Arc::clone(store));
    let result = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            put_in(uow, "ada", 5).await?;
            uow.put_document("c", "k", &f64::NAN)?;
            Ok(())
        })
    });
    let error = result.await.unwrap_err();
    assert!(
        matches!(&error, RunError::Command(CommandError::Failed(_))),
        "{error:?}"
    );
    let mut uow = runner.begin(Metadata::new());
    let statement = SendStatement {
        rate: f64::INFINITY,
    };
    let sent = uow.send("q", *CommandId::new().as_uuid(), "k", &statement);
    let error = sent.unwrap_err();
    assert!(
        matches!(&error, StagingError::Refused(refusal) if refusal.field() == "payload.rate"),
        "{error:?}"
    );
    runner.commit(uow).await.unwrap();
    assert_nothing(harness, store, guard).await;
}

pub(super) async fn messages_commit_with_the_events<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let metadata = Metadata::new().with_actor("ada");
    let ids = [CommandId::new(), CommandId::new()].map(|id| *id.as_uuid());
    let mut uow = runner.begin(metadata);
    put_in(&mut uow, "ada", 5).await.unwrap();
    for id in ids {
        uow.send("q", id, "key", &SendStatement { rate: 0.5 })
            .unwrap();
    }
    let correlation = uow.metadata().correlation_id();
    runner.commit(uow).await.unwrap();
    let queued = store.read_queue("q", 0, 10).await.unwrap();
    assert_eq!(queued.len(), 2);
    for (queued, id) in queued.iter().zip(ids) {
        let message = queued.message();
        assert_eq!(
            (message.id(), message.key(), message.name()),
            (id, "key", "send_statement")
        );
        assert_eq!(message.payload().as_str(), r#"{"rate":0.5}"#);
        assert_eq!(message.metadata().actor(), Some("ada"));
        assert_eq!(message.metadata().correlation_id(), correlation);
    }
}

pub(super) async fn a_message_is_acknowledged_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let id = *CommandId::new().as_uuid();
    let mut uow = runner.begin(Metadata::new());
    let payload = Payload::from_json("{}").unwrap();
    uow.enqueue(NewMessage::new(
        "q",
        id,
        "key",
        "note",
        payload,
        Metadata::new(),
    ));
    runner.commit(uow).await.unwrap();
    for first in [true, false] {
        let mut uow = runner.begin(Metadata::new());
        put_in(&mut uow, "ada", 5).await.unwrap();
        uow.acknowledge(Acknowledgement::new("q", id));
        let result = runner.commit(uow).await;
        match result {
            Ok(_) => assert!(first),
            Err(error) => {
                let gone = matches!(&error, RunError::Stale(Stale::Message { id: gone, .. }) if *gone == id);
                assert!(!first && gone, "{error:?}");
            }
        }
    }
    assert_eq!(account(store, "ada").await.balance, 5);
}

pub(super) async fn what_was_only_read_can_be_held_still<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "limit", 10).await;
    let runner = Runner::new(Arc::clone(store));
    // (which account is read, whether it is held still, whether it moves, whether the commit fails)
    let rows = [
        ("limit", true, false, false),
        ("limit", true, true, true),
        ("limit", false, true, false),
        ("new", true, false, false),
        ("new", true, true, true),
    ];
    for (read, hold, moves, fails) in rows {
        let mut uow = runner.begin(Metadata::new());
        let held = uow.load_or_new::<Account>(&read.to_owned()).await.unwrap();
        if hold {
            held.assert_unchanged();
        }
        drop(held);
        let mut other = uow.load_or_new::<Account>(&"ada".to_owned()).await.unwrap();
        other.record(Moved { cents: 1 });
        drop(other);
        if moves {
            slip_in(&**store, read, 1).await;
        }
        let result = runner.commit(uow).await;
        match result {
            Ok(receipt) => {
                assert!(!fails, "{read} {hold} {moves}");
                assert_eq!(receipt.streams().len(), 1);
            }
            Err(error) => assert!(fails && error.is_conflict(), "{error:?}"),
        }
    }
    assert_eq!(account(store, "ada").await.balance, 3);
}

pub(super) async fn nothing_to_commit_is_fine<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 10).await;
    let runner = Runner::new(Arc::clone(store));
    let (balance, receipt) = runner
        .run(Metadata::new(), |uow| {
            Box::pin(async move {
                let account = uow.load::<Account>(&"ada".to_owned()).await?;
                Ok(account.state().balance)
            })
        })
        .await
        .unwrap();
    assert_eq!(
        (balance, receipt.position(), receipt.streams()),
        (10, None, &[][..])
    );
    let nothing = runner.commit(runner.begin(Metadata::new())).await.unwrap();
    assert_eq!(nothing.epoch(), receipt.epoch());
    assert_eq!(log(&**store).await.len(), 1);
}

pub(super) async fn metadata_is_on_everything<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let cause = CommandId::new();
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*cause.as_uuid())
        .with_actor("ada")
        .with_tenant("acme")
        .with_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        )
        .with_header("channel", "web");
    let mut uow = runner.begin(metadata.clone());
    put_in(&mut uow, "ada", 5).await.unwrap();
    put_in(&mut uow, "grace", 5).await.unwrap();
    runner.commit(uow).await.unwrap();
    let events = log(&**store).await;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| *event.metadata() == metadata));

    // Without a correlation id, one starts: the same for everything in the unit of work, and another in the next.
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut uow = runner.begin(Metadata::new());
        put_in(&mut uow, "ada", 5).await.unwrap();
        put_in(&mut uow, "grace", 5).await.unwrap();
        runner.commit(uow).await.unwrap();
        let events = log(&**store).await;
        let [.., one, other] = &events[..] else {
            panic!("two events were appended");
        };
        assert!(one.metadata().correlation_id().is_some());
        assert_eq!(one.metadata(), other.metadata());
        seen.push(one.metadata().correlation_id());
    }
    assert_ne!(seen[0], seen[1]);
}
