//! [`Field`]: what everybody in a phase shares.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::Result;
use uno_core::{Receipt, Version};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use super::plan::{Plan, StorePlan};
use crate::{
    ledger::Ledger,
    session::{Database, Schema},
    tally::Tally,
};

/// What everybody in a phase shares.
#[derive(Debug)]
pub struct Field {
    /// Where the database is.
    pub database: Database,
    /// The schema of this phase.
    pub schema: Schema,
    /// Where the files of this phase are.
    pub folder: PathBuf,
    /// What is to happen.
    pub plan: Plan,
    /// What was intended and what became of it.
    pub ledger: Ledger,
    /// What the names of this phase's sessions begin with.
    pub tag: String,
    versions: Mutex<HashMap<String, Version>>,
    tally: Mutex<Tally>,
    acknowledged: AtomicU64,
    held: AtomicU64,
    stopped: AtomicBool,
}

impl Field {
    /// An empty field.
    #[must_use]
    pub fn new(
        database: Database,
        schema: Schema,
        folder: PathBuf,
        plan: Plan,
        ledger: Ledger,
    ) -> Self {
        let tag = format!("uno-torture/{}/{}", std::process::id(), plan.number);
        Self {
            database,
            schema,
            folder,
            plan,
            ledger,
            tag,
            versions: Mutex::default(),
            tally: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            held: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// The name of a session in this part.
    #[must_use]
    pub fn application(&self, part: &str) -> String {
        format!("{}/{part}", self.tag)
    }

    /// A store of its own, as if in a process of its own, whose sessions are named after `part`.
    ///
    /// # Errors
    /// When the database's URL is not one.
    pub fn store(&self, part: &str, plan: StorePlan) -> Result<PgStore> {
        let mut options = self.options(part)?.max_connections(plan.connections);
        if !plan.grouping {
            options = options.without_grouping();
        }
        if plan.pooler {
            options = options.for_transaction_pooler();
        }
        Ok(PgStore::new(options))
    }

    /// A store that hears no hints of others: behind a pooler in transaction mode nobody can listen.
    ///
    /// # Errors
    /// When the database's URL is not one.
    pub fn deaf_store(&self, part: &str) -> Result<PgStore> {
        self.store(
            part,
            StorePlan {
                connections: 1,
                grouping: true,
                pooler: true,
            },
        )
    }

    fn options(&self, part: &str) -> Result<PgOptions> {
        let url = self
            .database
            .url_with("application_name", &self.application(part));
        Ok(PgOptions::from_url(&url)?.schema(SchemaName::new(self.schema.as_str())?))
    }

    /// Whether writers are to go on.
    #[must_use]
    pub fn is_going(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.acknowledged() < self.plan.events
    }

    /// Ends the writing, come what may.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// How many events were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Events were acknowledged.
    pub fn add_acknowledged(&self, events: u64) {
        self.acknowledged.fetch_add(events, Ordering::Relaxed);
    }

    /// Takes one of the transactions that are to be held open for long, and gives how many were taken before it; they are
    /// spread over the phase.
    #[must_use]
    pub fn take_held(&self) -> Option<u64> {
        let due = |held: u64| {
            let now = self.acknowledged().saturating_mul(self.plan.held + 1)
                > self.plan.events.saturating_mul(held);
            (held < self.plan.held && now).then_some(held + 1)
        };
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .ok()
    }

    /// Counts something.
    pub fn count(&self, what: &str, count: u64) {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(what, count);
    }

    /// What was counted.
    #[must_use]
    pub fn counted(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The last version of a stream that anybody was told.
    #[must_use]
    pub fn version(&self, stream: &str) -> Option<Version> {
        self.versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(stream)
            .copied()
    }

    /// A stream was seen at a version.
    pub fn saw_version(&self, stream: String, version: Version) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions.entry(stream).or_default();
        *known = version.max(*known);
    }

    /// A batch was acknowledged with a receipt.
    ///
    /// # Errors
    /// When the ledger can't be written.
    pub fn receipt(&self, batch: u64, events: u64, receipt: &Receipt) -> Result<()> {
        self.ledger.receipt(batch, receipt)?;
        self.add_acknowledged(events);
        for stream in receipt.streams() {
            self.saw_version(stream.stream().to_string(), stream.last());
        }
        Ok(())
    }
}
