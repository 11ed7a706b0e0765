//! Runs a case: a runtime of its own, a fresh store, a time limit, and cleaning up whatever happens.

use std::{any::Any, error::Error, fmt::Write as _, sync::Arc, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    task::JoinError,
    time::timeout,
};

use super::{CaseFn, DocumentCaseFn, DocumentHarness, DocumentTrial, Harness, Outcome, Trial};

/// How long a case may take. Most take milliseconds; one that waits for ever ends here.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Runs a case as a test: panics when it fails. What [`conformance!`](crate::conformance!) calls.
///
/// # Panics
/// When the case fails.
pub fn run<H: Harness>(harness: impl FnOnce() -> H, case: CaseFn<H>) {
    if let Err(failure) = attempt(harness, case, TIME_LIMIT) {
        panic!("{failure}");
    }
}

/// Runs a case on a fresh store, on a runtime with two workers, and says how it failed if it did.
///
/// # Errors
/// When the store can't be opened, when the case panics or returns an error, or when it takes longer than `limit`.
pub fn attempt<H: Harness>(
    harness: impl FnOnce() -> H,
    case: CaseFn<H>,
    limit: Duration,
) -> Result<(), String> {
    let runtime = two_workers()?;
    let ended = runtime.block_on(async {
        let harness = harness();
        let (store, guard) = harness
            .open()
            .await
            .map_err(|error| format!("open failed: {}", chain(&*error)))?;
        let trial = Arc::new(Trial::new(harness, store, guard));
        let under_test = Arc::clone(&trial);
        let ended = judge(limit, async move { case(&under_test).await }).await;
        // A case that hangs may still use the store: then there is nothing to close.
        if let Some(trial) = Arc::into_inner(trial) {
            trial.close().await;
        }
        ended
    });
    runtime.shutdown_background();
    ended
}

/// Runs a case about documents as a test: panics when it fails. What [`document_conformance!`](crate::document_conformance!) calls.
///
/// # Panics
/// When the case fails.
pub fn run_documents<H: DocumentHarness>(harness: impl FnOnce() -> H, case: DocumentCaseFn<H>) {
    if let Err(failure) = attempt_documents(harness, case, TIME_LIMIT) {
        panic!("{failure}");
    }
}

/// As [`attempt`], for a case about documents.
///
/// # Errors
/// As [`attempt`].
pub fn attempt_documents<H: DocumentHarness>(
    harness: impl FnOnce() -> H,
    case: DocumentCaseFn<H>,
    limit: Duration,
) -> Result<(), String> {
    let runtime = two_workers()?;
    let ended = runtime.block_on(async {
        let harness = harness();
        let (store, guard) = harness
            .open()
            .await
            .map_err(|error| format!("open failed: {}", chain(&*error)))?;
        let opened = Arc::new((harness, store, guard));
        let under_test = Arc::clone(&opened);
        let ended = judge(limit, async move {
            let (harness, store, guard) = &*under_test;
            case(&DocumentTrial::new(harness, store, guard)).await
        })
        .await;
        // A case that hangs may still use the store: then there is nothing to close.
        if let Some((harness, store, guard)) = Arc::into_inner(opened) {
            drop(store);
            harness.close(guard).await;
        }
        ended
    });
    runtime.shutdown_background();
    ended
}

/// The runtime that a case has for itself.
pub(crate) fn two_workers() -> Result<Runtime, String> {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("there is no runtime: {error}"))
}

/// Runs a case, and says how it failed if it did.
pub(crate) async fn judge(
    limit: Duration,
    case: impl Future<Output = Outcome> + Send + 'static,
) -> Result<(), String> {
    // A task of its own, so that a case that blocks its thread is noticed as well as one that waits.
    let mut task = tokio::spawn(case);
    match timeout(limit, &mut task).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(chain(&*error)),
        Ok(Err(error)) => Err(panicked(error)),
        Err(_) => {
            task.abort();
            Err(format!("was not done after {limit:?}"))
        }
    }
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string can't fail.
        let _written = write!(text, ": {error}");
        source = error.source();
    }
    text
}

fn panicked(error: JoinError) -> String {
    let message = |payload: Box<dyn Any + Send>| match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload
            .downcast::<&str>()
            .map_or_else(|_| String::from("panicked"), |text| (*text).to_owned()),
    };
    error
        .try_into_panic()
        .map_or_else(|error| error.to_string(), message)
}
