//! [`RetryBudget`]: how much may be tried again by all together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How much may be tried again by all units of work together, so that a storm of conflicts does not multiply the load that
/// it comes from. Cheap to clone: clones share what is left.
///
/// It is a bucket of tokens. Trying again takes one; each unit of work that is run puts some in, and so does time. When it is
/// empty, a conflict is not tried again but returned, whatever [`RetryPolicy`](crate::RetryPolicy) would allow.
/// So the retries are at most a share of the work there is, however many attempts each single one may have.
///
/// ```
/// use uno_uow::RetryBudget;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// // Half a retry for each run, and none beside it but the two that are there at the beginning.
/// let budget = RetryBudget::new(2).with_retries_per_run(0.5).with_retries_per_second(0.0);
/// assert_eq!(budget.left(), 2);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: the retry budget of Finagle (`com.twitter.finagle.service.RetryBudget`: deposits by requests, withdrawals by
/// retries, a minimum per second), and the retry throttling of gRPC (proposal A6).
#[derive(Clone, Debug)]
pub struct RetryBudget {
    capacity: f64,
    per_run: f64,
    per_second: f64,
    /// A std mutex: it is only held to count.
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// When it was last counted.
    counted: Instant,
}

impl RetryBudget {
    /// A full bucket that holds so many retries, with 4 for each run and 100 for each second.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let capacity = f64::from(capacity);
        Self {
            capacity,
            per_run: 4.0,
            per_second: 100.0,
            bucket: Arc::new(Mutex::new(Bucket {
                tokens: capacity,
                counted: Instant::now(),
            })),
        }
    }

    /// As much as the retry policy allows: nothing is counted.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            capacity: f64::INFINITY,
            ..Self::new(u32::MAX)
        }
    }

    /// The same bucket, with so many retries for each unit of work that is run. What is not a number, or below zero, is 0.
    #[must_use]
    pub fn with_retries_per_run(mut self, retries: f64) -> Self {
        self.per_run = retries.max(0.0);
        self
    }

    /// The same bucket, with so many retries for each second. What is not a number, or below zero, is 0.
    #[must_use]
    pub fn with_retries_per_second(mut self, retries: f64) -> Self {
        self.per_second = retries.max(0.0);
        self
    }

    /// How many retries there are now.
    #[must_use]
    pub fn left(&self) -> u32 {
        // Down to whole ones; what is more than fits is the most that fits.
        self.count().tokens as u32
    }

    /// A unit of work begins to run.
    pub(crate) fn deposit(&self) {
        let mut bucket = self.count();
        bucket.tokens = (bucket.tokens + self.per_run).min(self.capacity);
    }

    /// Whether there is a retry left; takes it.
    pub(crate) fn withdraw(&self) -> bool {
        if self.capacity.is_infinite() {
            return true;
        }
        let mut bucket = self.count();
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// The bucket, with what time has put in.
    fn count(&self) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let seconds = now.saturating_duration_since(bucket.counted).as_secs_f64();
        bucket.tokens = (bucket.tokens + seconds * self.per_second).min(self.capacity);
        bucket.counted = now;
        bucket
    }
}

/// 1,000 at once, 4 for each run, and 100 for each second: conflicts of everyday use are tried again as the policy says,
/// and a storm of them makes at most five times the load.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(1000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn withdraw(budget: &RetryBudget, times: u32) -> u32 {
        (0..times).map(|_| u32::from(budget.withdraw())).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_out_is_gone_until_runs_or_time_put_it_back() {
        let budget = RetryBudget::new(10)
            .with_retries_per_run(0.5)
            .with_retries_per_second(2.0);
        assert_eq!(withdraw(&budget, 100), 10);
        for (runs, seconds, retries) in [
            (0, 0, 0),
            (3, 0, 1),
            (1, 0, 1),
            (0, 2, 4),
            (100, 0, 10),
            (0, 3600, 10),
        ] {
            (0..runs).for_each(|_| budget.deposit());
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(withdraw(&budget, 100), retries, "{runs} runs, {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_what_is_left() {
        let budget = RetryBudget::new(3).with_retries_per_second(f64::NAN);
        assert_eq!(withdraw(&budget.clone(), 2), 2);
        assert_eq!((budget.left(), withdraw(&budget, 5)), (1, 1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(withdraw(&budget, 1), 0);
        assert_eq!(withdraw(&RetryBudget::unlimited(), 10_000), 10_000);
        assert_eq!(RetryBudget::unlimited().left(), u32::MAX);
    }
}
