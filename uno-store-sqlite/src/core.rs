//! [`Core`]: what the tasks of a store share.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use tokio::sync::watch;
use uno_core::{StoreError, truncate_to_micros};

use crate::{hints::Waiters, schema, settings::Settings, tail::Tail};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    /// Counts commits, as far as this process knows of them.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) tail: Tail,
    pub(crate) waiters: Waiters,
    /// Whether the schema was seen to be one that this code can work with. Never goes back: migrations only add, and what newer
    /// code migrates while this runs is noticed by the writer.
    checked: AtomicBool,
}

impl Core {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            changes: watch::Sender::new(0),
            tail: Tail::default(),
            waiters: Waiters::default(),
            checked: AtomicBool::new(false),
        }
    }

    /// Looks at the schema, until it was right once.
    pub(crate) async fn check_schema(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        // Relaxed: whoever reads `false` too late only looks once more.
        if !self.checked.load(Ordering::Relaxed) {
            schema::check(&self.settings.location, connection).await?;
            self.checked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        truncate_to_micros(self.settings.clock.now())
    }

    /// Tells those who wait for a change that there was one.
    pub(crate) fn tell_change(&self) {
        self.changes.send_modify(|number| *number += 1);
    }
}
