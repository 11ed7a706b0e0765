//! [`Lanes`]: the messages that a worker has read, by key.

use std::collections::{HashMap, VecDeque};

use uno_core::QueuedMessage;

/// Messages by key: one of each key is ready or under way, the others wait behind it.
#[derive(Default)]
pub(crate) struct Lanes {
    read_up_to: u64,
    waiting: usize,
    behind: HashMap<String, VecDeque<QueuedMessage>>,
    ready: VecDeque<QueuedMessage>,
}

impl Lanes {
    /// Up to where the queue was read.
    pub(crate) fn read_up_to(&self) -> u64 {
        self.read_up_to
    }

    /// How many messages are in memory, those under way included.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many messages could be taken up at once.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn add(&mut self, message: QueuedMessage) {
        self.read_up_to = self.read_up_to.max(message.number());
        self.waiting += 1;
        if let Some(lane) = self.behind.get_mut(message.message().key()) {
            lane.push_back(message);
        } else {
            let key = message.message().key().to_owned();
            self.behind.insert(key, VecDeque::new());
            self.ready.push_back(message);
        }
    }

    /// Takes up the next message.
    pub(crate) fn take(&mut self) -> Option<QueuedMessage> {
        self.ready.pop_front()
    }

    /// The message of this key that was under way is off the queue: the next one is ready.
    /// Whether there is none.
    pub(crate) fn finish(&mut self, key: &str) -> bool {
        self.waiting = self.waiting.saturating_sub(1);
        match self.behind.get_mut(key).and_then(VecDeque::pop_front) {
            Some(next) => {
                self.ready.push_back(next);
                false
            }
            None => {
                self.behind.remove(key);
                true
            }
        }
    }

    /// Reads past a message without taking it in.
    pub(crate) fn pass(&mut self, number: u64) {
        self.read_up_to = self.read_up_to.max(number);
    }

    /// The message of this key that was under way is not finished: it, and what is behind it, is forgotten.
    pub(crate) fn forget(&mut self, key: &str) {
        let behind = self.behind.remove(key).map_or(0, |lane| lane.len());
        self.waiting = self.waiting.saturating_sub(1 + behind);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uno_core::{Metadata, NewMessage, Payload};
    use uuid::Uuid;

    use super::*;

    fn message(number: u64, key: &str) -> QueuedMessage {
        let id = Uuid::from_u128(number.into());
        let payload = Payload::from_stored("{}");
        let message = NewMessage::new("queue", id, key, "name", payload, Metadata::new());
        QueuedMessage::new(number, message, DateTime::UNIX_EPOCH)
    }

    fn take_all(lanes: &mut Lanes) -> Vec<u64> {
        std::iter::from_fn(|| lanes.take())
            .map(|message| message.number())
            .collect()
    }

    #[test]
    fn one_of_each_key_is_ready_at_a_time_in_the_order_of_the_queue() {
        let mut lanes = Lanes::default();
        for (number, key) in [(1, "a"), (3, "a"), (4, "b"), (9, "a")] {
            lanes.add(message(number, key));
        }
        assert_eq!(
            (lanes.read_up_to(), lanes.waiting(), lanes.ready()),
            (9, 4, 2)
        );
        assert_eq!(take_all(&mut lanes), [1, 4]);
        lanes.finish("b");
        assert!(take_all(&mut lanes).is_empty());
        lanes.finish("a");
        assert_eq!(take_all(&mut lanes), [3]);
        lanes.finish("a");
        assert_eq!(take_all(&mut lanes), [9]);
        lanes.finish("a");
        assert_eq!((lanes.waiting(), lanes.behind.len()), (0, 0));
    }
}
