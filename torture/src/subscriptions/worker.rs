//! [`Worker`]: a process that runs both subscriptions, until its standard input ends, or earlier.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    num::NonZeroU16,
    path::{Path, PathBuf},
    process::abort,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::time::sleep;
use uno::{
    PgStore, SqliteStore,
    events::{Consumer, Replay, RetryPolicy, Subscription, SubscriptionManager},
    testkit::faults::FaultStore,
};
use uno_core::{EventFilter, SubscriptionName, SubscriptionStore};
use uno_store_postgres::{PgOptions, SchemaName};

use super::{
    BATCH, Control, DIARY, LEDGER,
    diary::Diary,
    doom::Doom,
    forgetful::Forgetful,
    ledger::{Books, Ledger},
    poison::{Attempts, Recipe},
};
use crate::session::Schema;

/// What a process is told.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Where the diary and the attempts are, and the store if it is a file.
    pub folder: PathBuf,
    /// The schema of the store on Postgres, and the database's URL.
    pub postgres: Option<(String, Schema)>,
    /// What the matter is with events.
    pub poison: Option<Recipe>,
    /// How often an event is tried.
    pub attempts: u32,
    /// How many lanes there are.
    pub lanes: NonZeroU16,
    /// The one subscription that it runs; both unless it is said.
    pub only: Option<String>,
    /// What it is called, if its lanes are to be had at once by who comes after it.
    pub name: Option<String>,
    /// Which rule is broken.
    pub control: Option<Control>,
    /// How it is to end.
    pub doom: Option<Doom>,
}

/// How long a plain handler may take for an event, and the other consumer for a batch. The latter is longer than most freezes, so that
/// who wakes up goes on with what he was about to commit.
const DIARY_LIMIT: Duration = Duration::from_millis(300);
const LEDGER_LIMIT: Duration = Duration::from_secs(4);
/// For how long lanes are on lease.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

impl Worker {
    /// Runs until standard input ends.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub async fn run(self) -> Result<()> {
        match &self.postgres {
            Some((url, schema)) => {
                let options = PgOptions::from_url(url)?
                    .schema(SchemaName::new(schema.as_str())?)
                    .max_connections(4);
                self.work(PgStore::new(options)).await
            }
            None => {
                self.work(SqliteStore::open(store_file(&self.folder)).await?)
                    .await
            }
        }
    }

    async fn work<B: Books>(&self, store: B) -> Result<()> {
        let faults = self.doom.map(Doom::faults).unwrap_or_default();
        let store = Arc::new(FaultStore::new(Arc::new(store), faults));
        let crashed = Arc::clone(&store);
        tokio::spawn(async move {
            crashed.crashed().await;
            abort();
        });
        let manager = self.manager(store)?;
        while manager.start_all().await.is_err() {
            // The server may be away.
            sleep(Duration::from_millis(50)).await;
        }
        // Also when whoever started it is gone: nothing is to be left behind.
        let mut end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            _ended = &mut end => {}
            stopped = stopped(&manager) => {
                note_stop(&self.folder, &stopped)?;
                (&mut end).await.context("standard input was not awaited")??;
            }
        }
        manager.stop_all().await;
        Ok(())
    }

    fn manager<B: Books>(&self, store: Arc<FaultStore<B>>) -> Result<SubscriptionManager> {
        let attempts = Attempts::new(&self.folder, self.poison);
        let retry = RetryPolicy::new()
            .retries(self.attempts.saturating_sub(1))
            .base(Duration::from_millis(4))
            .longest(Duration::from_millis(100));
        let ledger: Arc<dyn Consumer> = Arc::new(Ledger::new(
            Arc::clone(&store),
            attempts.clone(),
            self.control,
        ));
        let ledger = Subscription::new(SubscriptionName::new(LEDGER)?, Replay::Safe, ledger)
            .lanes(self.lanes)
            .batch_size(BATCH)
            .retry(retry)
            .time_limit(LEDGER_LIMIT);
        let diary = Subscription::recorded(
            SubscriptionName::new(DIARY)?,
            Replay::Safe,
            EventFilter::all(),
            Diary::open(&self.folder, attempts)?,
        )
        .lanes(self.lanes)
        .batch_size(BATCH)
        .retry(retry)
        .time_limit(DIARY_LIMIT);
        let subscriptions: Arc<dyn SubscriptionStore> = match self.control {
            Some(Control::CountedAfter) => Arc::new(Forgetful(Arc::clone(&store))),
            _ => Arc::<FaultStore<B>>::clone(&store),
        };
        let mut manager = SubscriptionManager::builder(store, subscriptions)
            .lease(LEASE)
            .poll_interval(Duration::from_millis(50))
            .save_after(Duration::from_millis(200));
        if let Some(name) = &self.name {
            manager = manager.instance(name.as_str());
        }
        let manager = manager.build();
        for subscription in [ledger, diary] {
            let name = subscription.name().as_str();
            if self.only.as_deref().is_none_or(|only| only == name) {
                manager.subscribe(subscription)?;
            }
        }
        Ok(manager)
    }
}

/// Waits until a subscription has stopped of its own accord, and tells which, and why.
async fn stopped(manager: &SubscriptionManager) -> String {
    loop {
        for status in manager.status().await {
            if let Some(why) = status.state().failure() {
                return format!("{}: {why}", status.name());
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn stops_file(folder: &Path) -> PathBuf {
    folder.join("stopped.txt")
}

fn note_stop(folder: &Path, why: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(stops_file(folder))?;
    file.write_all(format!("{why}\n").as_bytes())?;
    Ok(())
}

/// Which subscriptions have stopped of their own accord, and why.
pub(crate) fn stops(folder: &Path) -> Result<Vec<String>> {
    match fs::read_to_string(stops_file(folder)) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).context("failed to read which subscriptions have stopped"),
    }
}

pub(crate) fn store_file(folder: &Path) -> PathBuf {
    folder.join("store.db")
}
