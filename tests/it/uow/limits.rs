//! What a unit of work does not do.

use std::sync::Arc;

use uno_core::{Metadata, StoreError};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, RunError, Runner};

use crate::support::{
    account::{put_in, slip_in},
    log,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

pub(super) async fn run_does_not_nest<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let result = runner.run(Metadata::new(), |uow| {
        let runner = runner.clone();
        Box::pin(async move {
            put_in(uow, "ada", 5).await?;
            let inner = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "grace", 5)));
            inner.await.map(drop).map_err(CommandError::failed)
        })
    });
    let RunError::Command(CommandError::Failed(inner)) = result.await.unwrap_err() else {
        panic!("the inner error is handed on");
    };
    let nested = inner.downcast::<RunError>().unwrap();
    assert!(matches!(*nested, RunError::Nested));
    assert_eq!(
        nested.to_string(),
        "a unit of work is running on this task already; units of work do not nest"
    );
    assert_eq!(log(&**store).await, []);
}

pub(super) async fn commit_does_not_nest<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let result = runner.run(Metadata::new(), |_| {
        let runner = runner.clone();
        Box::pin(async move {
            let mut inner = runner.begin(Metadata::new());
            put_in(&mut inner, "grace", 5).await?;
            Ok(matches!(runner.commit(inner).await, Err(RunError::Nested)))
        })
    });
    assert!(result.await.unwrap().0);
    assert_eq!(log(&**store).await, []);
}

pub(super) async fn work_can_not_write_through_the_store<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    let inner = runner.clone();
    uow.work(move |_| {
        Box::pin(async move {
            let run = inner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "grace", 5)));
            run.await.map(drop).map_err(Into::into)
        })
    });
    let error = runner.commit(uow).await.unwrap_err();
    let RunError::Commit(uno_core::CommitError::Work(inner)) = error else {
        panic!("the work's error is handed on: {error:?}");
    };
    let inner = inner.downcast::<RunError>().unwrap();
    let refused = matches!(inner.store_error(), Some(StoreError::Unsupported { .. }));
    assert!(refused, "{inner:?}");
    assert_eq!(log(&**store).await, []);
    slip_in(&**store, "ada", 1).await;
}
