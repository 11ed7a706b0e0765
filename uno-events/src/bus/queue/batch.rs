//! [`Batch`]: events that a worker has taken out of its queue.

use std::{collections::VecDeque, mem, sync::atomic::Ordering};

use super::{Item, Life, Queue, events_in};

/// How many places are given back at a time, so that each costs less.
const FREED: u32 = 32;

/// Events that the worker has taken out of the queue together. What is left of them when it is dropped goes back, so that a
/// worker whose runtime ends loses nothing that another one could still handle.
pub(super) struct Batch<'q> {
    queue: &'q Queue,
    items: VecDeque<Item>,
    /// So many events were begun with since places were last given back.
    begun: u32,
}

impl<'q> Batch<'q> {
    pub(super) fn new(queue: &'q Queue) -> Self {
        let items = VecDeque::new();
        Self {
            queue,
            items,
            begun: 0,
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
                self.set_begun(|begun| begun + 1);
                self.begun += 1;
                if self.begun >= FREED {
                    self.free();
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
            self.set_begun(|begun| begun - 1);
        }
        self.items.push_front(item);
    }

    /// Gives the places back of those that were taken: before anything that may take long.
    pub(super) fn free(&mut self) {
        self.begun = 0;
        self.queue.give_back();
    }

    /// There is one worker at a time, and nobody else writes: so it needs no read and write in one.
    fn set_begun(&self, change: impl FnOnce(u64) -> u64) {
        let begun = &self.queue.begun.0;
        begun.store(change(begun.load(Ordering::Relaxed)), Ordering::Release);
    }

    pub(super) fn return_rest(&mut self) {
        self.free();
        if self.items.is_empty() {
            return;
        }
        let mut waiting = self.queue.lock();
        if waiting.life == Life::Over {
            waiting.put -= events_in(&self.items);
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
