//! [`Spill`] and [`Window`]: which events a handler has to read from the log, and which of them it has had.

use std::collections::VecDeque;

use uno_core::Position;

/// A stretch of the log that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spill {
    /// What comes after this one is to be read.
    pub(super) after: Position,
    /// Up to and with this one: the highest that was published. What comes later in the log will be published.
    pub(super) goal: Position,
    /// How many events were left to the log, less those that were read.
    pub(super) missing: u64,
}

impl Spill {
    /// The stretch with one event more.
    pub(super) fn including(spill: Option<Self>, position: Position) -> Self {
        let before = Position::new(position.get().saturating_sub(1)).unwrap_or(Position::START);
        match spill {
            None => Self {
                after: before,
                goal: position,
                missing: 1,
            },
            Some(spill) => Self {
                after: spill.after.min(before),
                goal: spill.goal.max(position),
                missing: spill.missing + 1,
            },
        }
    }
}

/// The positions of the last events that a handler has had, whichever way, so that none comes twice.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// Rising.
    had: VecDeque<Had>,
    /// Up to here nothing is known any more.
    forgotten: Position,
}

/// An event that a handler has had.
#[derive(Clone, Copy, Debug)]
struct Had {
    position: Position,
    /// Whether it was read from the log, and may be yet to be published: who publishes it may be slower than the log.
    ahead: bool,
}

/// The least number of events that are remembered.
const LEAST: usize = 1024;

impl Window {
    pub(super) fn of(capacity: usize) -> Self {
        Self {
            size: capacity.max(LEAST),
            had: VecDeque::new(),
            forgotten: Position::START,
        }
    }

    /// Whether it would be known if this one had been had.
    pub(super) fn covers(&self, position: Position) -> bool {
        position > self.forgotten
    }

    pub(super) fn has(&self, position: Position) -> bool {
        self.find(position).is_ok()
    }

    /// Notes that an event which was read from the log is published. Whether there is such a one.
    pub(super) fn catch_up(&mut self, position: Position) -> bool {
        // Nearly always it is higher than all so far.
        if self.had.back().is_none_or(|last| last.position < position) {
            return false;
        }
        match self.find(position) {
            Ok(place) => std::mem::take(&mut self.had[place].ahead),
            Err(_) => false,
        }
    }

    pub(super) fn add_published(&mut self, position: Position) {
        self.add(position, false);
    }

    pub(super) fn add_read(&mut self, position: Position) {
        self.add(position, true);
    }

    fn add(&mut self, position: Position, ahead: bool) {
        let had = Had { position, ahead };
        match self.had.back() {
            Some(last) if last.position >= position => match self.find(position) {
                Ok(_) => return,
                Err(place) => self.had.insert(place, had),
            },
            _ => self.had.push_back(had),
        }
        if self.had.len() > self.size
            && let Some(first) = self.had.pop_front()
        {
            self.forgotten = self.forgotten.max(first.position);
        }
    }

    fn find(&self, position: Position) -> Result<usize, usize> {
        self.had.binary_search_by_key(&position, |had| had.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Position {
        Position::new(position).unwrap()
    }

    #[test]
    fn a_stretch_grows_both_ways() {
        let spill = Spill::including(None, at(7));
        assert_eq!((spill.after, spill.goal, spill.missing), (at(6), at(7), 1));
        let spill = Spill::including(Some(spill), at(9));
        let spill = Spill::including(Some(spill), at(3));
        assert_eq!((spill.after, spill.goal, spill.missing), (at(2), at(9), 3));
    }

    #[test]
    fn a_window_knows_the_last_ones_in_whatever_order_they_came() {
        let mut window = Window::of(1);
        for position in (1..=2000).rev() {
            window.add_published(at(position));
            window.add_published(at(position));
        }
        assert!(window.has(at(2000)) && window.has(at(977)) && !window.has(at(976)));
        assert!(window.covers(at(2001)) && window.covers(at(977)) && !window.covers(at(976)));
        window.add_published(at(3000));
        assert!(window.has(at(3000)) && !window.covers(at(977)) && window.covers(at(978)));
    }

    #[test]
    fn what_was_read_from_the_log_is_taken_for_published_once() {
        let mut window = Window::of(1);
        window.add_read(at(5));
        window.add_published(at(6));
        assert!(!window.catch_up(at(6)), "that was published already");
        assert!(window.catch_up(at(5)) && !window.catch_up(at(5)));
        assert!(!window.catch_up(at(4)) && !window.catch_up(at(7)));
    }
}
