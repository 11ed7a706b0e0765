//! [`Stride`]: how many events are fed at a time.

use std::time::Duration;

/// How many events are fed at a time: few as a rule, more to a consumer that is quick with them, since each batch costs a commit.
///
/// What is fed at a time is what a crash has handled again and what a stop waits for; so it grows only while a whole batch takes next
/// to no time.
#[derive(Debug)]
pub(super) struct Stride {
    least: usize,
    most: usize,
    now: usize,
}

impl Stride {
    /// A batch that takes no longer may be followed by one of twice as many events.
    const QUICK: Duration = Duration::from_millis(50);

    pub(super) fn new(least: usize, most: usize) -> Self {
        Self {
            least,
            most: most.max(least),
            now: least,
        }
    }

    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// As at the beginning: nothing is known of how long a batch takes.
    pub(super) fn reset(&mut self) {
        self.now = self.least;
    }

    /// So many events were handled, and took so long.
    pub(super) fn took(&mut self, events: usize, time: Duration) {
        if time > Self::QUICK * 2 {
            self.reset();
        } else if events >= self.now && time <= Self::QUICK {
            self.now = (self.now * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_whole_quick_batches_up_to_the_most_and_falls_back_at_a_slow_one() {
        let quick = Stride::QUICK;
        let mut stride = Stride::new(100, 500);
        for (events, time, expected) in [
            (99, Duration::ZERO, 100),
            (100, quick, 200),
            (200, quick * 2, 200),
            (200, Duration::ZERO, 400),
            (400, Duration::ZERO, 500),
            (500, Duration::ZERO, 500),
            (3, quick, 500),
            (3, quick * 3, 100),
            (100, quick, 200),
        ] {
            stride.took(events, time);
            assert_eq!(stride.now(), expected, "{events} in {time:?}");
        }
        stride.reset();
        assert_eq!(stride.now(), 100);
    }

    #[test]
    fn what_was_said_is_kept() {
        let mut stride = Stride::new(7, 7);
        stride.took(7, Duration::ZERO);
        assert_eq!(stride.now(), 7);
    }
}
