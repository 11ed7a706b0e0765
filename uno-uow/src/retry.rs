//! [`RetryPolicy`]: how often to try again, and how long to pause.

use std::time::Duration;

/// How often something is tried, for how long, and the pauses between: they double from `base` up to `cap`, each shortened by a
/// random part of up to its half, so that those who collided do not collide again.
///
/// ```
/// use std::time::Duration;
/// use uno_uow::RetryPolicy;
///
/// let policy = RetryPolicy::none().with_attempts(3).with_pauses(Duration::from_millis(10), Duration::from_secs(1));
/// assert!(policy.pause_after(1).is_some_and(|pause| pause <= Duration::from_millis(10)));
/// assert_eq!(policy.pause_after(3), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    base: Duration,
    cap: Duration,
    limit: Duration,
}

impl RetryPolicy {
    /// Tries once and never again.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            attempts: 1,
            base: Duration::ZERO,
            cap: Duration::ZERO,
            limit: Duration::MAX,
        }
    }

    /// The same, with so many attempts in all (at least one).
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The same, with these first and longest pauses.
    #[must_use]
    pub const fn with_pauses(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// The same, and no attempt begins later than so long after the first. An attempt that has begun is not cut short.
    #[must_use]
    pub const fn with_time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How long after the first attempt another one may begin.
    #[must_use]
    pub const fn time_limit(&self) -> Duration {
        self.limit
    }

    /// How long to pause after failed attempt number `failed` (from 1); `None` when there is none left.
    #[must_use]
    pub fn pause_after(&self, failed: u32) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let doubled = self.base.saturating_mul(
            1_u32
                .checked_shl(failed.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        // In halves, so that no length of a pause can overflow.
        let half = doubled.min(self.cap) / 2;
        Some(half + half.mul_f64(fastrand::f64()))
    }
}

/// Ten attempts within 30 s, with pauses from 2 ms up to 250 ms: what suits conflicts between commands.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10,
            base: Duration::from_millis(2),
            cap: Duration::from_millis(250),
            limit: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_the_attempts() {
        let policy = RetryPolicy::none()
            .with_attempts(100)
            .with_pauses(Duration::from_millis(10), Duration::from_millis(50));
        for (failed, longest) in [(1, 10), (2, 20), (3, 40), (4, 50), (40, 50), (99, 50)] {
            let pause = policy.pause_after(failed).unwrap();
            assert!(
                pause <= Duration::from_millis(longest),
                "{failed}: {pause:?}"
            );
            assert!(
                pause >= Duration::from_millis(longest / 2),
                "{failed}: {pause:?}"
            );
        }
        assert_eq!(policy.pause_after(100), None);
        assert_eq!(RetryPolicy::none().pause_after(1), None);
    }

    #[test]
    fn the_longest_pause_there_is_does_not_overflow() {
        let policy = RetryPolicy::none()
            .with_attempts(u32::MAX)
            .with_pauses(Duration::MAX, Duration::MAX);
        for failed in [1, 2, 33, u32::MAX - 1] {
            assert!(
                policy.pause_after(failed).unwrap() >= Duration::MAX / 2 - Duration::from_secs(1)
            );
        }
    }
}
