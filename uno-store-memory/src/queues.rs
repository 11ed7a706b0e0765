//! The queues of messages.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
};

use chrono::{DateTime, Utc};
use uno_core::{Acknowledgement, NewMessage, QueuedMessage, Refusal, Stale};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Queues {
    queues: HashMap<String, Queue>,
    /// The last number that was given to a message, in any queue. Never used again, also when the message is gone:
    /// a reader that has seen it goes on behind it.
    last: u64,
}

#[derive(Default)]
struct Queue {
    /// The messages, by number.
    messages: BTreeMap<u64, QueuedMessage>,
    /// The number of each message that is there.
    numbers: HashMap<Uuid, u64>,
}

impl Queues {
    /// Whether none of these messages is in its queue already.
    pub(crate) fn check_messages(&self, messages: &[NewMessage]) -> Result<(), Refusal> {
        let mut new = HashSet::new();
        for message in messages {
            if self.holds(message.queue(), message.id())
                || !new.insert((message.queue(), message.id()))
            {
                let reason = format!("{} is in queue {} already", message.id(), message.queue());
                return Err(Refusal::new("message.id", reason));
            }
        }
        Ok(())
    }

    /// Whether all of these messages are in their queues, each acknowledged once.
    pub(crate) fn check_acknowledgements(
        &self,
        acknowledgements: &[Acknowledgement],
    ) -> Result<(), Stale> {
        let mut gone = HashSet::new();
        for acknowledgement in acknowledgements {
            let (queue, id) = (acknowledgement.queue(), acknowledgement.id());
            if !self.holds(queue, id) || !gone.insert((queue, id)) {
                return Err(Stale::Message {
                    queue: queue.to_owned(),
                    id,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, acknowledgement: &Acknowledgement) {
        if let Some(queue) = self.queues.get_mut(acknowledgement.queue())
            && let Some(number) = queue.numbers.remove(&acknowledgement.id())
        {
            queue.messages.remove(&number);
        }
    }

    pub(crate) fn add(&mut self, message: NewMessage, now: DateTime<Utc>) {
        self.last += 1;
        let queue = self.queues.entry(message.queue().to_owned()).or_default();
        queue.numbers.insert(message.id(), self.last);
        queue
            .messages
            .insert(self.last, QueuedMessage::new(self.last, message, now));
    }

    pub(crate) fn read(&self, queue: &str, after: u64, limit: usize) -> Vec<QueuedMessage> {
        self.waiting(queue, after).take(limit).cloned().collect()
    }

    pub(crate) fn read_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Vec<QueuedMessage> {
        // Passes by those of other keys: a model of what a queue is, and not of what it costs.
        self.waiting(queue, after)
            .filter(|queued| queued.message().key() == key)
            .take(limit)
            .cloned()
            .collect()
    }

    fn waiting(&self, queue: &str, after: u64) -> impl Iterator<Item = &QueuedMessage> {
        let after = (Bound::Excluded(after), Bound::Unbounded);
        let queue = self.queues.get(queue).into_iter();
        queue.flat_map(move |queue| queue.messages.range(after).map(|(_, message)| message))
    }

    pub(crate) fn depth(&self, queue: &str) -> (u64, Option<DateTime<Utc>>) {
        let Some(queue) = self.queues.get(queue) else {
            return (0, None);
        };
        let oldest = queue
            .messages
            .values()
            .next()
            .map(QueuedMessage::enqueued_at);
        (queue.messages.len() as u64, oldest)
    }

    fn holds(&self, queue: &str, id: Uuid) -> bool {
        self.queues
            .get(queue)
            .is_some_and(|queue| queue.numbers.contains_key(&id))
    }
}
