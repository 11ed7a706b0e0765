//! [`Books`]: the projection, whose documents show it if an event is missing, doubled, or out of its order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use uno::prelude::*;
use uno_core::{Envelope, Position};

use crate::campaign::plan::mix;

/// The name of the projection, of its subscription and of its collection in the first generation.
pub(crate) const BOOKS: &str = "books";
/// The category of all streams.
pub(crate) const CATEGORY: &str = "account";
/// The key of the document that every event concerns.
pub(crate) const ALL: &str = "all";

/// Money was moved.
#[derive(Event, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) cents: i64,
}

/// Of an account, and of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) events: u64,
    pub(crate) cents: i64,
    /// Of all positions: of an account in their order, of all accounts in any, since lanes are not in step.
    pub(crate) chain: u64,
}

impl Book {
    /// With one more event.
    pub(crate) fn with(self, is_all: bool, position: Position, cents: i64) -> Self {
        let position = position.get();
        Self {
            events: self.events + 1,
            cents: self.cents + cents,
            chain: if is_all {
                self.chain.wrapping_add(mix(position, 7))
            } else {
                let shifted = self.chain.wrapping_mul(0x0100_0000_01b3);
                shifted.wrapping_add(position)
            },
        }
    }
}

/// Keeps the books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    /// Set in a control: the next event is passed over.
    pub(crate) forgets: Arc<AtomicBool>,
}

impl DocumentProjection for Books {
    const NAME: &'static str = BOOKS;
    type Event = Moved;
    type Document = Book;

    fn keys(&self, event: &Envelope<Moved>) -> Vec<String> {
        if self.forgets.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        vec![event.stream().key().to_owned(), ALL.to_owned()]
    }

    fn apply(&self, key: &str, book: Option<Book>, event: &Envelope<Moved>) -> Option<Book> {
        let book = book.unwrap_or_default();
        Some(book.with(key == ALL, event.position(), event.event().cents))
    }
}
