//! Handlers that take their time delay nobody else. What comes first is told by channels, not by clocks: were somebody
//! delayed, the test would wait in vain.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use uno_core::{BoxError, Metadata};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, Runner, UnitOfWork};

use super::customer::{order, orders, slip_in_order};
use crate::support::{
    account::{account, put_in},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// A place in a handler where it says that it has come, and waits until it may go on.
struct Stop {
    come: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

/// The other side of it.
struct Keeper {
    come: oneshot::Receiver<()>,
    go_on: oneshot::Sender<()>,
}

fn stop() -> (Stop, Keeper) {
    let ((come, has_come), (go, go_on)) = (oneshot::channel(), oneshot::channel());
    let keeper = Keeper {
        come: has_come,
        go_on: go,
    };
    (Stop { come, go_on }, keeper)
}

impl Stop {
    async fn wait(self) -> Result<(), BoxError> {
        self.come.send(()).map_err(|()| "nobody waits for it")?;
        Ok(self.go_on.await?)
    }
}

/// Money for an account, and an order of a customer.
async fn some<B: uno_core::Backend>(
    uow: &mut UnitOfWork<B>,
    name: &str,
) -> Result<(), CommandError> {
    put_in(uow, name, 5).await?;
    order(uow, name).await?;
    uow.put_document("notes", name, &name)?;
    Ok(())
}

/// In the closure, with everything loaded and recorded: also those who write the same pass.
pub(super) async fn a_closure_that_sleeps_delays_nobody<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    let (stop, keeper) = stop();
    let stop = Mutex::new(Some(stop));
    let slow = tokio::spawn({
        let (runner, row) = (runner.clone(), Arc::clone(harness));
        async move {
            let run = runner.run(Metadata::new(), |uow| {
                let stop = stop.lock().unwrap().take();
                let row = row.put_row("ada", "slow");
                Box::pin(async move {
                    some(uow, "ada").await?;
                    uow.work(row);
                    // Only the first attempt takes its time.
                    if let Some(stop) = stop {
                        stop.wait().await.map_err(CommandError::failed)?;
                    }
                    Ok(())
                })
            });
            run.await.unwrap()
        }
    });
    in_time(keeper.come).await.unwrap();
    for name in ["grace", "ada"] {
        let quick = runner.run(Metadata::new(), |uow| {
            let row = harness.put_row(name, "quick");
            Box::pin(async move {
                uow.work(row);
                some(uow, name).await
            })
        });
        in_time(quick).await.unwrap();
    }
    assert!(!slow.is_finished());
    keeper.go_on.send(()).unwrap();
    in_time(slow).await.unwrap();
    // The slow one has decided again, on what the quick one left.
    assert_eq!(account(store, "ada").await.balance, 10);
    assert_eq!(orders(store, "ada").await, 3);
}

/// In the work of the transaction, between two statements: it holds its own rows, and nothing else of the store. On
/// stores with many writers only; where there is one, the work has it for itself.
pub(super) async fn work_that_sleeps_delays_nobody<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    let mut slow = Vec::new();
    // Two at once, of which one is about the streams and states that others write meanwhile.
    for name in ["ada", "emma"] {
        let (stop, keeper) = stop();
        let mut uow = runner.begin(Metadata::new());
        some(&mut uow, name).await.unwrap();
        let first = harness.put_row(name, "1");
        let second = harness.put_row(name, "2");
        uow.work(move |tx| {
            Box::pin(async move {
                first(tx).await?;
                stop.wait().await?;
                second(tx).await
            })
        });
        let runner = runner.clone();
        let commit = tokio::spawn(async move { runner.commit(uow).await });
        in_time(keeper.come).await.unwrap();
        slow.push((commit, keeper.go_on));
    }
    for name in ["grace", "ada"] {
        let quick = runner.run(Metadata::new(), |uow| {
            let row = harness.put_row("grace", name);
            Box::pin(async move {
                uow.work(row);
                some(uow, name).await
            })
        });
        in_time(quick).await.unwrap();
    }
    // Readers see it at once: nothing that waits holds positions.
    let seen = |stream: &'static str| async move {
        let events = log(&**store).await;
        events
            .iter()
            .filter(|event| event.stream().to_string() == stream)
            .count()
    };
    assert_eq!(seen("account-grace").await, 2);
    assert_eq!(seen("account-ada").await, 2);
    assert_eq!(orders(store, "ada").await, 2);
    assert!(slow.iter().all(|(commit, _)| !commit.is_finished()));

    let mut ended = Vec::new();
    for (commit, go_on) in slow {
        go_on.send(()).unwrap();
        ended.push(in_time(commit).await.unwrap());
    }
    // Whoever wrote what others have written meanwhile was slower; its rows are gone with it.
    assert!(ended[0].as_ref().unwrap_err().is_conflict(), "{ended:?}");
    assert!(ended[1].is_ok(), "{ended:?}");
    assert_eq!(harness.row(store, guard, "ada").await.unwrap(), None);
    let row = harness.row(store, guard, "emma").await.unwrap();
    assert_eq!(row.as_deref(), Some("2"));
    assert_eq!(orders(store, "emma").await, 1);
}
