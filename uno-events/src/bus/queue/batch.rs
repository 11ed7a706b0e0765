//! [`Batch`]: events that a worker has taken out of its queue.

use std::{collections::VecDeque, mem, sync::atomic::Ordering};

use super::{Item, Life, Queue};

/// How many places are given back at a time, so that each costs less.
const FREED: usize = 32;
/// Events that the worker has taken out of the queue together. What is left of them when it is dropped goes back, so that a
/// worker whose runtime ends loses nothing that another one could still handle.
pub(super) struct Batch<'q> {
    queue: &'q Queue,
    items: VecDeque<Item>,
    /// Events that were put back after a publisher had taken their space: so many give none back later.
    owed: usize,
}

impl<'q> Batch<'q> {
    pub(super) fn new(queue: &'q Queue) -> Self {
        let items = VecDeque::new();
        Self {
            queue,
            items,
            owed: 0,
        }
    }

    /// Takes what was put in, in exchange for the empty list.
    pub(super) fn swap(&mut self, items: &mut VecDeque<Item>) {
        mem::swap(items, &mut self.items);
    }

    pub(super) fn take(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        match &item {
            Some(Item::Event(_)) => {
                self.queue.depth.fetch_sub(1, Ordering::Relaxed);
                match self.owed.checked_sub(1) {
                    Some(owed) => self.owed = owed,
                    None if self.queue.freed.fetch_add(1, Ordering::AcqRel) >= FREED => self.free(),
                    None => {}
                }
            }
            Some(Item::Gap(_)) => {}
            None => self.free(),
        }
        item
    }

    /// Puts back what was just taken.
    pub(super) fn put_back(&mut self, item: Item) {
        if matches!(item, Item::Event(_)) {
            self.queue.depth.fetch_add(1, Ordering::Relaxed);
            let freed = &self.queue.freed;
            let less =
                freed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
            self.owed += usize::from(less.is_err());
        }
        self.items.push_front(item);
    }

    /// Gives the places back of those that were taken: before anything that may take long.
    pub(super) fn free(&self) {
        self.queue.give_back();
    }

    pub(super) fn return_rest(&mut self) {
        self.free();
        if self.items.is_empty() {
            return;
        }
        let mut waiting = self.queue.lock();
        if waiting.life == Life::Over {
            let events = self
                .items
                .iter()
                .filter(|item| matches!(item, Item::Event(_)));
            self.queue
                .depth
                .fetch_sub(events.count(), Ordering::Relaxed);
            self.items.clear();
        }
        while let Some(item) = self.items.pop_back() {
            waiting.items.push_front(item);
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.return_rest();
    }
}
