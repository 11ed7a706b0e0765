//! Doing things at once, and giving them up half way.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::task::{JoinHandle, yield_now};
use uno_core::BoxError;

/// Starts so many tasks at once, on the threads of the runtime.
pub(crate) fn start<F, T>(count: usize, task: impl Fn(usize) -> F) -> Vec<JoinHandle<T>>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    (0..count)
        .map(|number| tokio::spawn(task(number)))
        .collect()
}

/// Waits for all tasks, whatever they end with.
pub(crate) async fn finish<T>(tasks: Vec<JoinHandle<T>>) -> Result<Vec<T>, BoxError> {
    let mut ended = Vec::with_capacity(tasks.len());
    for task in tasks {
        ended.push(task.await?);
    }
    Ok(ended)
}

/// Waits for all tasks; fails with the first that did.
pub(crate) async fn succeed<T, E: Into<BoxError>>(
    tasks: Vec<JoinHandle<Result<T, E>>>,
) -> Result<Vec<T>, BoxError> {
    finish(tasks)
        .await?
        .into_iter()
        .map(|result| result.map_err(Into::into))
        .collect()
}

/// Polls a future so many times, with a turn for everybody else after each, and then drops it. `Some` when it was done by then.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) =
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
        {
            return Some(output);
        }
        yield_now().await;
    }
    None
}
