//! Runs code of the user's so that it can neither unwind into ours nor take for ever.

use std::{
    any::Any,
    error::Error,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt as _;

/// Why code of the user's did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("did not finish within {0:?}")]
    TimedOut(Duration),
}

/// Awaits `work`, catching a panic, and dropping it when it takes longer than `limit`.
///
/// The limit sits inside the catch, so that a panic from the drop of a late future is caught as well. What a
/// panicking handler leaves behind in its own fields is its own affair, hence `AssertUnwindSafe`.
pub(crate) async fn guarded<F: Future + Send>(
    limit: Option<Duration>,
    work: F,
) -> Result<F::Output, Interrupted> {
    let limited = async move {
        let mut work = pin!(work);
        // Most handlers are done without waiting: the first look at them costs no timer.
        let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        match (first, limit) {
            (Poll::Ready(output), _) => Ok(output),
            (Poll::Pending, None) => Ok(work.await),
            (Poll::Pending, Some(limit)) => tokio::time::timeout(limit, work)
                .await
                .map_err(|_| Interrupted::TimedOut(limit)),
        }
    };
    match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Interrupted::Panicked(panic_text(&*panic))),
    }
}

/// What a panic said, as far as it said it in words.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a value that is not text)".to_owned()
    }
}

/// An error with its causes, on one line.
pub(crate) fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
