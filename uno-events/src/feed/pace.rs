//! [`Pace`]: how often the end of the log is asked for.

use tokio::time::{Duration, Instant, sleep};

/// How many questions there may be in a second, over time, and how many at once.
///
/// On Postgres each looks at the server's locks, which writers pay for: measured on two cores, 1,300 in a second cost them nothing
/// that could be told from noise, and 5,300 nearly a third. Whoever waits here finds more in one answer.
const PER_SECOND: f64 = 1000.0;

/// A bucket of questions. Full, it holds those of a second, so that who asks now and then never waits.
#[derive(Debug)]
pub(super) struct Pace {
    left: f64,
    counted: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            left: PER_SECOND,
            counted: Instant::now(),
        }
    }

    /// Waits until another question may be put. Dropping it takes nothing.
    pub(super) async fn take(&mut self) {
        self.refill();
        while self.left < 1.0 {
            // At least a millisecond, which is what timers can tell apart.
            let missing = Duration::from_secs_f64((1.0 - self.left) / PER_SECOND);
            sleep(missing.max(Duration::from_millis(1))).await;
            self.refill();
        }
        self.left -= 1.0;
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.counted).as_secs_f64();
        self.left = (self.left + since * PER_SECOND).min(PER_SECOND);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_more_is_spread_over_time() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        for _ in 0..1000 {
            pace.take().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..500 {
            pace.take().await;
        }
        let took = start.elapsed();
        assert!((450..=550).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rest_fills_it_up_to_the_brim_and_no_further() {
        let mut pace = Pace::new();
        for _ in 0..1000 {
            pace.take().await;
        }
        sleep(Duration::from_secs(3600)).await;
        let start = Instant::now();
        for _ in 0..1001 {
            pace.take().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(1));
    }
}
