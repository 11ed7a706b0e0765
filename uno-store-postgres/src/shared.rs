//! What every part of a store knows.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;

use crate::{PgOptions, hints::Hints, sql::Sql};

/// What every part of a store knows.
pub(crate) struct Shared {
    pub(crate) options: PgOptions,
    pub(crate) location: String,
    /// The highest position, and number in a queue, that this store was told to be committed: reads must see it.
    pub(crate) log_floor: Floor,
    pub(crate) queue_floor: Floor,
    pub(crate) hints: Hints,
    changes: watch::Sender<u64>,
    texts: Mutex<HashMap<&'static str, Sql>>,
}

impl Shared {
    pub(crate) fn new(options: PgOptions) -> Self {
        Self {
            location: options.location(),
            hints: Hints::new(options.schema_name().as_str()),
            options,
            log_floor: Floor::default(),
            queue_floor: Floor::default(),
            changes: watch::Sender::new(0),
            texts: Mutex::default(),
        }
    }

    /// A constant text of this crate as a statement for this store's schema. Texts are few, so all are kept.
    pub(crate) fn sql(&self, text: &'static str) -> Sql {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts
            .entry(text)
            .or_insert_with(|| Sql::new(text, self.options.schema_name()))
            .clone()
    }

    /// What a new connection is opened with.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        let options = self.options.connect().clone();
        if self.options.is_prepared() {
            // Whatever the role or the database has as its default: the log is read and written in READ COMMITTED.
            options.options([("default_transaction_isolation", "read committed")])
        } else {
            options
        }
    }

    /// Says that something was committed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn change_sender(&self) -> watch::Sender<u64> {
        self.changes.clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Floor(AtomicI64);

impl Floor {
    pub(crate) fn raise(&self, to: i64) {
        self.0.fetch_max(to, Ordering::Release);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}
