//! Waiting until something has come to rest, and tasks that are stopped or die.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uno_core::Backend;

/// How long anything may take before a test fails for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Awaits, but not for ever.
#[track_caller]
pub(crate) fn in_time<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(output) => output,
            Err(_) => panic!("waited in vain at {place}"),
        }
    }
}

/// Returns once `ready` says so; it is asked whenever the store has changed, and now and then.
pub(crate) async fn until<B: Backend, F: Future<Output = bool>>(
    store: &B,
    mut ready: impl FnMut() -> F,
) {
    in_time(async {
        loop {
            let mark = store.change();
            if ready().await {
                return;
            }
            tokio::select! {
                () = store.changed(mark) => {}
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    })
    .await;
}

/// Returns once the queue is empty.
pub(crate) async fn drained<B: Backend>(store: &B, queue: &str) {
    until(store, || async {
        store.queue_depth(queue).await.unwrap().0 == 0
    })
    .await;
}

/// A task that runs until it is stopped, or dies.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { stop, task }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        in_time(self.task).await.unwrap();
    }

    /// Ends it wherever it is, as a crash would, and waits until it is gone.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let ended = in_time(self.task).await;
        assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
    }
}
