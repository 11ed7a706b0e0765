//! [`Dropped`]: how a future is dropped before its end.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;

/// How a future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// After it was polled so many times.
    AfterPolls(u32),
    /// After a while.
    After(Duration),
}

/// How long is waited for the polls.
const AT_MOST: Duration = Duration::from_millis(100);

impl Dropped {
    /// What the future gave, if it came to its end before.
    pub(super) async fn drop<F: Future>(self, future: F) -> Option<F::Output> {
        match self {
            Self::After(time) => timeout(time, future).await.ok(),
            Self::AfterPolls(polls) => {
                let mut future = pin!(future);
                let mut left = polls;
                // Each poll but the first comes when the future asked for it, so that there is something new to do.
                let polled = poll_fn(|context| {
                    left = left.saturating_sub(1);
                    match future.as_mut().poll(context) {
                        Poll::Ready(output) => Poll::Ready(Some(output)),
                        Poll::Pending if left == 0 => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                });
                // A future may be right to ask for nothing for ever.
                timeout(AT_MOST, polled).await.ok().flatten()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_future_is_polled_as_often_as_said() {
        let steps = || async {
            yield_now().await;
            yield_now().await;
            7
        };
        assert_eq!(Dropped::AfterPolls(1).drop(steps()).await, None);
        assert_eq!(Dropped::AfterPolls(2).drop(steps()).await, None);
        assert_eq!(Dropped::AfterPolls(3).drop(steps()).await, Some(7));
        assert_eq!(Dropped::AfterPolls(2).drop(pending::<()>()).await, None);
    }
}
