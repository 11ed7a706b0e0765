//! [`RetryPolicy`]: how often and after which waits something is tried again.

use std::time::Duration;

/// How often an event that could not be handled is tried again, and how long to wait before each time.
///
/// The waits double, each somewhere between half of its full length and all of it, so that those who failed together do
/// not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u32,
    base: Duration,
    longest: Duration,
}

impl RetryPolicy {
    /// Three retries, after about one, two and four seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            retries: 3,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(60),
        }
    }

    /// This many retries after the first attempt.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The full length of the first wait.
    #[must_use]
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The full length that no wait exceeds. A minute unless it is said.
    #[must_use]
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Whether there is another retry after this many failed attempts.
    pub(crate) const fn allows(&self, failed_attempts: u32) -> bool {
        failed_attempts <= self.retries
    }

    /// How long to wait after this many failed attempts.
    pub(crate) fn wait(&self, failed_attempts: u32) -> Duration {
        let doublings = failed_attempts.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.longest);
        full / 2 + full.mul_f64(fastrand::f64() / 2.0)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        let policy = RetryPolicy::new()
            .base(Duration::from_millis(100))
            .longest(Duration::from_millis(500));
        for (attempts, full) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 500),
            (5, 500),
            (40, 500),
            (u32::MAX, 500),
        ] {
            for _ in 0..100 {
                let wait = policy.wait(attempts);
                let full = Duration::from_millis(full);
                assert!(wait >= full / 2 && wait <= full, "{attempts}: {wait:?}");
            }
        }
        assert_eq!(
            RetryPolicy::new().base(Duration::ZERO).wait(7),
            Duration::ZERO
        );
    }

    #[test]
    fn three_retries_are_four_attempts() {
        let allowed: Vec<u32> = (0..10)
            .filter(|failed| RetryPolicy::new().allows(*failed))
            .collect();
        assert_eq!(allowed, [0, 1, 2, 3]);
        assert!(!RetryPolicy::new().retries(0).allows(1));
    }
}
